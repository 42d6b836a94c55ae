"""Controls: how any process of the same user tells a run to pause, continue, step, save or stop, and what of a batch.

One small file each, written beside and renamed into `controls/`, so the run never sees half of one. The run takes them
at every step's end, wherever a PPO batch can be held, and while it is paused, and journals what became of each.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from looptop.engine.encoding import encode_json
from looptop.engine.errors import UNREADABLE, LooptopError, said_of
from looptop.engine.files.private import read_regular, refuse_unsafe_folder, write_private
from looptop.engine.journal.reader import ControlAnswer, Journal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

Kind = Literal[
    "pause", "continue", "step", "checkpoint", "stop", "break", "unbreak", "reward", "leave_out", "rating"
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)

_LARGEST = 64 * 1024


class Control(Struct, frozen=True):
    """What somebody wants of a run."""

    id: str
    kind: Kind
    by: str
    """Who asks: `cli`, `app`, `python`."""
    created: float
    checkpoint: bool = True
    """Of a stop: with a checkpoint."""
    to: str = ""
    """Of a step: the place of a batch to go to, `next` for whichever comes; a whole step where empty."""
    condition: str = ""
    """Of a breakpoint."""
    batch: int | None = None
    """Of what is said of a sample: its batch's step, ..."""
    sample: int | None = None
    """... its row, ..."""
    value: float | None = None
    """... and the value; None takes back what was said."""


def send(folder: RunFolder, kind: str, by: str = "cli", **details: Any) -> Control:
    """Tells a live run something.

    Args:
        folder: The run.
        kind: pause, continue, step (one step, or `to` a place, then pause), checkpoint, stop; break, unbreak (a
            `condition`); reward, leave_out, rating (a `value` of a `sample` of a `batch`).
        by: Who asks.
        **details: Fields of `Control`.

    Raises:
        LooptopError: The run is not live, or its folder cannot be written.
    """
    if kind not in KINDS:
        raise LooptopError(f"there is no control '{visible(kind)}'; there are: {', '.join(KINDS)}")
    if not folder.is_live():
        hint = "" if folder.state() == "finished" else f"; `looptop resume {folder.shell_name}` goes on with it"
        raise LooptopError(f"{folder.id} is not running, it is {folder.state()}{hint}")
    value = details.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        raise LooptopError(f"a {kind.replace('_', ' ')} must be a finite number, and {value} is none")
    plain = {"id": secrets.token_hex(6), "kind": kind, "by": by, "created": time.time(), **details}
    control = msgspec.convert(plain, Control)
    name = f"{time.time_ns():020d}-{control.id}.json"
    draft = folder.controls / f".{name}"
    try:
        refuse_unsafe_folder(folder.controls)
        folder.controls.mkdir(mode=0o700, exist_ok=True)
        write_private(draft, encode_json(control))
        draft.rename(folder.controls / name)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise LooptopError(f"cannot write to {visible(folder.controls)}: {error.strerror}") from None
    return control


def take(
    folder: RunFolder,
    on_broken: Callable[[str], None] | None = None,
    before: float = float("inf"),
    passed_over: set[str] | None = None,
    wanted: Callable[[Control], bool] = lambda control: True,
) -> list[Control]:
    """Takes what was sent, the oldest first; for the run alone.

    Args:
        folder: The run.
        on_broken: Is told of each file that holds no control; it is removed all the same.
        before: Only what was sent before this moment, in seconds since the epoch; or after now, by a clock that was
            set back since.
        passed_over: Names of files to pass over; those that cannot be removed are added, so that each is read once.
        wanted: Which of them to take; the others stay.
    """
    known = set() if passed_over is None else passed_over
    taken = []
    for path in waiting(folder):
        if path.name in known:
            continue
        if before <= _sent(path.name) <= time.time():
            continue
        control, trouble = None, ""
        try:
            control = _read(path)
        except FileNotFoundError:
            continue
        except (OSError, *UNREADABLE) as error:
            trouble = f"the control {visible(path.name)} cannot be read and is left out: {said_of(error)}"
        if control is not None and not wanted(control):
            continue
        try:
            path.unlink()
        except FileNotFoundError:  # another thread of the run has taken it
            continue
        except OSError:  # a folder, or nothing can be removed there
            known.add(path.name)
        if control is not None:
            taken.append(control)
        elif on_broken is not None:
            on_broken(trouble)
    return taken


def waiting(folder: RunFolder) -> list[Path]:
    """The files of controls that were not taken yet, the oldest first."""
    try:
        refuse_unsafe_folder(folder.controls)
        with os.scandir(folder.controls) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".json") and entry.name[0] != "."]
    except OSError:
        return []
    return [folder.controls / name for name in sorted(names)]


def stop_is_waiting(folder: RunFolder, passed_over: set[str] | None = None) -> bool:
    """Whether somebody has asked the run to stop and it has not come to it yet."""
    for path in waiting(folder):
        if passed_over and path.name in passed_over:
            continue
        with contextlib.suppress(OSError, *UNREADABLE):
            if _read(path).kind == "stop":
                return True
    return False


def wait_answer(folder: RunFolder, control: Control, timeout: float) -> ControlAnswer | None:
    """Waits for the run's answer to a control.

    Returns:
        The answer, or None where there is none after `timeout` seconds or the run ended without one.
    """
    end = time.monotonic() + timeout
    journal = Journal(folder.db)
    while True:
        live = folder.is_live()  # before the journal is read: a run answers all controls before it ends
        for answered in journal.controls():
            if answered.id == control.id:
                return answered
        if not live or time.monotonic() >= end:
            return None
        time.sleep(0.02)


def _sent(name: str) -> float:
    """When the control of this file name was sent; 0 where the name does not say."""
    digits = name.partition("-")[0]
    return int(digits) / 1e9 if digits.isascii() and digits.isdigit() else 0.0


def _read(path: Path) -> Control:
    return msgspec.json.decode(read_regular(path, _LARGEST), type=Control)
