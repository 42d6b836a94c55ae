"""Points in time and durations as text. A number that is not a valid time gives a question mark, never an error."""

from __future__ import annotations

import math
import time

# The end of the year 9999, minus a day for time zones: `strftime` cannot write later dates.
_LATEST = 253_402_214_400.0
# A hundred years.
_LONGEST = 3_155_760_000.0

UNKNOWN = "?"


def is_time(seconds: object) -> bool:
    """Whether this is a point in time that can be written: seconds since the epoch, from 1970 to the year 9999."""
    return isinstance(seconds, int | float) and 0 <= seconds <= _LATEST


def is_duration(seconds: object) -> bool:
    """Whether this is a duration that a run can have, in seconds: not negative, and at most a hundred years."""
    return isinstance(seconds, int | float) and math.isfinite(seconds) and 0 <= seconds <= _LONGEST


def local_time(seconds: float, form: str) -> str:
    """A point in time in local time, formatted by `strftime`; `?` if the number is not a valid time."""
    if not is_time(seconds):
        return UNKNOWN
    try:
        return time.strftime(form, time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # this platform's calendar ends earlier
        return UNKNOWN
