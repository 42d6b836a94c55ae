"""The accuracy by type at one evaluation of a run, and its history over all evaluations."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, get_args

from textual.binding import BindingType
from textual.events import Resize

from looptop.engine.text import counted
from looptop.engine.vqa.breakdown import TypeAccuracy
from looptop.engine.vqa.evaluation.text import points, share
from looptop.tui.actions import bindings
from looptop.tui.evaluation.timeline_reader import Timeline, TypeKind, types_of
from looptop.tui.plots.sparkline import cell_of, sparkline_of_latest
from looptop.tui.widgets.table import Cell, Column, Row, Table

SHOWN_EVALUATION_MARK = "▾"
"""Marks the shown evaluation above the sparklines."""

NAME_WIDTH, OTHER_WIDTHS, MIN_SPARKLINE_WIDTH = 20, 35, 8
"""Cells of the names; of the other columns with the spaces between all; of a sparkline at least."""


MAX_CELLS_PER_EVALUATION = 4
"""The most cells of one evaluation in a sparkline."""


class TypeLine(NamedTuple):
    """A line of the table; a title has a name and nothing else."""

    name: str
    now: TypeAccuracy | None = None
    before: float | None = None
    """The accuracy at the evaluation before."""
    past: tuple[float | None, ...] = ()
    """The accuracy at each evaluation; None where it was not journalled."""


class TypeTable(Table, inherit_bindings=False):
    """Accuracy by answer type and by question type, with a sparkline for each."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("types")]

    def __init__(self) -> None:
        super().__init__(id="types-page")
        self._lines: list[TypeLine] = []
        self._timeline: Timeline | None = None

    def show(self, timeline: Timeline) -> None:
        """Shows the types at the shown evaluation; the cursor stays in its row."""
        self._timeline = timeline
        self._lines = type_lines(timeline)
        self._fill()

    @property
    def detail(self) -> str:
        """The type under the cursor in a sentence."""
        timeline, one = self._timeline, self._lines[self.cursor] if self._lines else None
        if timeline is None or one is None or one.now is None:
            return "Each bar of a line is the accuracy at one evaluation, from 0 to 100 %."
        known = [(value, step) for value, step in zip(one.past, timeline.steps, strict=True) if value is not None]
        best, at = max(known, key=lambda pair: (pair[0], -pair[1]))
        before = "" if one.before is None else f", {share(one.before)} at the evaluation before"
        return (
            f"{one.name.strip()}: {share(one.now.accuracy)} of {counted(one.now.questions, 'question')}{before};"
            f" {share(known[0][0])} at step {known[0][1]:,}, at best {share(best)} at step {at:,}."
        )

    def on_resize(self, event: Resize) -> None:
        """Fits the sparklines to the new width."""
        super().on_resize(event)
        if self._lines:
            self._fill()

    def _fill(self) -> None:
        timeline = self._timeline
        count = len(timeline.steps) if timeline is not None else 0
        room = max(MIN_SPARKLINE_WIDTH, self.size.width - NAME_WIDTH - OTHER_WIDTHS)
        scale = max(1, min(MAX_CELLS_PER_EVALUATION, room // max(1, count)))
        shown = min(count, room)
        title = " " * scale * (cell_of(timeline.index, count, shown) if timeline is not None and count else 0)
        columns = (
            Column("name", "", NAME_WIDTH, text=True),
            Column("accuracy", "accuracy", 9),
            Column("change", "change", 8),
            Column("line", title + SHOWN_EVALUATION_MARK * scale, max(MIN_SPARKLINE_WIDTH, shown * scale), text=True),
            Column("questions", "questions", 9),
        )
        cursor = max(1, self.cursor)  # The first line is a title.
        self.fill(len(self._lines), lambda row: _row(self._lines[row], shown, scale), columns=columns, cursor=cursor)


def _row(one: TypeLine, width: int, scale: int) -> Row:
    if one.now is None:
        return (Cell(one.name, "bold"), *[Cell("")] * 4)
    change = None if one.before is None else one.now.accuracy - one.before
    return (
        Cell(one.name),
        Cell(share(one.now.accuracy)),
        Cell("" if change is None else points(change), "good" if change and change > 0 else "bad" if change else ""),
        Cell("".join(bar * scale for bar in sparkline_of_latest(one.past, width)), "primary"),
        Cell(f"{one.now.questions:,}", "muted"),
    )


def type_lines(timeline: Timeline) -> list[TypeLine]:
    """The lines of the shown evaluation, with a title above each kind; none if its types were not journalled."""
    if timeline.breakdown is None:
        return []
    lines = []
    for kind in get_args(TypeKind):
        lines.append(TypeLine(f"by {kind}"))
        for one in types_of(timeline.breakdown, kind):
            past = timeline.past_by_type[kind, one.name]
            before = past[timeline.index - 1] if timeline.index > 0 else None
            lines.append(TypeLine(f"  {one.name or '(no type)'}", one, before, past))
    return lines
