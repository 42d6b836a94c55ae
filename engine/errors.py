"""Errors that a person can cause and correct, and the text of other errors in one line."""

from __future__ import annotations

import msgspec

from looptop.engine.text import visible

MAX_ERROR_LENGTH = 500
"""The longest error text that is passed on, in characters."""

UNREADABLE = (ValueError, RecursionError, msgspec.MsgspecError)
"""What readers of JSON, TOML and MessagePack raise for damaged data: not UTF-8, not the format, nested too deeply, a
number with thousands of digits, another type."""


class LooptopError(Exception):
    """A problem that a person can correct: one sentence that says what is wrong, where, and what to do.

    The command line prints it on stderr and exits with 2; the app shows it; a run journals it as its reason.
    """


class SettingError(LooptopError):
    """One setting of a run has a value that cannot be used.

    Args:
        key: The setting, as `--set` takes it.
        sentence: What is wrong with it.
    """

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


def error_text(error: BaseException) -> str:
    """The first line of an error's message, safe to show; the name of its type if it has no message."""
    lines = str(getattr(error, "strerror", None) or error).splitlines()
    line = next((line.strip() for line in lines if line.strip()), type(error).__name__)
    return visible(line)[:MAX_ERROR_LENGTH]
