"""The reliability chart: the accuracy of answers by their confidence, beside where it would be if that were true."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from looptop.engine.vqa.evaluation.reliability import ReliabilityBin
from looptop.engine.vqa.evaluation.text import interval, share
from looptop.tui.widgets.table import Cell, Column, Row, Table

_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot in a Braille character, by column and row."""

BLOCKS = " ▁▂▃▄▅▆▇█"
LABEL_WIDTH = 6
"""The cells of the labels at the left."""

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


class Dots:
    """Braille dots on a square from 0 to 1 in both directions.

    Args:
        width: In cells.
        height: In cells.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._bits = [[0] * width for _ in range(height)]

    def column(self, x: float) -> int:
        """The column of dots of a value."""
        return round(x * (2 * self.width - 1))

    def line_of(self, y: float) -> int:
        """The line of dots of a value, from the top."""
        return round((1 - y) * (4 * self.height - 1))

    def set(self, column: int, line: int) -> None:
        """Sets a dot."""
        if 0 <= column < 2 * self.width and 0 <= line < 4 * self.height:
            self._bits[line // 4][column // 2] |= _BITS[column % 2][line % 4]

    def letter(self, column: int, line: int) -> str:
        """The character of a cell."""
        bits = self._bits[line][column]
        return chr(0x2800 + bits) if bits else " "


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
    diagonal, whiskers = Dots(across, up), Dots(across, up)
    for column in range(0, 2 * across, 2):
        diagonal.set(column, diagonal.line_of(column / (2 * across - 1)))
    marks: dict[tuple[int, int], tuple[str, str]] = {}
    for index, one in enumerate(bins):
        if one.accuracy is None or one.confidence is None:
            continue
        column = whiskers.column(one.confidence)
        if one.accuracy.low is not None and one.accuracy.high is not None:
            for line in range(whiskers.line_of(one.accuracy.high), whiskers.line_of(one.accuracy.low) + 1):
                whiskers.set(column, line)
        style = "$accent bold" if index == chosen else "$primary bold"
        marks[whiskers.line_of(one.accuracy.value) // 4, column // 2] = ("◆" if index == chosen else "●", style)
    labels = {whiskers.line_of(tick) // 4: f"{100 * tick:3.0f} %" for tick in TICKS}
    lines = []
    for line in range(up):
        parts: list[tuple[str, str]] = [(f"{labels.get(line, ''):>{LABEL_WIDTH - 1}} ", "$text-muted")]
        parts.append(("┤" if line in labels else "│", "$text-muted"))
        for column in range(across):
            mark = marks.get((line, column))
            whisker = whiskers.letter(column, line)
            if mark is not None:
                parts.append(mark)
            elif whisker != " ":
                parts.append((whisker, "$secondary"))
            else:
                parts.append((diagonal.letter(column, line), "$text-muted"))
        lines.append(Content.assemble(*_joined(parts)))
    lines += [_ruler(across), _counts(bins, chosen, across), _caption(across)]
    return Content("\n").join(lines)


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
        height = max(1, math.ceil(count / most * (len(BLOCKS) - 1))) if count else 0
        style = "$accent" if index == chosen else "$primary"
        parts.append((BLOCKS[height] * (last - first - 1) + " ", style))
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


def _joined(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbouring parts of one style as one."""
    joined: list[tuple[str, str]] = []
    for text, style in parts:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return joined


class ReliabilityPage(Container):
    """The chart, and a table of its bins whose cursor highlights one."""

    def __init__(self) -> None:
        super().__init__(id="reliability-page")
        self._bins: Sequence[ReliabilityBin] = ()
        self._table = Table(
            (
                Column("range", "confidence", 11, text=True),
                Column("answers", "answers", 7),
                Column("mean", "mean", 8),
                Column("accuracy", "accuracy", 8),
                Column("interval", "95 % interval", 18),
            ),
            id="bins",
        )

    def compose(self) -> ComposeResult:
        """The chart beside or above the table."""
        yield ReliabilityChart()
        yield self._table

    @property
    def main(self) -> Table:
        """The widget that takes the keys."""
        return self._table

    def show(self, bins: Sequence[ReliabilityBin]) -> None:
        """Shows the bins of an evaluation; the cursor is on the one with the most answers."""
        self._bins = bins
        counts = [one.accuracy.questions if one.accuracy else 0 for one in bins]
        self._table.fill(len(bins), self._row, cursor=counts.index(max(counts)))
        self.highlight()

    def highlight(self) -> None:
        """Highlights the bin under the cursor in the chart."""
        self.query_one(ReliabilityChart).show(self._bins, self._table.cursor)

    @property
    def detail(self) -> str:
        """The bin under the cursor in a sentence."""
        one = self._bins[self._table.cursor] if self._bins else None
        if one is None or one.accuracy is None:
            return "● the accuracy of a bin of confidence, with its 95 % interval; on the dotted line, both are equal."
        way = "underconfident" if one.accuracy.value > (one.confidence or 0) else "overconfident"
        return (
            f"Of {one.accuracy.questions:,} answers with a mean confidence of {share(one.confidence)},"
            f" {share(one.accuracy.value)} are right: there the model is {way}."
        )

    def _row(self, row: int) -> Row:
        one = self._bins[row]
        name = f"{100 * one.low:2.0f} to {100 * one.high:3.0f} %"
        if one.accuracy is None:
            return (Cell(name, "muted"), Cell("0", "muted"), Cell(""), Cell(""), Cell(""))
        return (
            Cell(name),
            Cell(f"{one.accuracy.questions:,}"),
            Cell(share(one.confidence)),
            Cell(share(one.accuracy.value)),
            Cell(interval(one.accuracy)),
        )
