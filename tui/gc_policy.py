"""Garbage is collected while the keys rest: looking through all that the app holds takes a tenth of a second, which no
key should wait for. What is young is collected as ever, in a millisecond or two, but less often: most of what a drawing
makes is gone by itself before.
"""

from __future__ import annotations

import gc
import time

REST = 1.0
"""Seconds without a key after which the keys rest."""
DUE = 10
"""So many collections of what is younger make one of everything due, as they do by Python's own count."""
YOUNG = 5000
"""New objects after which what is young is looked through; as Python has it, 700, that was a sixteenth of what the app
cost beside a run."""
AT_LAST = 200
"""After so many it is not put off any longer, though keys come all the time."""


def wait() -> None:
    """Collects nothing until a `Collecting` is made: nothing of what is made on the way there can be given back."""
    gc.disable()


class Collecting:
    """Decides when everything is looked through; what is there when this is made never is again."""

    def __init__(self) -> None:
        gc.freeze()
        gc.set_threshold(YOUNG, gc.get_threshold()[1], AT_LAST)
        gc.enable()
        self._last_key = time.monotonic()

    def key(self) -> None:
        """A key has come."""
        self._last_key = time.monotonic()

    def look(self) -> None:
        """Collects where it is due and the keys rest."""
        if gc.get_count()[2] >= DUE and time.monotonic() - self._last_key >= REST:
            gc.collect()
