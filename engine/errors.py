"""The one kind of error that a person, not a programmer, can cause and mend."""

from __future__ import annotations


class LooptopError(Exception):
    """Something a person can put right: one sentence that says what was wrong, where, and what to do.

    The command line prints it on stderr and exits with 2; the app shows it; a run journals it as its reason.
    """
