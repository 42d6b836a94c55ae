"""What the training code of a run works with: the run's folder, configuration, journal and gate."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from looptop.engine.compute.out_of_memory import out_of_memory_text
from looptop.engine.compute.threads import cpu_threads
from looptop.engine.config import RunConfig
from looptop.engine.files.private import append_private
from looptop.engine.journal.causes import HoldReason
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs import checkpoint
from looptop.engine.runs.alerts import Alerts
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.gate import StepVerdict as StepVerdict
from looptop.engine.runs.processes import Processes
from looptop.engine.runs.progress import ProgressReport
from looptop.engine.text import join_text, visible

if TYPE_CHECKING:
    from looptop.engine.compute.device import Device


class RunStoppedError(Exception):
    """The run must stop now, and abandons its work between two steps."""


class Activity(NamedTuple):
    """What a run is doing, for the message if memory runs out."""

    text: str
    """To follow a verb: "in step 13", "while it loaded the models"."""
    advice: str
    """How to need less memory: "lower training.per_device_train_batch_size"."""


CLOSE_OTHERS = "close other programs that use this memory"
"""The advice if no setting of the run reduces its memory."""

UNKNOWN_ACTIVITY = Activity("while it ran", CLOSE_OTHERS)
"""The activity of a run whose training code does not set one."""
READING_DATA = Activity("while it read the data", CLOSE_OTHERS)


def loading(advice: Sequence[str]) -> Activity:
    """The activity of loading models.

    Args:
        advice: What a person can do to make the models smaller.
    """
    return Activity("while it loaded the models", join_text(advice, "or"))


class RunContext:
    """The argument of each kind's `train` function: the run's folder, configuration, journal and gate."""

    def __init__(
        self,
        folder: RunFolder,
        config: RunConfig,
        journal: JournalWriter,
        gate: Gate,
    ) -> None:
        self.folder = folder
        self.config = config
        self.journal = journal
        self.gate = gate
        self.resume_from: Path | None = None
        """The checkpoint to continue from."""
        self.activity = UNKNOWN_ACTIVITY
        """What the run is doing now."""
        self.torch_device = ""
        """The device that it computes on, as torch names it; empty before it is chosen."""
        self.alerts: Alerts | None = None
        """Judges what is measured while the run trains; None in processes other than its first."""
        self.progress = ProgressReport(journal, gate.running_seconds)
        """The progress of work between steps."""

    @contextlib.contextmanager
    def during(self, activity: Activity) -> Iterator[None]:
        """Sets the activity while the block runs. If the block raises, the activity stays."""
        before, self.activity = self.activity, activity
        yield
        self.activity = before

    @property
    def stop_requested(self) -> threading.Event:
        """Set as soon as the run must stop. Long work checks it."""
        return self.gate.stop_requested

    def request_stop(self, checkpoint: bool = True) -> None:
        """Asks the run to stop at the end of its step, after a checkpoint unless `checkpoint` is false."""
        self.gate.request_stop(checkpoint=checkpoint)

    @property
    def processes(self) -> Processes:
        """The processes that train this run together."""
        return self.gate.processes

    @property
    def threads(self) -> int:
        """CPU threads to compute with; a resumed run keeps its number."""
        return cpu_threads(self.config.training.threads, self._previous_threads)

    @property
    def _previous_threads(self) -> int:
        threads = Journal(self.folder.db).facts().get("threads")
        return threads if isinstance(threads, int) else 0

    def compute_on(self, device: Device) -> None:
        """Sets the device and the number of CPU threads for the whole run, and records both."""
        previous = self._previous_threads
        self.torch_device = device.torch_device
        device.apply()
        if not self.processes.is_first:
            return
        self.log(f"computes on {visible(device.name)}; CPU threads: {device.threads}")
        if previous and previous != device.threads:
            text = f"CPU threads: {device.threads}, before: {previous}; results may differ by rounding from here on"
            self.journal.event("resume", text, level="warning")
        self.journal.facts(threads=device.threads)

    def share_resume_point(self) -> None:
        """Tells all processes which checkpoint to continue from."""
        self.resume_from = self.processes.decide(lambda: self.resume_from)

    def raise_if_stopped(self) -> None:
        """For long work before the first step, such as loading. Waits while the run is paused.

        Raises:
            RunStoppedError: The run must stop.
        """
        if self.gate.before_steps():
            raise RunStoppedError

    def pass_between_steps(self, text: str, done: int, total: int) -> None:
        """For long work between two steps, such as evaluating: reports progress, and waits while the run is paused. All
        processes of the run call it together.

        Args:
            text: The activity, as in `ProgressReport.at`.
            done: How much of it is done.
            total: The total; 0 if unknown.

        Raises:
            RunStoppedError: The run must stop.
        """
        self.report(text, done, total)
        if self.gate.between_steps():
            raise RunStoppedError

    def pass_before_steps(self, text: str, done: int, total: int) -> None:
        """For long work before the first step: reports progress, and waits while the run is paused. Each process of the
        run calls it on its own.

        Args:
            text: The activity, as in `ProgressReport.at`.
            done: How much of it is done.
            total: The total; 0 if unknown.

        Raises:
            RunStoppedError: The run must stop.
        """
        self.report(text, done, total)
        self.raise_if_stopped()

    def report(self, text: str, done: int = 0, total: int = 0) -> None:
        """Reports the progress of an activity, from the first process of the run only."""
        if self.processes.is_first:
            self.progress.at(text, done, total)

    def hold_for_retry(self, failed: str, error: Exception) -> bool:
        """Holds the run because something could not be written, until somebody removes the cause and continues it.

        Args:
            failed: Why something could not be written, and what: a list of runs has room for the first words.
            error: The error that was raised.

        Returns:
            Whether to try again; False if a further stop gives up.
        """
        full = checkpoint.is_no_room_error(error, self.folder.path)
        first = "make room on the disk" if full else "remove the cause"
        reason = f"{failed}; held: {first}, then `looptop continue {self.folder.shell_name}` tries again"
        self.journal.event("alert", f"{reason}, and a further stop gives up", level="error", code="cannot_write")
        return self.gate.hold_until_continued(HoldReason.DISK if full else HoldReason.ERROR, reason)

    def running_seconds(self) -> float:
        """Seconds since the run began, pauses not counted."""
        return self.gate.running_seconds()

    def log(self, text: str) -> None:
        """Adds a line with the time to the run's log."""
        append_to_log(self.folder, text)


Train = Callable[[RunContext], dict[str, Any]]


def out_of_memory_reason(error: BaseException, context: RunContext) -> str:
    """Why a run failed when memory ran out, in one sentence: during what, what to change, and how to continue.

    Args:
        error: An error for which `is_out_of_memory` is true.
        context: The run's context in the process that ran out of memory.
    """
    activity, folder = context.activity, context.folder
    reason = f"{out_of_memory_text(error, activity.text, context.torch_device)}; {activity.advice}"
    newest = checkpoint.newest_complete(folder.checkpoints)
    if newest is not None:
        reason += (
            f"; `looptop resume {folder.shell_name}` then continues from the checkpoint of step"
            f" {checkpoint.step_of(newest)}, with the settings of {visible(folder.config_file)}"
        )
    return reason


def append_to_log(folder: RunFolder, text: str) -> None:
    """Adds a line with the time to a run's log. A full disk is ignored."""
    with contextlib.suppress(OSError), append_private(folder.log) as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode("utf-8", "backslashreplace"))
