"""Text of the app: text from outside made safe to show, and numbers, sizes and durations in a few characters.

Textual takes a plain `str` as markup (`"[b]"` vanishes, `"[/b]"` ends the app, `"[@click=…]"` can be clicked), and
passes escape sequences to the terminal. So all text from outside this package must go through `safe`.
"""

from __future__ import annotations

import math
import unicodedata

from rich.segment import Segment
from textual.color import Color
from textual.content import Content
from textual.filter import LineFilter

from looptop.engine.text import visible
from looptop.engine.times import UNKNOWN, is_duration


def safe(text: object, style: str = "", *, keep_lines: bool = False) -> Content:
    """The text without markup, with a visible mark for every character that could control the terminal."""
    return Content.styled(visible(text, keep_lines=keep_lines), style)


def cell(text: object, width: int, style: str = "") -> Content:
    """The text in exactly `width` cells: cut with an ellipsis, or filled up with spaces."""
    # Cut first, so that a text of a million characters is not measured to its end.
    return safe(str(text)[: 4 * width + 4], style).truncate(max(width, 1), ellipsis=True, pad=True)


class VisibleLines(LineFilter):
    """Removes everything that could control the terminal from the output of all widgets, as a last safeguard."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments, with a visible mark for each control character."""
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [
            segment if segment.control or segment.text.isprintable() else Segment(visible(segment.text), segment.style)
            for segment in segments
        ]


IN_THE_LOG = "  l: all of it, in the log"


def reason(line: Content, width: int) -> Content:
    """A line with the reason why a run ended, cut to the width; a cut line says where to read the rest."""
    if line.cell_length <= width:
        return line
    return line.truncate(max(1, width - len(IN_THE_LOG)), ellipsis=True) + Content.styled(IN_THE_LOG, "bold")


def number(value: float) -> str:
    """A figure in a few characters, as a person would write it: 12,500  0.0231  1.2e-5."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+")
    if size >= 1000:
        return f"{value:,.0f}"
    if value == int(value) and size < 1000:
        return f"{int(value)}"
    return f"{value:.{1 if size >= 100 else 2 if size >= 10 else 3 if size >= 1 else 4}f}"


def short_number(value: float | None, decimals: int = 2) -> str:
    """A number with this many decimals, in seven characters at most; a dot if it is not known yet."""
    if value is None or math.isnan(value):
        return "·"
    if math.isinf(value):
        return str(value)
    for text in (f"{value:.{decimals}f}", number(value)):
        if len(text) <= 7:
            return text if any(digit in text for digit in "123456789") else f"{0:.{decimals}f}"
    return f"{value:.0e}".replace("e+", "e").replace("e-0", "e-")


def duration(seconds: float) -> str:
    """A duration in two units at most: 45 s, 3 min 20 s, 2 h 5 min."""
    if not math.isfinite(seconds) or (seconds > 0 and not is_duration(seconds)):
        return "unknown"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """A number of bytes as MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def percent(fraction: float) -> str:
    """A probability in percent, six characters wide."""
    return f"{UNKNOWN:>6}" if not abs(fraction) < 1e4 else f"{100 * fraction:5.1f}%"


def probability(fraction: float) -> str:
    """A probability in percent, six characters wide. It is 0 or 100 only if it is exactly that."""
    if 0 < fraction < 0.0005:
        return " <0.1%"
    return ">99.9%" if 0.9995 <= fraction < 1 else percent(fraction)


EIGHTHS = " ▁▂▃▄▅▆▇█"
"""A cell filled from below, by the eighth."""


def bar(fraction: float, width: int) -> str:
    """A horizontal bar of at most `width` cells, drawn to an eighth of a cell."""
    eighths = round(max(0.0, min(fraction, 1.0)) * width * 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def pasted_line(text: str) -> str:
    """A pasted text as one line: spaces between its lines and for tabs, and no other control characters."""
    lines = [line.rstrip() for line in text.splitlines()]
    if len(lines) > 1 or text.endswith(("\n", "\r")):
        text = " ".join(line for line in lines if line)
    return "".join(char for char in text.replace("\t", " ") if unicodedata.category(char) != "Cc")
