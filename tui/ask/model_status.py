"""What the answering process is doing, in words, with the time so far and the time left."""

from __future__ import annotations

import time
from enum import Enum, auto

from looptop.engine.helpers.process import HelperReply, HelperState
from looptop.engine.text import visible
from looptop.tui.kept_state import StateFile

SHOWN_AFTER_SECONDS = 1.0
"""After how many seconds it is said how long the wait has been."""


class ModelState(Enum):
    """What the process can be doing, and whether the model could be loaded."""

    STARTING = auto()
    LOADING = auto()
    READY = auto()
    ENDED = auto()
    FAILED = auto()


_STATES = {
    HelperState.STARTING: ModelState.STARTING,
    HelperState.WORKING: ModelState.LOADING,
    HelperState.READY: ModelState.READY,
    HelperState.ENDED: ModelState.ENDED,
}


class ModelStatus:
    """The status of the process, and since when it has it.

    Args:
        state_file: Keeps how long the last start took, from which the time left of the next is estimated.
    """

    def __init__(self, state_file: StateFile) -> None:
        self.state = ModelState.STARTING
        self._loading = ""
        """What is being loaded, in words, in the state `LOADING`."""
        self._state_file = state_file
        self._status_time = time.monotonic()
        self._start_time: float | None = self._status_time
        """When the process was started, as long as it has not answered yet."""

    @property
    def is_loading(self) -> bool:
        """Whether the model is being started or loaded."""
        return self.state in (ModelState.STARTING, ModelState.LOADING)

    def take(self, reply: HelperReply) -> None:
        """Takes the state of the process from its reply."""
        self.change(_STATES[reply.state], reply.activity)

    def change(self, state: ModelState, loading: str = "") -> None:
        """Takes a new status.

        Args:
            state: What the process is doing.
            loading: With `LOADING`: what is being loaded, in words.
        """
        if (state, loading) == (self.state, self._loading):
            return
        now = time.monotonic()
        if state is ModelState.STARTING:
            self._start_time = now
        elif state is ModelState.READY and self._start_time is not None:
            self._state_file.keep_start_seconds(now - self._start_time)
            self._start_time = None
        elif state in (ModelState.ENDED, ModelState.FAILED):
            self._start_time = None
        self.state, self._loading, self._status_time = state, loading, now

    def text(self, unanswered: int = 0) -> str:
        """The status in words.

        Args:
            unanswered: The number of questions that wait for an answer.
        """
        if self.state is ModelState.READY and unanswered:
            return "answering…" if unanswered == 1 else f"answering {unanswered} questions…"
        words = {
            ModelState.STARTING: "starting: loading PyTorch",
            ModelState.READY: "ready",
            ModelState.ENDED: "the model's process ended; ask again to restart it",
            ModelState.LOADING: visible(self._loading),
            ModelState.FAILED: "it cannot be loaded; m chooses another",
        }
        return words[self.state] + (self._time_text() if self.is_loading else "")

    def _time_text(self) -> str:
        began = self._status_time if self._start_time is None else self._start_time
        taken = time.monotonic() - began
        if taken < SHOWN_AFTER_SECONDS:
            return "…"
        left = self._state_file.state.start_seconds - taken if self._start_time is not None else 0.0
        return f", {int(taken)} s so far" + (f", about {left:.0f} s left" if left >= 1 else "")
