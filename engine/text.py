"""Makes text from outside (answers, data, file names, exceptions) safe to show on a terminal, and joins lists."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

EMPTY = "(empty)"
"""What is shown for an answer without any text."""

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}


def visible(text: object, *, keep_lines: bool = False) -> str:
    """The text with everything that could control a terminal replaced by a visible mark.

    C0 controls and DEL become their Unicode control pictures (ESC is shown as ␛); C1 controls, bidirectional and other
    invisible format controls, lone surrogates, and separators of lines and paragraphs become U+FFFD.

    Args:
        text: Anything; `str()` is applied first.
        keep_lines: Keep line feeds, and write each tab as four spaces.
    """
    if not isinstance(text, str):
        text = str(text)
    if text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    for char in text:
        code = ord(char)
        if keep_lines and char == "\n":
            out.append(char)
        elif keep_lines and char == "\t":
            out.append("    ")
        elif code in _PICTURES:
            out.append(_PICTURES[code])
        elif unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            out.append("\ufffd")
        else:
            out.append(char)
    return "".join(out)


def visible_lines(text: str) -> str:
    """The text with its line feeds and tabs kept, and everything else that could control a terminal replaced."""
    if text.isascii() and text.isprintable():
        return text
    return "\n".join("\t".join(visible(part) for part in line.split("\t")) for line in text.split("\n"))


def visible_answer(text: str) -> str:
    """An answer, safe to show; `EMPTY` if it has no text."""
    return visible(text) if text.strip() else EMPTY


def join_text(parts: Sequence[str], conjunction: str) -> str:
    """One or more parts as one text, with a word before the last: "a, b or c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {conjunction} {parts[-1]}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things: "1 image", "2,000 images", "2 queries" with the plural "queries"."""
    return f"1 {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def count_text(count: int) -> str:
    """A number of parameters for people: "371,521", "124.4 million", "11.0 billion"."""
    if count >= 10**9:
        return f"{count / 10**9:,.1f} billion"
    return f"{count / 10**6:,.1f} million" if count >= 10**6 else f"{count:,}"
