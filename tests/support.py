"""What several tests use."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(predicate: Callable[[], object], limit: float = 60.0) -> object:
    """Waits until the predicate holds and returns what it gave; fails when `limit` seconds have passed."""
    end = time.monotonic() + limit
    pause = 0.005
    while not (value := predicate()):
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {limit} s: {predicate}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    return value
