"""What the training code of a run gets: its folder, configuration and journal, and the gate at every step's end."""

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
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.gate import StepVerdict as StepVerdict
from looptop.engine.runs.processes import Processes
from looptop.engine.runs.progress import ProgressReport
from looptop.engine.text import join_text, visible

if TYPE_CHECKING:
    from looptop.engine.compute.device import Device


class RunStoppedError(Exception):
    """The run shall stop, and what it was doing between two steps is left as it is."""


class Activity(NamedTuple):
    """What a run is doing, for the sentence that says where its memory ran out."""

    text: str
    """Behind a verb: "in step 13", "while it loaded the models"."""
    advice: str
    """What makes it need less memory: "lower training.per_device_train_batch_size"."""


CLOSE_OTHERS = "end other programs that use this memory"
"""The advice where no setting of a run makes it need less."""

UNSTATED = Activity("while it ran", CLOSE_OTHERS)
"""What a run is doing whose training code does not say."""
READING = Activity("while it read the data", CLOSE_OTHERS)


def loading(ways_out: Sequence[str]) -> Activity:
    """While a run loads its models.

    Args:
        ways_out: What makes them smaller.
    """
    return Activity("while it loaded the models", join_text(ways_out, "or"))


class RunContext:
    """What a kind's `train` gets: the run's folder and configuration, its journal, and the gate at every step's end."""

    def __init__(
        self,
        folder: RunFolder,
        config: RunConfig,
        journal: JournalWriter,
        gate: Gate,
        resume_from: Path | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.journal = journal
        self.gate = gate
        self.resume_from = resume_from
        """The checkpoint to go on from."""
        self.activity = UNSTATED
        """What the run is doing now."""
        self.torch_device = ""
        """Where it computes, as torch names it; empty before that is settled."""
        self.progress = ProgressReport(journal, gate.running_seconds)
        """How far it is with what lies between steps."""

    @contextlib.contextmanager
    def during(self, activity: Activity) -> Iterator[None]:
        """Says what the run is doing while the block runs. Where the block raises, that stays what the run did last."""
        before, self.activity = self.activity, activity
        yield
        self.activity = before

    @property
    def stop_requested(self) -> threading.Event:
        """Set as soon as the run shall stop: what takes long looks at it on its way."""
        return self.gate.stop_requested

    def request_stop(self, now: bool = False) -> None:
        """Asks the run to stop at the end of its step, with a checkpoint, or without one where it shall be `now`."""
        self.gate.request_stop(checkpoint=not now)

    @property
    def processes(self) -> Processes:
        """Those that train this run together."""
        return self.gate.processes

    @property
    def threads(self) -> int:
        """CPU threads to compute with: a resumed run keeps its count."""
        return cpu_threads(self.config.training.threads, self._threads_before)

    @property
    def _threads_before(self) -> int:
        threads = Journal(self.folder.db).facts().get("threads")
        return threads if isinstance(threads, int) else 0

    def compute_on(self, device: Device) -> None:
        """Fixes on what this run computes, and with how many CPU threads, until it ends; writes both down."""
        before = self._threads_before
        self.torch_device = device.torch_device
        device.apply()
        if not self.processes.is_first:
            return
        self.log(f"computes on {visible(device.name)}; CPU threads: {device.threads}")
        if before and before != device.threads:
            text = f"CPU threads: {device.threads}, before: {before}; figures may differ from here on by rounding"
            self.journal.event("resume", text, level="warning")
        self.journal.facts(threads=device.threads)

    def share_resume_point(self) -> None:
        """Tells all processes where to go on from."""
        self.resume_from = self.processes.decide(lambda: self.resume_from)

    def raise_if_stopped(self) -> None:
        """For what takes long before the first step: loading, keeping features. Waits while the run is paused.

        Raises:
            RunStoppedError: The run shall stop.
        """
        if self.gate.before_steps():
            raise RunStoppedError

    def pass_between_steps(self, text: str, done: int, total: int) -> None:
        """For what takes long between two steps, as evaluating does: says how far it is, and waits while the run is
        paused. All of the run's processes come by.

        Args:
            text: See `ProgressReport.at`.
            done: See there.
            total: See there.

        Raises:
            RunStoppedError: The run shall stop.
        """
        self.report(text, done, total)
        if self.gate.between_steps():
            raise RunStoppedError

    def pass_before_steps(self, text: str, done: int, total: int) -> None:
        """For what takes long before the first step, in each of the run's processes: says how far it is, and waits
        while the run is paused.

        Args:
            text: See `ProgressReport.at`.
            done: See there.
            total: See there.

        Raises:
            RunStoppedError: The run shall stop.
        """
        self.report(text, done, total)
        self.raise_if_stopped()

    def report(self, text: str, done: int = 0, total: int = 0) -> None:
        """Says how far an activity is; of the run's processes the first one says it."""
        if self.processes.is_first:
            self.progress.at(text, done, total)

    def hold_for_retry(self, failed: str, error: Exception) -> bool:
        """Holds the run because something could not be written, until somebody has made room and lets it go on.

        Args:
            failed: What could not be written, and why.
            error: The same as it was raised.

        Returns:
            Whether to try again; False where a further stop has given it up.
        """
        reason = (
            f"{failed}; held: make room on the disk, then `looptop continue {self.folder.shell_name}` tries it again"
        )
        self.journal.event("alert", f"{reason}, and a further stop gives it up", level="error", code="cannot_write")
        full = checkpoint.is_no_room_error(error, self.folder.path)
        return self.gate.hold_until_continued(HoldReason.DISK if full else HoldReason.ERROR, reason)

    def at_step_end(self, step: int) -> StepVerdict:
        """Takes controls and waits while the run is paused; says whether to make a checkpoint and whether to stop."""
        return self.gate.at_step_end(step)

    def after_checkpoint(self, step: int) -> bool:
        """Goes on waiting where the run is still paused after a checkpoint; says whether to stop."""
        return self.gate.after_checkpoint(step)

    def running_seconds(self) -> float:
        """Seconds since the run began, without those it was paused."""
        return self.gate.running_seconds()

    def log(self, text: str) -> None:
        """Adds a line to the run's log, with the time."""
        append_to_log(self.folder, text)


Train = Callable[[RunContext], dict[str, Any]]


def out_of_memory_reason(error: BaseException, context: RunContext) -> str:
    """Why a run failed whose memory ran out, in one sentence: in what, what to change, and what is kept of the run.

    Args:
        error: One that `is_out_of_memory`.
        context: The run's, in the process whose memory ran out.
    """
    activity, folder = context.activity, context.folder
    reason = f"{out_of_memory_text(error, activity.text, context.torch_device)}; {activity.advice}"
    whole = checkpoint.newest_complete(folder.checkpoints)
    if whole is not None:
        reason += (
            f"; `looptop resume {folder.shell_name}` then goes on from the checkpoint of step"
            f" {checkpoint.step_of(whole)}, with the settings of {visible(folder.config_file)}"
        )
    return reason


def append_to_log(folder: RunFolder, text: str) -> None:
    """Adds a line to a run's log, with the time; a disk that does not take it is no reason to fail."""
    with contextlib.suppress(OSError), append_private(folder.log) as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode("utf-8", "backslashreplace"))
