"""The page of the reliability chart: the chart, and a table of its bins."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container

from looptop.engine.text import counted
from looptop.engine.vqa.evaluation.reliability import ReliabilityBin
from looptop.engine.vqa.evaluation.text import interval, share
from looptop.tui.plots.reliability_chart import ReliabilityChart
from looptop.tui.widgets.table import Cell, Column, Row, Table


class ReliabilityPage(Container):
    """The chart, and a table of its bins whose cursor highlights one."""

    def __init__(self) -> None:
        super().__init__(id="reliability-page")
        self._bins: Sequence[ReliabilityBin] = ()
        self.table = Table(
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
        yield self.table

    def show(self, bins: Sequence[ReliabilityBin]) -> None:
        """Shows the bins of an evaluation; the cursor is on the one with the most answers."""
        self._bins = bins
        counts = [one.accuracy.questions if one.accuracy else 0 for one in bins]
        self.table.fill(len(bins), self._row, cursor=counts.index(max(counts)))
        self.highlight()

    def highlight(self) -> None:
        """Highlights the bin under the cursor in the chart."""
        self.query_one(ReliabilityChart).show(self._bins, self.table.cursor)

    @property
    def detail(self) -> str:
        """The bin under the cursor in a sentence."""
        one = self._bins[self.table.cursor] if self._bins else None
        if one is None or one.accuracy is None:
            return "● the accuracy of a bin of confidence, with its 95 % interval; on the dotted line, both are equal."
        way = "underconfident" if one.accuracy.value > (one.confidence or 0) else "overconfident"
        return (
            f"Of {counted(one.accuracy.questions, 'answer')} with a mean confidence of {share(one.confidence)},"
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
