"""Finds the differences between two texts, word by word."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

MOST_WORDS = 4000
"""Longer texts, in words, are not compared: it would take longer than a key may."""


class Piece(NamedTuple):
    """A part of a text that is the same in both texts, or differs."""

    text: str
    differs: bool


def differing(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces; the pieces that only one text has are marked."""
    ours, theirs = (re.findall(r"\s*\S+|\s+$", text) for text in (one, other))
    if len(ours) + len(theirs) > MOST_WORDS:
        return [Piece(one, False)], [Piece(other, False)]
    matcher = difflib.SequenceMatcher(None, [word.strip() for word in ours], [word.strip() for word in theirs], False)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        if b > a:
            left.append(Piece("".join(ours[a:b]), tag != "equal"))
        if d > c:
            right.append(Piece("".join(theirs[c:d]), tag != "equal"))
    return left, right
