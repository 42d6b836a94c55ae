"""Draws lines into cells of Braille: 2 by 4 dots a cell, with one role for each cell.

Neighbouring points are joined by straight lines of dots, so a curve is continuous at every size. plotext can draw lines
too, but it puts the ends of an axis into the middle of a cell, so a chart of two lines, as there are at 80x24, would
have five of its eight rows of dots; and a dozen charts take it 14 ms, not 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from looptop.tui.plots.curves import FAINT, FIFTH, FIRST, FOURTH, LEVEL, SECOND, SIXTH, THIRD, Run

_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot in a Braille character, by column and row."""

_BEHIND = (FAINT, LEVEL)
"""Roles that other curves are drawn over."""


class Pattern(NamedTuple):
    """How a line is told from others without colour: its dashes, and its signs in a legend and at its points."""

    dashes: str
    """Its dots along the line: `#` is drawn, a space is not."""
    sign: str
    point: str


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
"""The pattern of each role on a terminal without colours."""
LEVEL_PATTERN = Pattern("##  ", "┄", "•")
"""Of horizontal lines, with and without colours."""


class Raster:
    """A rectangle of cells, `width` by `height`; dots are counted from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._bits = [bytearray(width) for _ in range(height)]
        self._roles = [bytearray(width) for _ in range(height)]
        self._letters: dict[tuple[int, int], str] = {}

    def line(self, dots: Sequence[tuple[int, int]], role: int, pattern: Pattern = PLAIN) -> None:
        """Joins dots by straight lines."""
        dashes, length = pattern.dashes, 0
        before: tuple[int, int] | None = None
        for dot in dots:
            for x, y in _between(before or dot, dot):
                if dashes[length % len(dashes)] == "#":
                    self._dot(x, y, role)
                length += 1
            before = dot

    def _dot(self, x: int, y: int, role: int) -> None:
        row, column = y // 4, x // 2
        if not (0 <= row < self.height and 0 <= column < self.width):
            return
        roles = self._roles[row]
        if roles[column] in _BEHIND and role not in _BEHIND:
            self._bits[row][column] = 0  # so that a curve stays visible on what is behind it
        self._bits[row][column] |= _BITS[x % 2][y % 4]
        roles[column] = role

    def point(self, dot: tuple[int, int], role: int, sign: str) -> None:
        """Marks a point with a sign."""
        self.letter(dot[0] // 2, dot[1] // 4, sign, role)

    def letter(self, column: int, row: int, letter: str, role: int) -> None:
        """Writes a letter into a cell, over whatever is in it."""
        if 0 <= row < self.height and 0 <= column < self.width:
            self._letters[row, column] = letter
            self._roles[row][column] = role

    def is_free(self, row: int, columns: Iterable[int]) -> bool:
        """Whether nothing but lines that belong behind is in these cells of a row."""
        return 0 <= row < self.height and all(
            0 <= column < self.width
            and (row, column) not in self._letters
            and (not self._bits[row][column] or self._roles[row][column] in _BEHIND)
            for column in columns
        )

    def rows(self) -> list[list[Run]]:
        """The lines, from the top."""
        lines = []
        for row in range(self.height):
            letters = [chr(0x2800 + bits) if bits else " " for bits in self._bits[row]]
            lines.append(letters)
        for (row, column), letter in self._letters.items():
            lines[row][column] = letter
        return [runs(letters, roles) for letters, roles in zip(lines, self._roles, strict=True)]


def _between(begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots of a straight line, without the first unless it is the only one."""
    (x0, y0), (x1, y1) = begin, end
    count = max(abs(x1 - x0), abs(y1 - y0))
    if count <= 1:
        return [end]
    return [(x0 + round((x1 - x0) * at / count), y0 + round((y1 - y0) * at / count)) for at in range(1, count + 1)]


def runs(letters: Sequence[str], roles: Sequence[int]) -> list[Run]:
    """A line, cut where the role changes."""
    out: list[Run] = []
    begin = 0
    for at in range(1, len(letters) + 1):
        if at == len(letters) or roles[at] != roles[begin]:
            out.append(Run("".join(letters[begin:at]), roles[begin]))
            begin = at
    return out
