"""Progress of an evaluation, and the time left; for the command and the app."""

from __future__ import annotations

import time

from looptop.engine.runs.progress import Progress


class ProgressMeter:
    """Measures activities that follow one another."""

    def __init__(self) -> None:
        self._text = ""
        self._began = self._began_time = 0.0
        self._begun_at = self._done = 0

    def measure(self, text: str, done: int, total: int) -> Progress:
        """The progress with the seconds that are left.

        Args:
            text: The activity. If it differs from the last call's, or less of it is done, a new one begins.
            done: How much of it is done.
            total: The total; 0 if unknown.
        """
        now = time.monotonic()
        if text != self._text or done < self._done:
            self._text, self._began, self._begun_at, self._began_time = text, now, done, time.time()
        self._done = done
        made = done - self._begun_at
        left = (now - self._began) / made * (total - done) if made > 0 and total > done else None
        return Progress(text, done, total, left, self._began_time)
