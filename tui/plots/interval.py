"""A mean and its interval on a scale from 0 to 100 %, in a line of text."""

from __future__ import annotations

from looptop.engine.vqa.evaluation.records import Estimate

MIN_SCALE_WIDTH = 12
"""The fewest cells of a scale."""


def scale_title(width: int) -> str:
    """The title of a column of intervals."""
    return "0" + "100 %".rjust(width - 1)


def interval_drawing(estimate: Estimate | None, width: int) -> str:
    """A mean and its interval on a scale from 0 to 1, in `width` cells: `····├─●─┤···`."""
    cells = ["·"] * width
    if estimate is None:
        return "".join(cells)
    last = width - 1
    if estimate.low is not None and estimate.high is not None:
        low, high = round(estimate.low * last), round(estimate.high * last)
        cells[low : high + 1] = ["─"] * (high + 1 - low)
        cells[low], cells[high] = "├", "┤"
    cells[round(estimate.value * last)] = "●"
    return "".join(cells)
