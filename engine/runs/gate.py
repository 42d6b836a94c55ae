"""The gate that a run passes at the end of every step, and a PPO batch at each of its stages.

The gate takes controls, holds the run while it is paused, and tells it what to do next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from looptop.engine.journal.causes import Hold, HoldReason, Stop, StopReason, where_text
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import Reply, RunState, accepted, refused
from looptop.engine.runs import control
from looptop.engine.runs.checkpoint import is_complete
from looptop.engine.runs.control import Control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.messages import packable
from looptop.engine.runs.processes import ALONE, Processes

T = TypeVar("T")

# A step can be shorter than reading a folder takes.
POLL_SECONDS = 0.05

STEP_END = ""
"""The stage that every run has."""

ControlFilter = Callable[[Control], bool]


def _accept_all(_asked: Control) -> bool:
    return True


@packable
class StepVerdict(Struct, frozen=True):
    """What to do after a step, or at a stage of one."""

    checkpoint: bool = False
    stop: bool = False


class Gate:
    """Carries out the controls of a run, in the thread that trains.

    Args:
        folder: The run.
        journal: Where the reply to each control is written.
        checkpoint_seconds: Ask for a checkpoint at least this often, pauses not counted; None never asks by itself.
    """

    def __init__(self, folder: RunFolder, journal: JournalWriter, checkpoint_seconds: float | None = None) -> None:
        self.stop_requested = threading.Event()
        """Set as soon as the run must stop, whoever asked. Long work between steps checks it."""
        self.stop_reason = StopReason.REQUEST
        self.stop_detail = ""
        self.stops = 0
        """How often a stop was asked for."""
        self.has_stepped = False
        """Whether a step was made since the run was started or resumed: before that there is nothing to save."""
        self.stages: tuple[str, ...] = ()
        """Where within a step the run can be held; the last one is the end of the step."""
        self.handlers: dict[str, Callable[[Control], Reply]] = {}
        """Controls that only one kind of run takes: kind of control to the function that carries it out."""
        self.on_pause: Callable[[], None] = lambda: None
        """Called when the run is held, so that what is known of the step so far is journalled."""
        self.processes: Processes = ALONE
        """The processes that train this run; the gate of the first decides for all."""
        self._folder = folder
        self._journal = journal
        self.is_paused = False
        self._steps_to_go = 0
        self._hold_at: str | None = None
        self._saved_step: int | None = None
        self._stop_with_checkpoint = True
        self._checkpoint = False
        self._last_poll = 0.0
        self._began = time.monotonic()
        self._paused_seconds = 0.0
        self._checkpoint_seconds = checkpoint_seconds
        self._last_checkpoint = 0.0
        self._step = 0
        self._stage = STEP_END
        self._hold_at_end: Hold | None = None
        self._held = False
        self._in_between = False
        self._will_save = False
        # Files in `controls/` that were read and cannot be removed.
        self._skipped: set[str] = set()

    def begin_at(self, step: int) -> None:
        """Sets the step that the run resumes from."""
        self._step = step

    def request_stop(self, checkpoint: bool = True, reason: StopReason = StopReason.REQUEST, detail: str = "") -> None:
        """Asks the run to stop at the end of its step, or at the next stage of it; from any thread.

        Args:
            checkpoint: Make one of the last step first.
            reason: Why it stops.
            detail: More about the reason, for people.
        """
        self._stop_with_checkpoint = checkpoint
        self.stop_reason, self.stop_detail = reason, detail
        self.stops += 1
        self.stop_requested.set()

    def between_steps(self) -> bool:
        """Takes controls and waits while the run is paused, during long work between two steps. Every process of the
        run calls it. Returns whether to stop.
        """
        return self._together(self._between_steps)

    def _between_steps(self) -> bool:
        self._in_between = True
        try:
            self._poll_when_due()
            # An evaluation that is due with a checkpoint comes before it: the pause continues once that is written.
            if not self._will_save:
                self._wait(until_checkpoint=False)
        finally:
            self._in_between = False
        return self.stop_requested.is_set()

    def before_steps(self) -> bool:
        """As `between_steps`, during work before the first step. Each process of the run calls it on its own; while the
        first waits, the others wait for it at their next common point. Controls that need a step stay waiting.
        """
        if time.monotonic() - self._last_poll >= POLL_SECONDS:
            self._poll(self._needs_no_step)
        self._wait(until_checkpoint=False, accepts=self._needs_no_step)
        return self.stop_requested.is_set()

    def _needs_no_step(self, asked: Control) -> bool:
        """Whether a control can be carried out before the run knows its stages and batches. A step to a stage cannot;
        it lets a paused run continue to its first batch.
        """
        if asked.kind == "step" and asked.to:
            self._continue()
            return False
        return asked.kind in ("pause", "continue", "stop", "step")

    def stop_is_wanted(self) -> bool:
        """Whether the run must stop, for a thread that does not train. Takes a stop control that is waiting."""
        if not self.stop_requested.is_set() and time.monotonic() - self._last_poll >= POLL_SECONDS:
            self._last_poll = time.monotonic()
            if control.stop_is_waiting(self._folder, self._skipped):
                self._poll()
        return self.stop_requested.is_set()

    @property
    def saves_before_it_stops(self) -> bool:
        """Whether the run is stopping with a checkpoint."""
        return self.stop_requested.is_set() and self._stop_with_checkpoint

    def why_stopped(self) -> Stop:
        """Why the run has stopped, and whether a checkpoint of its last step exists."""
        step = self._last_step
        has_checkpoint = bool(step) and is_complete(self._folder.checkpoints / f"checkpoint-{step}")
        return Stop(self.stop_reason, step, has_checkpoint, self.stop_detail)

    @property
    def _last_step(self) -> int:
        # A held batch has not changed the weights yet, so a checkpoint is of the step before it.
        return self._step - 1 if self._stage else self._step

    def running_seconds(self) -> float:
        """Seconds since the run began, pauses not counted."""
        return time.monotonic() - self._began - self._paused_seconds

    def at_step_end(self, step: int) -> StepVerdict:
        """Takes controls, waits while the run is paused, and says what to do now.

        A checkpoint that is asked for during a pause ends the wait, so that it can be made; `after_checkpoint` then
        continues the pause.
        """
        return self._together(lambda: self._at_step_end(step))

    def _at_step_end(self, step: int) -> StepVerdict:
        self._step, self._stage, self.has_stepped = step, STEP_END, True
        if self._steps_to_go:
            self._steps_to_go -= 1
            if not self._steps_to_go:
                self._pause(HoldReason.STEP)
        if self.stages:
            self._hold_where_wanted(self.stages[-1])
        hold, self._hold_at_end = self._hold_at_end, None
        self._hold(hold)
        self._poll_when_due()
        self._wait(until_checkpoint=True)
        if self._checkpoint_seconds is not None:
            due = self.running_seconds() - self._last_checkpoint >= self._checkpoint_seconds
            self._checkpoint = self._checkpoint or due
        return self._verdict()

    def at_stage(self, step: int, stage: str, hold: Hold | None = None) -> StepVerdict:
        """As `at_step_end`, at a stage within a step. A stop here drops the batch; it is made again on resume.

        Args:
            step: The step that is being made.
            stage: One of `stages`.
            hold: Why to hold the run here; None does not hold it.
        """
        return self._together(lambda: self._at_stage(step, stage, hold))

    def _at_stage(self, step: int, stage: str, hold: Hold | None) -> StepVerdict:
        self._step, self._stage = step, stage
        # Before anything else, so that a pause that was sent early holds the first batch.
        self._poll_when_due()
        self._hold_where_wanted(stage)
        self._hold(hold)
        self._wait(until_checkpoint=True)
        return self._verdict()

    def after_checkpoint(self, step: int) -> bool:
        """Restarts the time to the next checkpoint, and continues the pause if the run is still paused.

        Args:
            step: The step of the checkpoint.

        Returns:
            Whether to stop.
        """
        return self._together(lambda: self._after_checkpoint(step))

    def _after_checkpoint(self, step: int) -> bool:
        self._will_save = False
        self._last_checkpoint = self.running_seconds()
        self._saved_step = step
        hold, self._hold_at_end = self._hold_at_end, None
        self._hold(hold)
        self._wait(until_checkpoint=False)
        return self.stop_requested.is_set()

    def hold_until_continued(self, reason: HoldReason, detail: str) -> bool:
        """Holds the run because something could not be written; also a run that is stopping.

        Args:
            reason: Whether the disk is full.
            detail: What could not be written, why, and what to do.

        Returns:
            Whether to try again, because somebody continued the run. False after a further stop, which gives up.
        """
        stops = self.stops
        self._held = self.is_paused = True
        self._journal.state(RunState.PAUSED, Hold(self._step, self._stage, reason, detail))
        began, before = time.monotonic(), self._paused_seconds
        while self.is_paused and self.stops == stops:
            time.sleep(POLL_SECONDS)
            self._poll()
            self._paused_seconds = before + time.monotonic() - began
        self._held = self.is_paused = False
        return self.stops == stops

    def hold_at_step_end(self, hold: Hold) -> None:
        """Holds the run at the end of this step; called by the thread that trains."""
        self._hold_at_end = hold

    def hold_for_alert(self, text: str) -> None:
        """Holds the run at the end of this step, or after the checkpoint of this evaluation, because it raised an alert
        (`text`, for people). What holds it there anyway stays the reason.
        """
        if self._hold_at_end is None:
            self._hold_at_end = Hold(self._step, "", HoldReason.ALERT, text)

    def detach(self) -> None:
        """Drops the handlers of the run's kind, and with them the models they refer to."""
        self.handlers = {}
        self.on_pause = lambda: None

    def discard_before(self, moment: float) -> None:
        """Replies to controls that were sent before the run was resumed and never taken."""
        for old in control.take(self._folder, self._broken, before=moment, skipped=self._skipped):
            reply = refused("too_late", "the run had ended before it read this")
            self._journal.control_reply(old.id, old.kind, None, reply)

    def end(self) -> None:
        """Replies to controls that came too late to be carried out; a stop still counts."""
        for late in control.take(self._folder, self._broken, skipped=self._skipped):
            self.stops += late.kind == "stop"
            self._journal.control_reply(late.id, late.kind, None, refused("too_late", "the run has ended"))

    def _together(self, decide: Callable[[], T]) -> T:
        """What the first process decides, in every process; passes on whether the run is stopping."""
        decided, stops = self.processes.decide(lambda: (decide(), self.stop_requested.is_set()))
        if stops:
            self.stop_requested.set()
        return decided

    def _verdict(self) -> StepVerdict:
        stop = self.stop_requested.is_set()
        verdict = StepVerdict(self._checkpoint or (stop and self._stop_with_checkpoint), stop)
        self._checkpoint = False
        self._will_save = verdict.checkpoint
        return verdict

    def _hold_where_wanted(self, stage: str) -> None:
        if self._hold_at in ("next", stage):
            self._hold_at = None
            self._pause(HoldReason.STAGE)

    def _hold(self, hold: Hold | None) -> None:
        if hold is not None and not self.is_paused:
            self._steps_to_go = 0
            self._pause(hold.reason, hold.detail)

    def _poll_when_due(self) -> None:
        if time.monotonic() - self._last_poll >= POLL_SECONDS:
            self._poll()

    def _wait(self, *, until_checkpoint: bool, accepts: ControlFilter = _accept_all) -> None:
        if not self.is_paused:
            return
        began, before = time.monotonic(), self._paused_seconds
        while self.is_paused and not self.stop_requested.is_set() and not (until_checkpoint and self._checkpoint):
            self.stop_requested.wait(POLL_SECONDS)
            self._poll(accepts)
            self._paused_seconds = before + time.monotonic() - began

    def _poll(self, accepts: ControlFilter = _accept_all) -> None:
        self._last_poll = time.monotonic()
        for asked in control.take(self._folder, self._broken, skipped=self._skipped, accepts=accepts):
            reply = self._do(asked)
            self._journal.control_reply(asked.id, asked.kind, self._step, reply)

    @property
    def _where(self) -> str:
        """The run's step and stage, in words."""
        return where_text(self._step, self._stage)

    def _do(self, asked: Control) -> Reply:
        if self.stop_requested.is_set() and asked.kind != "stop" and not self._held:
            return refused("stopping", f"the run is stopping {self._where}")
        match asked.kind:
            case "pause":
                if self.is_paused:
                    return accepted("paused_already", f"is paused already, {self._where}")
                self._steps_to_go, self._hold_at = 0, None
                self._pause(HoldReason.PAUSE)
                return accepted("paused", f"paused {self._where}")
            case "continue":
                if not self.is_paused and not self._steps_to_go and self._hold_at is None:
                    return refused("not_paused", "the run is not paused")
                self._steps_to_go, self._hold_at = 0, None
                self._continue()
                return accepted("goes_on", f"continues {self._where}")
            case "step":
                return self._do_step(asked.to)
            case "checkpoint" if self._held:
                self._continue()
                return accepted("tries_again", "tries again")
            case "checkpoint":
                of = self._last_step
                if not of:
                    return refused("no_step_yet", "no step is made yet")
                if self._saved_step == of and is_complete(self._folder.checkpoints / f"checkpoint-{of}"):
                    return accepted("checkpoint_exists", f"there is a checkpoint of step {of} already")
                self._checkpoint = True
                return accepted("checkpoint", f"makes a checkpoint after step {of + 1 if self._in_between else of}")
            case "stop":
                self.request_stop(asked.checkpoint)
                saves = asked.checkpoint and self._last_step and not self._held
                return accepted("stops", f"stops {self._where}" + (", with a checkpoint" if saves else ""))
        handler = self.handlers.get(asked.kind)
        if handler is None:
            return refused("unknown_control", f"this run takes no {asked.kind.replace('_', ' ')}")
        return handler(asked)

    def _do_step(self, to: str) -> Reply:
        if to:
            if to not in ("next", *self.stages):
                known = f"the stages are: {', '.join(self.stages)}" if self.stages else "this kind of run has none"
                return refused("unknown_stage", f"there is no stage '{to}': {known}")
            self._hold_at = to
            self._continue()
            words = f"continues to the next stage, {self._where}" if to == "next" else f"continues until {to}"
            return accepted("goes_on", words)
        self._steps_to_go += 1
        self._continue()
        target = self._step + self._steps_to_go - (1 if self._stage else 0)
        return accepted("steps", f"makes step {target}, then pauses")

    def _pause(self, reason: HoldReason, detail: str = "") -> None:
        self.is_paused = True
        self.on_pause()
        self._journal.state(RunState.PAUSED, Hold(self._step, self._stage, reason, detail))

    def _continue(self) -> None:
        if self.is_paused:
            self.is_paused = False
            self._journal.state(RunState.RUNNING)

    def _broken(self, text: str) -> None:
        self._journal.event("control", text, level="warning")
