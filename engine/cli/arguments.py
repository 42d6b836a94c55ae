"""The attributes that every command's arguments have, and the options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from looptop.engine.compute.device_names import refuse_absent

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder

OpenApp = Callable[["RunFolder | None"], int]
"""Opens the app, on a run if one is given; returns the exit code."""


class CommonArguments:
    """The attributes that argparse and `main` set for every command; each command's `Arguments` adds its own.

    It is a class so that the type checker knows each attribute; it knows none of an `argparse.Namespace`.
    """

    command: str
    version: bool
    readonly: bool
    """Whether `--readonly` stands before the command: it changes no run and writes no file."""
    began: float
    """When the command started, in seconds since the epoch."""
    open_app: OpenApp | None
    """None if only the engine was started (`python -m looptop.engine`)."""


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Adds `--trust`: the consent to start what a run names that was not made here."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="start the command and functions that the run names, even if the run was not made here",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds `--model` and `--device`."""
    parser.add_argument(
        "--model",
        default="bundled",
        help="`bundled` (the default), a run such as vqa-3, one of its checkpoints (vqa-3:checkpoint-400), or a folder",
    )
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds `--device`."""
    parser.add_argument("--device", default="auto", type=_device, help="auto (the default), cpu, cuda, cuda:1 or mps")


def _device(name: str) -> str:
    """Refuses a device that is not on this machine, before torch is loaded, which takes seconds.

    Raises:
        LooptopError: It is not.
    """
    refuse_absent(name)
    return name
