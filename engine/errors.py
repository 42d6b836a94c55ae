"""The one kind of error that a person, not a programmer, can cause and mend; and what other errors say in a line."""

from __future__ import annotations

import msgspec

from looptop.engine.text import visible

LONGEST = 500
"""Characters of what another program's error says that are passed on."""


UNREADABLE = (ValueError, RecursionError, msgspec.MsgspecError)
"""What readers of JSON, TOML and MessagePack raise where the text is damaged: not UTF-8, not the format, nested without
end, a number of thousands of digits, of another type."""


class LooptopError(Exception):
    """Something a person can put right: one sentence that says what was wrong, where, and what to do.

    The command line prints it on stderr and exits with 2; the app shows it; a run journals it as its reason.
    """


class SettingError(LooptopError):
    """One setting of a run cannot be as it is.

    Args:
        key: The setting, as `--set` takes it.
        sentence: What is wrong with it.
    """

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


def error_text(error: BaseException) -> str:
    """The first line of what an error says, safe to show; its type's name where it says nothing."""
    lines = str(getattr(error, "strerror", None) or error).splitlines()
    line = next((line.strip() for line in lines if line.strip()), type(error).__name__)
    return visible(line)[:LONGEST]
