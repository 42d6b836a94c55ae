"""The gate that a run passes at every step's end: takes the controls, waits while paused, says what to do next."""

from __future__ import annotations

import threading
import time

from msgspec import Struct

from looptop.engine.runs import control
from looptop.engine.runs.checkpoint import is_whole
from looptop.engine.runs.control import Control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.journal import JournalWriter
from looptop.engine.runs.records import RunState

# Steps can be shorter than a look into a folder is worth.
LOOK_SECONDS = 0.05


class StepVerdict(Struct, frozen=True):
    """What to do after a step."""

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
        self._folder = folder
        self._journal = journal
        self._paused = False
        self._steps_to_go = 0
        self._saved_step: int | None = None
        self._stop_with_checkpoint = True
        self._checkpoint = False
        self._last_look = 0.0
        self._began = time.monotonic()
        self._paused_seconds = 0.0
        self._checkpoint_seconds = checkpoint_seconds
        self._last_checkpoint = 0.0

    def request_stop(self, checkpoint: bool = True) -> None:
        """Asks the run to stop at the end of its step; from any thread."""
        self._stop_with_checkpoint = checkpoint
        self.stop_requested.set()

    def running_seconds(self) -> float:
        """Seconds since the run began, without those it was paused."""
        return time.monotonic() - self._began - self._paused_seconds

    def at_step_end(self, step: int) -> StepVerdict:
        """Takes controls, waits while the run is paused, and says what to do now.

        A checkpoint that is asked for while the run is paused lets it out to make it; `after_checkpoint` then goes on
        waiting.
        """
        if self._steps_to_go:
            self._steps_to_go -= 1
            if not self._steps_to_go:
                self._pause(step)
        if time.monotonic() - self._last_look >= LOOK_SECONDS:
            self._look(step)
        self._wait(step, until_checkpoint=True)
        if self._checkpoint_seconds is not None:
            due = self.running_seconds() - self._last_checkpoint >= self._checkpoint_seconds
            self._checkpoint = self._checkpoint or due
        stop = self.stop_requested.is_set()
        verdict = StepVerdict(self._checkpoint or (stop and self._stop_with_checkpoint), stop)
        self._checkpoint = False
        return verdict

    def after_checkpoint(self, step: int) -> bool:
        """Starts the time to the next checkpoint anew, and goes on waiting where the run is still paused.

        Returns:
            Whether to stop.
        """
        self._last_checkpoint = self.running_seconds()
        self._saved_step = step
        self._wait(step, until_checkpoint=False)
        return self.stop_requested.is_set()

    def discard_before(self, moment: float) -> None:
        """Answers what was sent to an earlier life of the run and never taken."""
        for old in control.take(self._folder, self._broken, before=moment):
            self._journal.control(old.id, old.kind, None, "not taken: the run had ended before it came to it")

    def end(self) -> None:
        """Answers what was sent too late to be taken."""
        for late in control.take(self._folder, self._broken):
            self._journal.control(late.id, late.kind, None, "not taken: the run has ended")

    def _wait(self, step: int, *, until_checkpoint: bool) -> None:
        began, before = time.monotonic(), self._paused_seconds
        while self._paused and not self.stop_requested.is_set() and not (until_checkpoint and self._checkpoint):
            self.stop_requested.wait(LOOK_SECONDS)
            self._look(step)
            self._paused_seconds = before + time.monotonic() - began

    def _look(self, step: int) -> None:
        self._last_look = time.monotonic()
        for asked in control.take(self._folder, self._broken):
            answer = self._do(asked, step)
            self._journal.control(asked.id, asked.kind, step, answer)

    def _do(self, asked: Control, step: int) -> str:
        if self.stop_requested.is_set() and asked.kind != "stop":
            return f"not taken: the run is stopping after step {step}"
        match asked.kind:
            case "pause":
                if self._paused:
                    return f"is paused already, after step {step}"
                self._steps_to_go = 0
                self._pause(step)
                return f"paused after step {step}"
            case "continue":
                if not self._paused and not self._steps_to_go:
                    return "not taken: the run is not paused"
                self._steps_to_go = 0
                self._go_on()
                return f"goes on after step {step}"
            case "step":
                self._steps_to_go += 1
                self._go_on()
                return f"makes step {step + self._steps_to_go}, then pauses"
            case "checkpoint":
                if self._saved_step == step and is_whole(self._folder.checkpoints / f"checkpoint-{step}"):
                    return f"the checkpoint of step {step} is there already"
                self._checkpoint = True
                return f"makes a checkpoint after step {step}"
            case "stop":
                self.request_stop(asked.checkpoint)
                return f"stops after step {step}" + (", with a checkpoint" if asked.checkpoint else "")

    def _pause(self, step: int) -> None:
        self._paused = True
        self._journal.state(RunState.PAUSED, f"after step {step}")

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._journal.state(RunState.RUNNING)

    def _broken(self, text: str) -> None:
        self._journal.event("control", text, level="warning")
