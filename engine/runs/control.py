"""Controls: requests to a live run, which any process of the same user can make.

They tell it to pause, continue, step, save or stop; set and remove breakpoints; reward, rate or leave out samples of a
PPO batch; and relabel, drop or restore training questions.

Each is a small file that is written under another name and renamed into `controls/`, so the run never reads half of
one. The run takes them at the end of every step, at each stage where a PPO batch can be held, and while it is paused,
and journals its reply to each.
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
from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import read_regular, refuse_unsafe_folder
from looptop.engine.files.replacing import replace_private
from looptop.engine.journal.reader import ControlReply, Journal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

Kind = Literal[
    "pause", "continue", "step", "checkpoint", "stop", "break", "unbreak", "reward", "leave_out", "rating", "relabel",
    "drop", "restore",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)

_MAX_BYTES = 64 * 1024


class Control(Struct, frozen=True):
    """One request to a run."""

    id: str
    kind: Kind
    by: str
    """Who sent it: `cli`, `app`, `python`."""
    created: float
    checkpoint: bool = True
    """For a stop: whether to make a checkpoint."""
    to: str = ""
    """For a step: the stage of the batch to stop at, or `next` for the next one; empty for a whole step."""
    condition: str = ""
    """The condition of a breakpoint."""
    batch: int | None = None
    """For a judgement of a sample: the step of its batch."""
    sample: int | None = None
    """For a judgement of a sample: its row in the batch."""
    value: float | None = None
    """The value of a judgement; None removes the judgement."""
    question: int | None = None
    """For an edit of a training question: its row in the training split."""
    answer: str = ""
    """For `relabel`: the question's new answer."""


def send(folder: RunFolder, kind: str, by: str = "cli", **details: Any) -> Control:
    """Sends a control to a live run.

    Args:
        folder: The run.
        kind: pause, continue, step (one step, or `to` a stage, then pause), checkpoint, stop; break, unbreak (a
            `condition`); reward, leave_out, rating (a `value` of a `sample` of a `batch`); relabel, drop, restore (a
            `question`, for `relabel` with an `answer`).
        by: Who sends it.
        **details: Fields of `Control`.

    Raises:
        LooptopError: The run is not live, or its folder cannot be written.
    """
    if kind not in KINDS:
        raise LooptopError(f"there is no control '{visible(kind)}'; there are: {', '.join(KINDS)}")
    if not folder.is_live():
        hint = "" if folder.state() == "finished" else f"; `looptop resume {folder.shell_name}` continues it"
        raise LooptopError(f"{folder.id} is not running, it is {folder.state()}{hint}")
    value = details.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        raise LooptopError(f"a {kind.replace('_', ' ')} must be a finite number, not {value}")
    plain = {"id": secrets.token_hex(6), "kind": kind, "by": by, "created": time.time(), **details}
    control = msgspec.convert(plain, Control)
    name = f"{time.time_ns():020d}-{control.id}.json"
    try:
        refuse_unsafe_folder(folder.controls)
        folder.controls.mkdir(mode=0o700, exist_ok=True)
        replace_private(folder.controls / name, encode_json(control), make_folder=False)
    except OSError as error:
        raise LooptopError(f"cannot write to {visible(folder.controls)}: {error.strerror}") from None
    return control


def take(
    folder: RunFolder,
    on_broken: Callable[[str], None] | None = None,
    before: float = float("inf"),
    skipped: set[str] | None = None,
    accepts: Callable[[Control], bool] = lambda control: True,
) -> list[Control]:
    """Takes the controls that are waiting, the oldest first. Only the run itself calls this.

    Args:
        folder: The run.
        on_broken: Receives a sentence for each file that holds no control; the file is removed.
        before: Only controls sent before this moment, in seconds since the epoch; also those that seem to come from
            the future, because the clock was set back.
        skipped: Names of files to skip. Files that cannot be removed are added, so that each is read once.
        accepts: Whether to take a control; the others stay.
    """
    skipped = set() if skipped is None else skipped
    taken = []
    for path in waiting_files(folder):
        if path.name in skipped:
            continue
        if before <= _time_sent(path.name) <= time.time():
            continue
        control, trouble = None, ""
        try:
            control = _read(path)
        except FileNotFoundError:
            continue
        except (OSError, *UNREADABLE) as error:
            trouble = f"the control {visible(path.name)} cannot be read and was left out: {error_text(error)}"
        if control is not None and not accepts(control):
            continue
        try:
            path.unlink()
        except FileNotFoundError:  # another thread of the run has taken it
            continue
        except OSError:  # a folder, or nothing can be removed there
            skipped.add(path.name)
        if control is not None:
            taken.append(control)
        elif on_broken is not None:
            on_broken(trouble)
    return taken


def waiting_files(folder: RunFolder) -> list[Path]:
    """The files of the controls that are waiting, the oldest first."""
    try:
        refuse_unsafe_folder(folder.controls)
        with os.scandir(folder.controls) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".json") and entry.name[0] != "."]
    except OSError:
        return []
    return [folder.controls / name for name in sorted(names)]


def stop_is_waiting(folder: RunFolder, skipped: set[str] | None = None) -> bool:
    """Whether a stop is among the controls that are waiting."""
    for path in waiting_files(folder):
        if skipped and path.name in skipped:
            continue
        with contextlib.suppress(OSError, *UNREADABLE):
            if _read(path).kind == "stop":
                return True
    return False


def wait_reply(folder: RunFolder, control: Control, timeout: float) -> ControlReply | None:
    """Waits for the run's reply to a control.

    Returns:
        The reply; None if there is none after `timeout` seconds, or if the run ended without one.
    """
    end = time.monotonic() + timeout
    journal = Journal(folder.db)
    while True:
        live = folder.is_live()  # read first: a run replies to every control before it ends
        for reply in journal.controls():
            if reply.id == control.id:
                return reply
        if not live or time.monotonic() >= end:
            return None
        time.sleep(0.02)


def _time_sent(name: str) -> float:
    """When a control was sent, from its file name; 0 if the name does not tell."""
    digits = name.partition("-")[0]
    return int(digits) / 1e9 if digits.isascii() and digits.isdigit() else 0.0


def _read(path: Path) -> Control:
    return msgspec.json.decode(read_regular(path, _MAX_BYTES), type=Control)
