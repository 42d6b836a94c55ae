"""What the answering process is doing, in words, with the time so far and the time left."""

from __future__ import annotations

import time

from looptop.engine.text import visible
from looptop.tui.kept_state import StateFile

STARTING, READY, ENDED, FAILED = "starting", "ready", "ended", "failed"

SHOWN_AFTER_SECONDS = 1.0
"""After how many seconds it is said how long the wait has been."""


class ModelStatus:
    """The status of the process, and since when it has it.

    Args:
        state_file: Keeps how long the last start took, from which the time left of the next is estimated.
    """

    def __init__(self, state_file: StateFile) -> None:
        self.code = STARTING
        """One of the four codes above; any other text says what is being loaded and is shown as it is."""
        self._state_file = state_file
        self._status_time = time.monotonic()
        self._start_time: float | None = self._status_time
        """When the process was started, as long as it has not answered yet."""

    @property
    def is_loading(self) -> bool:
        """Whether the model is being started or loaded."""
        return self.code not in (READY, ENDED, FAILED)

    def change(self, code: str) -> None:
        """Takes a new status."""
        if code == self.code:
            return
        now = time.monotonic()
        if code == STARTING:
            self._start_time = now
        elif code == READY and self._start_time is not None:
            self._state_file.keep_start_seconds(now - self._start_time)
            self._start_time = None
        elif code in (ENDED, FAILED):
            self._start_time = None
        self.code, self._status_time = code, now

    def text(self, unanswered: int = 0) -> str:
        """The status in words.

        Args:
            unanswered: The number of questions that wait for an answer.
        """
        if self.code == READY and unanswered:
            return "answering…" if unanswered == 1 else f"answering {unanswered} questions…"
        words = {
            READY: "ready",
            ENDED: "the model's process ended; ask again to restart it",
            FAILED: "it cannot be loaded; m chooses another",
            STARTING: "starting: loading PyTorch",
        }
        text = words.get(self.code, visible(self.code))
        return text + self._time_text() if self.is_loading else text

    def _time_text(self) -> str:
        began = self._status_time if self._start_time is None else self._start_time
        taken = time.monotonic() - began
        if taken < SHOWN_AFTER_SECONDS:
            return "…"
        left = self._state_file.state.start_seconds - taken if self._start_time is not None else 0.0
        return f", {int(taken)} s so far" + (f", about {left:.0f} s left" if left >= 1 else "")
