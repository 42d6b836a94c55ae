"""The position and size of each chart on a wall."""

from __future__ import annotations

from typing import NamedTuple


class MinChartSize(NamedTuple):
    """How small the charts of a wall may become.

    Attributes:
        min_width: The smallest width of a chart, in cells.
        min_height: Its smallest height, in lines; 0 if all charts must fit, however low they become.
    """

    min_width: int
    min_height: int


class Grid(NamedTuple):
    """A page of charts in rows and columns."""

    columns: int
    rows: int
    width: int
    """The width of a chart, in cells."""
    height: int
    """Its height, in lines."""
    first: int
    """The index of the page's first chart."""
    length: int
    """How many charts the page has."""

    def index_at(self, x: int, y: int) -> int | None:
        """The index of the chart at a cell of the wall; None if there is none."""
        column, row = min(x // self.width, self.columns - 1), y // self.height
        at = row * self.columns + column
        return self.first + at if row < self.rows and at < self.length else None

    def origin(self, index: int) -> tuple[int, int]:
        """The upper left cell of a chart of the page."""
        row, column = divmod(index - self.first, self.columns)
        return column * self.width, row * self.height


def grid(size: tuple[int, int], count: int, chosen: int, min_size: MinChartSize, *, large: bool) -> Grid:
    """The page with the chosen chart.

    Args:
        size: Width and height of the wall, in cells.
        count: The number of all charts.
        chosen: The index of the chosen one.
        min_size: How small charts may become.
        large: Whether the chosen chart is shown alone.
    """
    width, height = max(1, size[0]), max(1, size[1])
    if large or count <= 1:
        return Grid(1, 1, width, height, min(chosen, max(0, count - 1)), min(count, 1))
    columns = max(1, min(width // min_size.min_width, count))
    rows = -(-count // columns)
    if min_size.min_height:
        rows = max(1, min(height // min_size.min_height, rows))
    # Not more columns than the rows need: four charts are two by two.
    while columns > 1 and (columns - 1) * rows >= count:
        columns -= 1
    page = columns * rows
    first = chosen // page * page
    return Grid(columns, rows, width // columns, max(1, height // rows), first, min(page, count - first))
