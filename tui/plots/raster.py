"""Draws lines into cells of Braille: 2 by 4 dots a cell, with one role for each cell.

Neighbouring points are joined by straight lines of dots, so a curve is continuous at every size. plotext draws charts
as plain text (`text_picture.py`), but puts the ends of an axis into the middle of a cell: a chart two text rows high,
as at 80x24, would use only five of its eight dot rows. And a dozen charts would take 14 ms instead of 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from looptop.tui.plots.curves import FAINT, FIFTH, FIRST, FOURTH, LEVEL, SECOND, SIXTH, THIRD, TextSpan

_DOT_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot in a Braille character, by dot column and dot row of the cell."""

_MASKS = [
    [[sum(bits[at] for at in range(top, bottom + 1)) for bottom in range(4)] for top in range(4)] for bits in _DOT_BITS
]
"""The bits of the dots from one dot row to another, by dot column, first and last dot row of the cell."""

_BEHIND = (FAINT, LEVEL)
"""Roles of the background. Draw them first: the dots of other roles replace theirs in a cell."""


class Pattern(NamedTuple):
    """How a line is told from others without colour: its dashes, and its markers in a legend and at its points."""

    dashes: str
    """Its dots along the line: `#` is drawn, a space is not."""
    marker: str
    point_marker: str


PLAIN = Pattern("#", "━", "•")
PATTERNS = {
    FIRST: PLAIN,
    SECOND: Pattern("######   ", "╍", "◦"),
    THIRD: Pattern("##  ", "┅", "▪"),
    FOURTH: Pattern("########  #  ", "┉", "▫"),
    FIFTH: Pattern("###     ", "╌", "▴"),
    SIXTH: Pattern("#   ", "┈", "▵"),
    FAINT: Pattern("#  ", "·", "·"),
}
"""The pattern of each curve's role on a terminal without colours; horizontal lines have `LEVEL_PATTERN`."""
LEVEL_PATTERN = Pattern("##  ", "┄", "•")
"""The pattern of horizontal lines, with and without colours."""


class Raster:
    """A rectangle of cells, `width` by `height`; dots are counted from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cell_bits = [bytearray(width) for _ in range(height)]
        self._roles = [bytearray(width) for _ in range(height)]
        self._characters: dict[tuple[int, int], str] = {}

    def line(self, dots: Sequence[tuple[int, int]], role: int, pattern: Pattern = PLAIN) -> None:
        """Draws a line through dots.

        Args:
            dots: The column and the row of each dot, counted from the upper left corner. No column is left of the one
                before.
            role: The role of the line's cells.
            pattern: The line's dashes.
        """
        if pattern.dashes == PLAIN.dashes:
            for x, top, bottom in _dot_columns(dots):
                self._dot_column(x, top, bottom, role)
            return
        dashes, length = pattern.dashes, 0
        before: tuple[int, int] | None = None
        for dot in dots:
            for x, y in _between(before or dot, dot):
                if dashes[length % len(dashes)] == "#":
                    self._dot_column(x, y, y, role)
                length += 1
            before = dot

    def _dot_column(self, x: int, top: int, bottom: int, role: int) -> None:
        """Draws the dots of dot column `x` from dot row `top` to `bottom`."""
        column, behind = x // 2, role in _BEHIND
        if not 0 <= column < self.width:
            return
        masks = _MASKS[x % 2]
        for row in range(max(0, top // 4), min(self.height - 1, bottom // 4) + 1):
            mask = masks[max(0, top - 4 * row)][min(3, bottom - 4 * row)]
            bits, roles = self._cell_bits[row], self._roles[row]
            if not behind and roles[column] in _BEHIND:
                bits[column] = 0  # so that a curve stays visible on what is behind it
            bits[column] |= mask
            roles[column] = role

    def point(self, dot: tuple[int, int], role: int, marker: str) -> None:
        """Writes a marker into the cell of a dot; `dot` is its column and its row of dots."""
        self.character(dot[0] // 2, dot[1] // 4, marker, role)

    def character(self, column: int, row: int, character: str, role: int) -> None:
        """Writes a character into a cell, over whatever is in it."""
        if 0 <= row < self.height and 0 <= column < self.width:
            self._characters[row, column] = character
            self._roles[row][column] = role

    def is_free(self, row: int, columns: Iterable[int]) -> bool:
        """Whether these cells of a row are empty, or hold only dots of the background; False outside of the raster."""
        return 0 <= row < self.height and all(
            0 <= column < self.width
            and (row, column) not in self._characters
            and (not self._cell_bits[row][column] or self._roles[row][column] in _BEHIND)
            for column in columns
        )

    def rows(self) -> list[list[TextSpan]]:
        """The rows of text, from the top."""
        texts = []
        for row in range(self.height):
            characters = [chr(0x2800 + bits) if bits else " " for bits in self._cell_bits[row]]
            texts.append(characters)
        for (row, column), character in self._characters.items():
            texts[row][column] = character
        return [_fewest_spans(characters, roles) for characters, roles in zip(texts, self._roles, strict=True)]


def _dot_columns(dots: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """The dot columns of a line through these dots, each with its first and last dot row.

    A dot column is drawn from where the line enters it to where it leaves it, so neighbouring ones touch.
    """
    if len(dots) == 1:
        yield dots[0][0], dots[0][1], dots[0][1]
    for (x0, y0), (x1, y1) in pairwise(dots):
        across, down = x1 - x0, y1 - y0
        if across <= 0:
            yield x0, min(y0, y1), max(y0, y1)
        elif abs(down) <= across:
            for x in range(x0, x1 + 1):
                y = round(y0 + down * (x - x0) / across)
                yield x, y, y
        else:
            enter = y0
            for x in range(x0, x1 + 1):
                leave = y1 if x == x1 else round(y0 + down * (x - x0 + 0.5) / across)
                yield x, min(enter, leave), max(enter, leave)
                enter = leave + (1 if down > 0 else -1)
                if x + 1 == x1 and (enter - y1) * down > 0:
                    enter = y1


def _between(begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots of a straight line, without the first unless it is the only one."""
    (x0, y0), (x1, y1) = begin, end
    count = max(abs(x1 - x0), abs(y1 - y0))
    if count <= 1:
        return [end]
    return [(x0 + round((x1 - x0) * at / count), y0 + round((y1 - y0) * at / count)) for at in range(1, count + 1)]


def _fewest_spans(characters: Sequence[str], roles: Sequence[int]) -> list[TextSpan]:
    """A row cut into as few spans as possible: blanks show no role and join the span before them, or the first one."""
    out: list[TextSpan] = []
    begin, role = 0, 0
    for at, character in enumerate(characters):
        if character != " " and roles[at] != role:
            if at > begin and role:
                out.append(TextSpan("".join(characters[begin:at]), role))
                begin = at
            role = roles[at]
    return [*out, TextSpan("".join(characters[begin:]), role)]


def text_spans(characters: Sequence[str], roles: Sequence[int]) -> list[TextSpan]:
    """A row cut wherever the role changes, at blanks too: in a marked column they have a background colour."""
    out: list[TextSpan] = []
    begin = 0
    for at in range(1, len(characters) + 1):
        if at == len(characters) or roles[at] != roles[begin]:
            out.append(TextSpan("".join(characters[begin:at]), roles[begin]))
            begin = at
    return out
