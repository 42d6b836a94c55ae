"""Points in time and lengths of time as text; a number that is no time is a question mark, never an error."""

from __future__ import annotations

import math
import time

# The last day of the year 9999, less a day for time zones: what comes after it no calendar of this machine can write.
_LATEST = 253_402_214_400.0
# A hundred years.
_LONGEST = 3_155_760_000.0

UNKNOWN = "?"


def is_time(seconds: object) -> bool:
    """Whether this is a point in time that a calendar has: seconds since the epoch, between 1970 and the year 9999."""
    return isinstance(seconds, int | float) and 0 <= seconds <= _LATEST


def is_length(seconds: object) -> bool:
    """Whether this is a length of time that a run can take: not negative, and no more than a hundred years."""
    return isinstance(seconds, int | float) and math.isfinite(seconds) and 0 <= seconds <= _LONGEST


def local_time(seconds: float, form: str) -> str:
    """A point in time on this machine's clock, written as `strftime` does; `?` where the number is no time."""
    if not is_time(seconds):
        return UNKNOWN
    try:
        return time.strftime(form, time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # a calendar that ends earlier
        return UNKNOWN
