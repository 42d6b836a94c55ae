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
        kept: Keeps how long the last start took, from which the time left of the next is estimated.
    """

    def __init__(self, kept: StateFile) -> None:
        self.code = STARTING
        """`starting`, `loading MODEL`, `ready`, `ended` or `failed`."""
        self._kept = kept
        self._since = time.monotonic()
        self._start_began: float | None = self._since
        """When the process was started, as long as it has not answered yet."""

    @property
    def is_waiting(self) -> bool:
        """Whether the model is being started or loaded."""
        return self.code not in (READY, ENDED, FAILED)

    def change(self, code: str) -> None:
        """Takes a new status."""
        if code == self.code:
            return
        now = time.monotonic()
        if code == STARTING:
            self._start_began = now
        elif code == READY and self._start_began is not None:
            self._kept.keep_start_seconds(now - self._start_began)
            self._start_began = None
        elif code in (ENDED, FAILED):
            self._start_began = None
        self.code, self._since = code, now

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
        return text + self._duration() if self.is_waiting else text

    def _duration(self) -> str:
        began = self._since if self._start_began is None else self._start_began
        taken = time.monotonic() - began
        if taken < SHOWN_AFTER_SECONDS:
            return "…"
        left = self._kept.state.start_seconds - taken if self._start_began is not None else 0.0
        return f", {int(taken)} s so far" + (f", about {left:.0f} s left" if left >= 1 else "")
