"""Entries of a log or of events: their levels, their lines wrapped to a width, and what a search finds in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from looptop.engine.text import counted

LEVELS = ("info", "warning", "error")
"""From the least to the most serious."""
LEVEL_NAMES = ("all levels", "warnings and errors", "errors")
"""What is shown from each level on."""


class Entry(NamedTuple):
    """One entry, or a further line of the entry before it."""

    text: str
    """Safe to show, without line feeds."""
    level: str = "info"
    stamp: str = ""
    """When it happened, in front of the text."""
    continued: bool = False
    """Whether it belongs to the entry before it, and is not counted."""


class Line(NamedTuple):
    """A line of the screen: a part of an entry."""

    entry: int
    """The index of the entry."""
    text: str
    first: bool
    """Whether it is the entry's first line, which has the stamp."""


def counts(entries: Iterable[Entry]) -> tuple[int, int]:
    """The number of warnings and of errors."""
    levels = [entry.level for entry in entries if not entry.continued and entry.level != "info"]
    errors = levels.count("error")
    return len(levels) - errors, errors


def counts_text(warnings: int, errors: int) -> str:
    """The numbers for people, such as "2 warnings, 1 error"; empty if there are none."""
    named = ((warnings, "warning"), (errors, "error"))
    return ", ".join(counted(count, word) for count, word in named if count)


def is_shown(entry: Entry, level: str) -> bool:
    """Whether an entry is at least as serious as a level."""
    return level == "info" or (entry.level in LEVELS and LEVELS.index(entry.level) >= LEVELS.index(level))


def lines_of(entries: Sequence[Entry], width: int, level: str = "info", start: int = 0) -> list[Line]:
    """The lines of entries, wrapped.

    Args:
        entries: The entries.
        width: The cells in a line; the entry's stamp and a space are a part of it.
        level: The least level that is shown.
        start: The index of the first entry.
    """
    lines = []
    for index in range(start, len(entries)):
        entry = entries[index]
        if level != "info" and not is_shown(entry, level):
            continue
        if len(entry.text) + len(entry.stamp) < width and entry.text.isascii():
            lines.append(Line(index, entry.text, True))
        else:
            room = max(8, width - (len(entry.stamp) + 1 if entry.stamp else 0))
            lines += [Line(index, part, not number) for number, part in enumerate(wrapped(entry.text, room))]
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, broken at spaces where there are some.

    A character that is wider than a line has one of its own.
    """
    lines = []
    while (fits := _fitting(text, width)) < len(text):
        space = text.rfind(" ", 1, fits + 1)
        cut = fits if space < 0 else space
        lines.append(text[:cut])
        text = text[cut if space < 0 else cut + 1 :]
    return [*lines, text]


def _fitting(text: str, width: int) -> int:
    """The number of the first characters, 1 at least, that fit in `width` cells."""
    if text.isascii():
        return max(width, 1)
    cells = 0
    for index, char in enumerate(text):
        cells += cell_len(char)
        if cells > width:
            return max(index, 1)
    return len(text)


def matches(entries: Sequence[Entry], words: re.Pattern[str], level: str = "info") -> list[int]:
    """The indices of the entries that are shown and hold the words."""
    return [index for index, each in enumerate(entries) if words.search(each.text) and is_shown(each, level)]


def pattern_of(words: str) -> re.Pattern[str]:
    """Finds these words, in any case."""
    return re.compile(re.escape(words), re.IGNORECASE)
