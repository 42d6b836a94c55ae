"""The reliability chart: the accuracy of answers by their confidence, and the diagonal on which both are equal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from looptop.engine.vqa.evaluation.reliability import ReliabilityBin
from looptop.tui.plots.curves import CHOSEN, FAINT, FIRST, SECOND
from looptop.tui.plots.raster import Raster
from looptop.tui.text import EIGHTHS

LABEL_WIDTH = 6
"""The cells of the labels at the left."""

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

STYLES = {FAINT: "$text-muted", SECOND: "$secondary", FIRST: "$primary bold", CHOSEN: "$accent bold"}
"""Of the diagonal, the intervals, the bins and the highlighted bin."""


class ReliabilityChart(Widget):
    """Draws the bins: a point at their confidence and accuracy, a line for the interval, the diagonal dotted."""

    def __init__(self) -> None:
        super().__init__(id="reliability-chart")
        self._bins: Sequence[ReliabilityBin] = ()
        self._chosen = -1

    def show(self, bins: Sequence[ReliabilityBin], chosen: int) -> None:
        """Shows bins.

        Args:
            bins: All bins, also those without answers.
            chosen: The index of the highlighted bin.
        """
        self._bins, self._chosen = bins, chosen
        self.refresh()

    def render(self) -> Content:
        """The chart, as many lines as there is room for."""
        return reliability_drawing(self._bins, self._chosen, self.size.width, self.size.height)


def reliability_drawing(bins: Sequence[ReliabilityBin], chosen: int, width: int, height: int) -> Content:
    """The chart: accuracy upwards, confidence to the right, and below how many answers each bin has."""
    across, up = width - LABEL_WIDTH - 1, height - 3
    if across < 15 or up < 3 or not bins:
        return Content("")
    raster = Raster(across, up)
    for column in range(0, 2 * across, 2):
        raster.line([(column, _dot(column / (2 * across - 1), up))], FAINT)
    markers = []
    for index, one in enumerate(bins):
        if one.accuracy is None or one.confidence is None:
            continue
        column = round(one.confidence * (2 * across - 1))
        if one.accuracy.low is not None and one.accuracy.high is not None:
            raster.line([(column, _dot(end, up)) for end in (one.accuracy.high, one.accuracy.low)], SECOND)
        role, marker = (CHOSEN, "◆") if index == chosen else (FIRST, "●")
        markers.append(((column, _dot(one.accuracy.value, up)), role, marker))
    for dot, role, marker in markers:  # Over all intervals, also those of other bins.
        raster.point(dot, role, marker)
    labels = {_dot(tick, up) // 4: f"{100 * tick:3.0f} %" for tick in TICKS}
    lines = []
    for row, spans in enumerate(raster.rows()):
        axis = f"{labels.get(row, ''):>{LABEL_WIDTH - 1}} {'┤' if row in labels else '│'}"
        lines.append(Content.assemble((axis, "$text-muted"), *((text, STYLES.get(role, "")) for text, role in spans)))
    lines += [_ruler(across), _counts(bins, chosen, across), _caption(across)]
    return Content("\n").join(lines)


def _dot(share: float, height: int) -> int:
    """The dot of a share from 0 to 1 in so many lines, counted from the top."""
    return round((1 - share) * (4 * height - 1))


def _ruler(across: int) -> Content:
    """The axis of the confidence, with its labels below it on the same line as the counts' title."""
    letters = ["─"] * across
    for tick in TICKS:
        letters[round(tick * (across - 1))] = "┴"
    return Content.styled(" " * LABEL_WIDTH + "└" + "".join(letters), "$text-muted")


def _counts(bins: Sequence[ReliabilityBin], chosen: int, across: int) -> Content:
    """A bar for the number of answers in each bin; a bin with any answer has at least the lowest bar."""
    counts = [one.accuracy.questions if one.accuracy else 0 for one in bins]
    most = max([*counts, 1])
    parts: list[tuple[str, str]] = [(f"{'answers':>{LABEL_WIDTH + 1}}", "$text-muted")]
    for index, count in enumerate(counts):
        first, last = round(index * across / len(bins)), round((index + 1) * across / len(bins))
        height = max(1, math.ceil(count / most * (len(EIGHTHS) - 1))) if count else 0
        style = "$accent" if index == chosen else "$primary"
        parts.append((EIGHTHS[height] * (last - first - 1) + " ", style))
    return Content.assemble(*parts)


def _caption(across: int) -> Content:
    """The labels of the confidence."""
    letters = [" "] * (across + 5)
    for tick in TICKS:
        label = f"{100 * tick:.0f}" if tick < 1 else "100 %"
        at = max(0, min(round(tick * (across - 1)) - len(label) // 2, across - len(label)))
        letters[at : at + len(label)] = label
    title = " confidence "
    middle = round(0.625 * (across - 1)) - len(title) // 2
    if across >= 60:
        letters[middle : middle + len(title)] = title
    return Content.styled(" " * (LABEL_WIDTH + 1) + "".join(letters).rstrip(), "$text-muted")
