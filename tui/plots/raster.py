"""Draws curves into a few cells of Braille, without axes: for charts so small that many fit side by side.

plotext draws all larger charts (`plot.py`). It puts the ends of an axis into the middle of a cell, so a chart of two
lines, as there are at 80x24, would have five of its eight rows of dots; and a dozen charts take it 14 ms, not 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from looptop.tui.plots.curves import FAINT, ROUNDING_NOISE, TARGET, Axes, Curve, Run, finite

_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot in a Braille character, by column and row."""


class Picture(NamedTuple):
    """A drawing, and the values of its lowest and its highest dot."""

    lines: list[list[Run]]
    lowest: float
    highest: float
    constant: float | None = None
    """The value, if all curves are constant and equal."""


def draw_small(curves: Sequence[Curve], axes: Axes, width: int, height: int) -> Picture | None:
    """The curves in `height` lines of `width` cells, later ones over earlier ones.

    Returns:
        None if there is no finite point or no room.
    """
    points = [finite(curve) for curve in curves]
    values = [value for curve in points for value in curve.values]
    if not values or width < 2 or height < 1:
        return None
    lowest = min(values) if axes.lowest is None else axes.lowest
    highest = max(values) if axes.highest is None else axes.highest
    constant = None
    if highest - lowest <= ROUNDING_NOISE * max(abs(lowest), abs(highest)):
        constant = lowest
        lowest, highest = lowest - 0.5 * (abs(lowest) or 1), lowest + 0.5 * (abs(lowest) or 1)
    across, up = 2 * width - 1, 4 * height - 1
    steps = (axes.last - axes.first) or 1
    bits = [[0] * width for _ in range(height)]
    roles = [[0] * width for _ in range(height)]
    marks: list[tuple[int, int]] = []
    for curve in points:
        before: tuple[int, int] | None = None
        dotted = curve.role == TARGET and len(curve.steps) > 1
        for step, value in zip(curve.steps, curve.values, strict=True):
            if not axes.first <= step <= axes.last:
                continue
            inside = max(lowest, min(value, highest))
            x = round((step - axes.first) / steps * across)
            y = up - round((inside - lowest) / (highest - lowest) * up)
            if curve.dots:
                marks.append((y // 4, x // 2))
                roles[y // 4][x // 2] = curve.role
                continue
            for dot_x, dot_y in _between(before or (x, y), (x, y)):
                if dotted and dot_x % 2:
                    continue
                if roles[dot_y // 4][dot_x // 2] == FAINT != curve.role:
                    bits[dot_y // 4][dot_x // 2] = 0  # so that a smoothed line stays visible on its data
                bits[dot_y // 4][dot_x // 2] |= _BITS[dot_x % 2][dot_y % 4]
                roles[dot_y // 4][dot_x // 2] = curve.role
            before = (x, y)
    letters = [[chr(0x2800 + cell) if cell else " " for cell in line] for line in bits]
    for row, column in marks:
        letters[row][column] = "•"
    return Picture([_runs(line, role) for line, role in zip(letters, roles, strict=True)], lowest, highest, constant)


def column_of(step: float, axes: Axes, width: int) -> int | None:
    """The cell of a step; None if it is outside the axes."""
    if not axes.first <= step <= axes.last:
        return None
    return round((step - axes.first) / ((axes.last - axes.first) or 1) * (2 * width - 1)) // 2


def _between(begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots of a straight line, without the first unless it is the only one."""
    (x0, y0), (x1, y1) = begin, end
    count = max(abs(x1 - x0), abs(y1 - y0))
    if count <= 1:
        return [end]
    return [(x0 + round((x1 - x0) * at / count), y0 + round((y1 - y0) * at / count)) for at in range(1, count + 1)]


def _runs(letters: Sequence[str], roles: Sequence[int]) -> list[Run]:
    out: list[Run] = []
    begin = 0
    for at in range(1, len(letters) + 1):
        if at == len(letters) or roles[at] != roles[begin]:
            out.append(Run("".join(letters[begin:at]), roles[begin]))
            begin = at
    return out
