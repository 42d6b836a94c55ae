"""The thread that trains: the same class in the engine process and, from Python, in the caller's.

It holds the run's lock and journal from its first to its last moment and turns every way in which training can end into
a state with a reason. One run a process, since a device, random numbers and signals belong to the process.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from looptop.engine.compute.cores import CORES
from looptop.engine.compute.out_of_memory import give_back_memory, is_out_of_memory, out_of_memory
from looptop.engine.config import RunConfig
from looptop.engine.errors import LONGEST, LooptopError, said_of
from looptop.engine.files.lock import RunLock
from looptop.engine.files.private import append_private, touch_private
from looptop.engine.journal.causes import HoldReason, Stop, StopReason, cause_text
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs import checkpoint
from looptop.engine.runs.alerts import LossAlerts
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.gate import StepVerdict as StepVerdict
from looptop.engine.runs.notify import Notifier
from looptop.engine.runs.processes import Processes
from looptop.engine.runs.progress import ProgressReport
from looptop.engine.runs.run_log import RunLog
from looptop.engine.text import join_text, visible

if TYPE_CHECKING:
    from looptop.engine.compute.device import Device

_TRAINING_OF = {
    "vqa": "looptop.engine.vqa.training",
    "ppo": "looptop.engine.ppo.training",
    "reward": "looptop.engine.ppo.reward_training",
}

ROOM_SECONDS = 0.5
"""Between two looks whether a full disk has room again."""

_one_run = threading.Lock()


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

    def compute_on(self, device: Device) -> None:
        """Settles where this run computes: on a processor it shares the cores with other programs of looptop."""
        if device.torch_device == "cpu" and self.processes.is_first:
            CORES.take_seat()
        self.torch_device = device.torch_device
        device.apply()

    def begin_together(self) -> None:
        """Tells all processes where to go on from."""
        self.resume_from = self.processes.decide(lambda: self.resume_from)

    def leave_if_stopped(self) -> None:
        """For what takes long before the first step: loading, keeping features. Waits while the run is paused.

        Raises:
            RunStoppedError: The run shall stop.
        """
        CORES.divide()
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
        self.leave_if_stopped()

    def report(self, text: str, done: int = 0, total: int = 0) -> None:
        """Says how far an activity is; of the run's processes the first one says it."""
        if self.processes.is_first:
            self.progress.at(text, done, total)

    def try_again(self, failed: str, error: Exception) -> bool:
        """Holds the run because something could not be written, until somebody has made room and lets it go on.

        Args:
            failed: What could not be written, and why.
            error: The same as it was raised.

        Returns:
            Whether to try again; False where a further stop has given it up.
        """
        said = f"{failed}; held: make room on the disk, then `looptop continue {self.folder.shell_name}` tries it again"
        self.journal.event("alert", f"{said}, and a further stop gives it up", level="error", code="cannot_write")
        full = checkpoint.no_room(error, self.folder.path)
        return self.gate.hold_until_continued(HoldReason.DISK if full else HoldReason.ERROR, said)

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


class RunThread(threading.Thread):
    """Trains one run to its end.

    Taking the lock and opening the journal happen here, so that who starts it is told at once what is wrong.

    Args:
        folder: The run.
        train: What trains; by default what the run's kind says.
        resume: Go on from the newest whole checkpoint.
        lock: The run's lock where it is held already.
        keep_log: Write warnings of the libraries into the run's log; not where all output goes there anyway.

    Raises:
        LooptopError: Another run trains in this process, this run is live, or its folder cannot be used.
    """

    def __init__(
        self,
        folder: RunFolder,
        train: Train | None = None,
        *,
        resume: bool = False,
        lock: RunLock | None = None,
        keep_log: bool = True,
    ) -> None:
        super().__init__(name=folder.id)
        self.folder = folder
        self.state = RunState.CREATED
        self.reason = ""
        self.result: dict[str, Any] = {}
        self.ended = threading.Event()
        """Set when all is written and released. Wait on this, not with `join`: interrupted by ctrl-C, Python 3.11's
        `join` takes a thread that goes on for one that has ended."""
        self.lost = ""
        """Why another of the run's processes ended before its time."""
        self._train = train
        self._resume = resume
        self._ran_out_of_memory = False
        self._keep_log = keep_log
        if not _one_run.acquire(blocking=False):
            raise LooptopError(
                "another run trains in this process; wait for it, or use launch() for a process of its own"
            )
        try:
            folder.refuse_unsafe()
            config = folder.config()
            self._lock = lock or RunLock(folder.lock, folder.id).acquire()
            try:
                self.journal = JournalWriter(folder.db)
                touch_private(folder.log)
            except OSError as error:
                self._lock.release()
                raise LooptopError(f"cannot write {visible(folder.log)}: {error.strerror}") from None
            except BaseException:
                self._lock.release()
                raise
        except BaseException:
            _one_run.release()
            raise
        self._notifier = Notifier(folder.path)
        gate = Gate(folder, self.journal, checkpoint_seconds=60 * config.training.save_minutes)
        self.context = RunContext(folder, config, self.journal, gate)
        self.journal.listeners = [RunLog(self.context.log), self._notifier]
        self._alerts = LossAlerts(self.journal)
        if config.kind != "ppo":  # its loss says nothing of how good the policy is; `ppo.health` judges it
            self.journal.listeners.append(self._alerts)

    def run(self) -> None:
        """Trains, and says how it ended."""
        try:
            with _logging_to(self.folder.log) if self._keep_log else contextlib.nullcontext():
                self._set(RunState.RUNNING)
                self._set(*self._outcome())
        finally:
            try:
                self.context.gate.end()
                self.context.gate.detach()
                give_back_memory(thoroughly=self._ran_out_of_memory)
                _make_private(self.folder.path)
                self._wait_for_room()
                if not self.journal.close():
                    self.context.log("the journal could not be written to its end; is the disk full?")
            finally:
                CORES.leave_seat()
                CORES.divide()
                self._lock.release()
                _one_run.release()
                # After everything else: the command finds the run as it will stay, and may even resume it.
                self._notifier.tell(str(self.state), self.reason)
                self._notifier.close()
                self.ended.set()

    def _wait_for_room(self) -> None:
        """While the disk is full, how the run ended is in this process alone: it stays until that is written."""
        gate = self.context.gate
        stops = gate.stops
        while not self.journal.flush(ROOM_SECONDS) and self.journal.disk_refuses and gate.stops == stops:
            gate.end()

    def end_at_once(self, state: RunState, why: str | Stop) -> None:
        """Journals how the run ends, from another thread, for a process that exits without waiting for it."""
        self._set(state, why)
        self.journal.close(timeout=2.0)
        self._notifier.tell(str(state), self.reason)
        self._notifier.close()

    def _outcome(self) -> tuple[RunState, str | Stop]:
        try:
            self.context.gate.discard_before(self._lock.started)
            if self._resume:
                self._go_back()
            train = self._train or training_of(self.context.config.kind)
            with self._all_processes():
                self.result = train(self.context)
            self.journal.facts(result=self.result)
        except RunStoppedError:
            return RunState.STOPPED, self.context.gate.why_stopped()
        except LooptopError as error:
            return self._failed(error, visible(error))
        except KeyboardInterrupt:
            return RunState.STOPPED, Stop(StopReason.AT_ONCE, detail="stopped by the keyboard")
        except SystemExit as error:
            return self._failed(error, f"the training code left with exit code {visible(error.code)}")
        except BaseException as error:
            self._ran_out_of_memory = is_out_of_memory(error)
            reason = why_out_of_memory(error, self.context) if self._ran_out_of_memory else _one_line(error)
            return self._failed(error, reason)
        if self.context.stop_requested.is_set():
            return RunState.STOPPED, self.context.gate.why_stopped()
        return RunState.FINISHED, ""

    @contextlib.contextmanager
    def _all_processes(self) -> Iterator[None]:
        """The others of this run's processes live as long as the block runs."""
        training = self.context.config.training
        if training.processes == 1:
            yield
            return
        together = import_module("looptop.engine.launch.companions").together
        with together(self.folder, training.processes, training.device, self._lose) as processes:
            self.context.gate.processes = processes
            self.context.begin_together()
            yield

    def _lose(self, why: str) -> None:
        self.lost = why

    def _go_back(self) -> None:
        """Finds where to go on from, and drops what was journalled after it."""
        found = checkpoint.newest_whole(self.folder.checkpoints, self.journal)
        self.context.resume_from = found
        step = checkpoint.step_of(found) if found else -1
        self.context.gate.begin_at(max(step, 0))
        self._alerts.replay(Journal(self.folder.db), step)
        self.journal.supersede(step)
        self.journal.event("resume", f"goes on from {found.name}" if found else "starts again: there is no checkpoint")

    def _failed(self, error: BaseException, reason: str) -> tuple[RunState, str]:
        self.context.log("".join(traceback.format_exception(error)))
        self.journal.event("failed", reason, level="error")
        return RunState.FAILED, reason

    def _set(self, state: RunState, why: str | Stop = "") -> None:
        self.state, self.reason = state, why if isinstance(why, str) else cause_text(why)
        self.journal.state(state, why)


def training_of(kind: str) -> Train:
    """What trains runs of a kind."""
    train: Train = import_module(_TRAINING_OF[kind]).train
    return train


def why_out_of_memory(error: BaseException, context: RunContext) -> str:
    """Why a run failed whose memory ran out, in one sentence: in what, what to change, and what is kept of the run.

    Args:
        error: One that `is_out_of_memory`.
        context: The run's, in the process whose memory ran out.
    """
    activity, folder = context.activity, context.folder
    reason = f"{out_of_memory(error, activity.text, context.torch_device)}; {activity.advice}"
    whole = checkpoint.newest_whole(folder.checkpoints)
    if whole is not None:
        reason += (
            f"; `looptop resume {folder.shell_name}` then goes on from the checkpoint of step"
            f" {checkpoint.step_of(whole)}, with the settings of {visible(folder.config_file)}"
        )
    return reason


def _one_line(error: BaseException) -> str:
    name, said = type(error).__name__, said_of(error)
    return (name if said == name else f"{name}: {said}")[:LONGEST]


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Adds the run's log to the loggers that say something while it trains; the caller's own output stays as it is."""
    # These libraries keep their records from the root logger, unless somebody told them otherwise.
    apart = ("transformers", "datasets")
    handlers = []
    for names in (("",), apart):
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        if names != apart:
            handler.addFilter(lambda record: record.name.partition(".")[0] not in apart)
        handlers += [(logging.getLogger(name), handler) for name in names]
    for logger, handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _make_private(folder: Path) -> None:
    """Takes from everybody else what libraries wrote under the caller's own umask."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)


def append_to_log(folder: RunFolder, text: str) -> None:
    """Adds a line to a run's log, with the time; a disk that does not take it is no reason to fail."""
    with contextlib.suppress(OSError), append_private(folder.log) as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode("utf-8", "backslashreplace"))
