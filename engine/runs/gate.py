"""The gate that a run passes at every step's end, and a PPO batch at each of its stages.

Here controls are taken, here a run waits while it is paused, and here it is told what to do next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from looptop.engine.compute.cores import CORES
from looptop.engine.journal.causes import Hold, HoldReason, Stop, StopReason, where_text
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import Answer, RunState, refused, taken
from looptop.engine.runs import control
from looptop.engine.runs.checkpoint import is_whole
from looptop.engine.runs.control import Control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.processes import ALONE, Processes
from looptop.engine.runs.wire import travels

T = TypeVar("T")

# Steps can be shorter than a look into a folder is worth.
POLL_SECONDS = 0.05

STEP_END = ""
"""The stage that every run has."""


Wanted = Callable[[Control], bool]


def _everything(_asked: Control) -> bool:
    return True


@travels
class StepVerdict(Struct, frozen=True):
    """What to do after a step, or at a stage of one."""

    checkpoint: bool = False
    stop: bool = False


class Gate:
    """Takes a run's controls in the thread that trains.

    Args:
        folder: The run.
        journal: Where each control is answered.
        checkpoint_seconds: Ask for a checkpoint at least this often, pauses not counted; None never asks by itself.
    """

    def __init__(self, folder: RunFolder, journal: JournalWriter, checkpoint_seconds: float | None = None) -> None:
        self.stop_requested = threading.Event()
        """Set as soon as the run shall stop, whoever asked: what takes long looks at it on its way."""
        self.stop_reason = StopReason.REQUEST
        self._stop_detail = ""
        self.stops = 0
        """How often a stop was asked for."""
        self.has_stepped = False
        """Whether a step was made in this life of the run: before that there is nothing to save."""
        self.stages: tuple[str, ...] = ()
        """Where within a step the run can be held besides its end; its last one is the end."""
        self.handlers: dict[str, Callable[[Control], Answer]] = {}
        """What a kind of run does with controls of its own: kind of control to what answers it."""
        self.on_pause: Callable[[], None] = lambda: None
        """Called when the run is held: what is known of its step by now should be journalled."""
        self.processes: Processes = ALONE
        """Those that train this run: the first one's gate decides for all."""
        self._folder = folder
        self._journal = journal
        self._paused = False
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
        self._passed_over: set[str] = set()
        # Names in `controls/` that were read and cannot be removed.

    def begin_at(self, step: int) -> None:
        """Says which step the run goes on from."""
        self._step = step

    def request_stop(self, checkpoint: bool = True, reason: StopReason = StopReason.REQUEST, detail: str = "") -> None:
        """Asks the run to stop at the end of its step, or at the next stage of it; from any thread.

        Args:
            checkpoint: Make one of the last step first.
            reason: Why it shall stop.
            detail: More of the reason, for people.
        """
        self._stop_with_checkpoint = checkpoint
        self.stop_reason, self._stop_detail = reason, detail
        self.stops += 1
        self.stop_requested.set()

    def between_steps(self) -> bool:
        """Takes controls and waits while the run is paused, in the middle of what lies between two steps; says whether
        to stop. All of the run's processes come by.
        """
        return self._together(self._between_steps)

    def _between_steps(self) -> bool:
        self._in_between = True
        try:
            self._poll_when_due()
            self._wait(until_checkpoint=False)
        finally:
            self._in_between = False
        return self.stop_requested.is_set()

    def before_steps(self) -> bool:
        """As `between_steps`, in what lies before the first step: each of the run's processes comes by alone, and while
        the first one waits the others wait for it where they next meet. What only a step can do is left for it.
        """
        if time.monotonic() - self._last_poll >= POLL_SECONDS:
            self._poll(self._needs_no_step)
        self._wait(until_checkpoint=False, wanted=self._needs_no_step)
        return self.stop_requested.is_set()

    def _needs_no_step(self, asked: Control) -> bool:
        """Whether a control can be taken before the run knows its stages and batches. One to a stage cannot; it lets a
        paused run go on to its first batch.
        """
        if asked.kind == "step" and asked.to:
            self._go_on()
            return False
        return asked.kind in ("pause", "continue", "stop", "step")

    def stop_is_wanted(self) -> bool:
        """Whether the run shall stop, for a thread that does not train. A stop that was sent is taken here."""
        if not self.stop_requested.is_set() and time.monotonic() - self._last_poll >= POLL_SECONDS:
            self._last_poll = time.monotonic()
            if control.stop_is_waiting(self._folder, self._passed_over):
                self._poll()
        return self.stop_requested.is_set()

    @property
    def saves_before_it_stops(self) -> bool:
        """Whether the run is stopping, and its last step shall not be lost by it."""
        return self.stop_requested.is_set() and self._stop_with_checkpoint

    def why_stopped(self) -> Stop:
        """Why the run has stopped, and what of it there is to go on from."""
        step = self._last_step
        has_checkpoint = bool(step) and is_whole(self._folder.checkpoints / f"checkpoint-{step}")
        return Stop(self.stop_reason, step, has_checkpoint, self._stop_detail)

    @property
    def _last_step(self) -> int:
        # A batch that is held has changed no weight yet: a checkpoint is of the step before it.
        return self._step - 1 if self._stage else self._step

    def running_seconds(self) -> float:
        """Seconds since the run began, without those it was paused."""
        return time.monotonic() - self._began - self._paused_seconds

    def at_step_end(self, step: int) -> StepVerdict:
        """Takes controls, waits while the run is paused, and says what to do now.

        A checkpoint that is asked for while the run is paused lets it out to make it; `after_checkpoint` then goes on
        waiting.
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
        """As `at_step_end`, at a stage within a step: its batch can still be dropped, and made again on resume.

        Args:
            step: The step that is being made.
            stage: One of `stages`.
            hold: Why to hold the run here, if there is a reason.
        """
        return self._together(lambda: self._at_stage(step, stage, hold))

    def _at_stage(self, step: int, stage: str, hold: Hold | None) -> StepVerdict:
        self._step, self._stage = step, stage
        # First, so that a run that has only just begun is held in its first batch.
        self._poll_when_due()
        self._hold_where_wanted(stage)
        self._hold(hold)
        self._wait(until_checkpoint=True)
        return self._verdict()

    def after_checkpoint(self, step: int) -> bool:
        """Starts the time to the next checkpoint anew, and goes on waiting where the run is still paused.

        Args:
            step: The step that the checkpoint is of.

        Returns:
            Whether to stop.
        """
        return self._together(lambda: self._after_checkpoint(step))

    def _after_checkpoint(self, step: int) -> bool:
        self._last_checkpoint = self.running_seconds()
        self._saved_step = step
        self._wait(until_checkpoint=False)
        return self.stop_requested.is_set()

    def hold_until_continued(self, reason: HoldReason, detail: str) -> bool:
        """Holds the run, which may be stopping, because something could not be written.

        Args:
            reason: Whether the disk is full.
            detail: What, why, and what to do.

        Returns:
            Whether to try again: somebody let it go on. False where a further stop gives it up.
        """
        stops = self.stops
        self._held = self._paused = True
        self._journal.state(RunState.PAUSED, Hold(self._step, self._stage, reason, detail))
        began, before = time.monotonic(), self._paused_seconds
        with CORES.waiting():
            while self._paused and self.stops == stops:
                time.sleep(POLL_SECONDS)
                self._poll()
                self._paused_seconds = before + time.monotonic() - began
        self._held = self._paused = False
        return self.stops == stops

    def hold_at_step_end(self, hold: Hold) -> None:
        """Has the run held at the end of this step; for the thread that trains."""
        self._hold_at_end = hold

    def detach(self) -> None:
        """Drops what a kind of run has attached to the gate, and the models with it."""
        self.handlers = {}
        self.on_pause = lambda: None

    def discard_before(self, moment: float) -> None:
        """Answers what was sent to an earlier life of the run and never taken."""
        for old in control.take(self._folder, self._broken, before=moment, passed_over=self._passed_over):
            self._journal.control(old.id, old.kind, None, refused("too_late", "the run had ended before it came to it"))

    def end(self) -> None:
        """Answers what was sent too late to be taken; a stop counts all the same."""
        for late in control.take(self._folder, self._broken, passed_over=self._passed_over):
            self.stops += late.kind == "stop"
            self._journal.control(late.id, late.kind, None, refused("too_late", "the run has ended"))

    def _together(self, decide: Callable[[], T]) -> T:
        """What the first process decides, in all of them, and with it whether the run is stopping."""
        decided, stops = self.processes.decide(lambda: (decide(), self.stop_requested.is_set()))
        if stops:
            self.stop_requested.set()
        CORES.divide()
        return decided

    def _verdict(self) -> StepVerdict:
        stop = self.stop_requested.is_set()
        verdict = StepVerdict(self._checkpoint or (stop and self._stop_with_checkpoint), stop)
        self._checkpoint = False
        return verdict

    def _hold_where_wanted(self, stage: str) -> None:
        if self._hold_at in ("next", stage):
            self._hold_at = None
            self._pause(HoldReason.STAGE)

    def _hold(self, hold: Hold | None) -> None:
        if hold is not None and not self._paused:
            self._steps_to_go = 0
            self._pause(hold.reason, hold.detail)

    def _poll_when_due(self) -> None:
        if time.monotonic() - self._last_poll >= POLL_SECONDS:
            self._poll()

    def _wait(self, *, until_checkpoint: bool, wanted: Wanted = _everything) -> None:
        if not self._paused:
            return
        began, before = time.monotonic(), self._paused_seconds
        with CORES.waiting():
            while self._paused and not self.stop_requested.is_set() and not (until_checkpoint and self._checkpoint):
                self.stop_requested.wait(POLL_SECONDS)
                self._poll(wanted)
                self._paused_seconds = before + time.monotonic() - began

    def _poll(self, wanted: Wanted = _everything) -> None:
        self._last_poll = time.monotonic()
        for asked in control.take(self._folder, self._broken, passed_over=self._passed_over, wanted=wanted):
            answer = self._do(asked)
            self._journal.control(asked.id, asked.kind, self._step, answer)

    @property
    def _where(self) -> str:
        """Where the run stands, in words."""
        return where_text(self._step, self._stage)

    def _do(self, asked: Control) -> Answer:
        if self.stop_requested.is_set() and asked.kind != "stop" and not self._held:
            return refused("stopping", f"the run is stopping {self._where}")
        match asked.kind:
            case "pause":
                if self._paused:
                    return taken("paused_already", f"is paused already, {self._where}")
                self._steps_to_go, self._hold_at = 0, None
                self._pause(HoldReason.PAUSE)
                return taken("paused", f"paused {self._where}")
            case "continue":
                if not self._paused and not self._steps_to_go and self._hold_at is None:
                    return refused("not_paused", "the run is not paused")
                self._steps_to_go, self._hold_at = 0, None
                self._go_on()
                return taken("goes_on", f"goes on {self._where}")
            case "step":
                return self._do_step(asked.to)
            case "checkpoint" if self._held:
                self._go_on()
                return taken("tries_again", "tries again")
            case "checkpoint":
                of = self._last_step
                if not of:
                    return refused("no_step_yet", "no step is made yet")
                if self._saved_step == of and is_whole(self._folder.checkpoints / f"checkpoint-{of}"):
                    return taken("checkpoint_exists", f"the checkpoint of step {of} is there already")
                self._checkpoint = True
                return taken("checkpoint", f"makes a checkpoint after step {of + 1 if self._in_between else of}")
            case "stop":
                self.request_stop(asked.checkpoint)
                saves = asked.checkpoint and self._last_step and not self._held
                return taken("stops", f"stops {self._where}" + (", with a checkpoint" if saves else ""))
        handler = self.handlers.get(asked.kind)
        if handler is None:
            return refused("unknown_control", f"this run takes no {asked.kind.replace('_', ' ')}")
        return handler(asked)

    def _do_step(self, to: str) -> Answer:
        if to:
            if to not in ("next", *self.stages):
                stages = f"are: {', '.join(self.stages)}" if self.stages else "are none in this kind of run"
                return refused("unknown_stage", f"there is no stage '{to}'; the stages to step to {stages}")
            self._hold_at = to
            self._go_on()
            words = f"goes on to the next stage, {self._where}" if to == "next" else f"goes on until {to}"
            return taken("goes_on", words)
        self._steps_to_go += 1
        self._go_on()
        target = self._step + self._steps_to_go - (1 if self._stage else 0)
        return taken("steps", f"makes step {target}, then pauses")

    def _pause(self, reason: HoldReason, detail: str = "") -> None:
        self._paused = True
        self.on_pause()
        self._journal.state(RunState.PAUSED, Hold(self._step, self._stage, reason, detail))

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._journal.state(RunState.RUNNING)

    def _broken(self, text: str) -> None:
        self._journal.event("control", text, level="warning")
