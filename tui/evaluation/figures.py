"""The page of the figures: the main ones, then the accuracy by answer type, question type and answer."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from textual.binding import BindingType
from textual.events import Resize

from looptop.engine.text import counted
from looptop.engine.vqa.evaluation.groups import Group
from looptop.engine.vqa.evaluation.records import Estimate, Evaluation
from looptop.engine.vqa.evaluation.report import Report
from looptop.engine.vqa.evaluation.text import answer_text, interval, share
from looptop.tui.actions import bindings
from looptop.tui.plots.interval import MIN_SCALE_WIDTH, interval_drawing, scale_title
from looptop.tui.widgets.table import Cell, Column, Row, Table

MAX_SCALE_WIDTH = 60
"""The most cells of the scale on which intervals are drawn."""

MAX_GROUPS = 200
"""The most groups shown of one kind: a large data set has thousands of answers."""

NAME_WIDTH, OTHER_WIDTHS = 20, 59
"""Cells of the first column, and of the others but the scale, with all spaces between columns."""


class GroupKey(NamedTuple):
    """The questions of a group: those whose field has this value."""

    field: str
    value: str


class Figure(NamedTuple):
    """A line of the page; a title has a name and nothing else."""

    name: str
    meaning: str = ""
    value: float | None = None
    estimate: Estimate | None = None
    style: str = ""
    group: Group | None = None
    key: GroupKey | None = None

    @property
    def is_title(self) -> bool:
        """Whether it is the title of the lines below it."""
        return not self.meaning


class FigureTable(Table):
    """The figures with their intervals, drawn on one scale; enter opens the images of a group."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("evaluation-rows")]

    def __init__(self) -> None:
        super().__init__(id="figures-page")
        self._figures: list[Figure] = []

    def show(self, evaluation: Evaluation, report: Report) -> None:
        """Shows the figures of an evaluation."""
        self._figures = [*main_figures(evaluation, report), *group_figures(report)]
        self._fill(0)

    @property
    def detail(self) -> str:
        """What the figure under the cursor means."""
        return self._figures[self.cursor].meaning if self._figures else ""

    @property
    def chosen(self) -> GroupKey | None:
        """The group under the cursor; None if the line there is no group."""
        return self._figures[self.cursor].key if self._figures else None

    def on_resize(self, event: Resize) -> None:
        """Fits the scale to the new width."""
        super().on_resize(event)
        if self._figures:
            self._fill(self.cursor)

    def _fill(self, cursor: int) -> None:
        scale = max(MIN_SCALE_WIDTH, min(MAX_SCALE_WIDTH, self.size.width - NAME_WIDTH - OTHER_WIDTHS))
        columns = (
            Column("name", "", NAME_WIDTH, text=True),
            Column("value", "figure", 8),
            Column("interval", "95 % interval", 18),
            Column("scale", scale_title(scale), scale, text=True, from_width=96),
            Column("questions", "questions", 9),
            Column("question_only", "q. only", 8, from_width=76),
            Column("shuffled", "shuffled", 8, from_width=84),
        )
        self.fill(len(self._figures), lambda row: _row(self._figures[row], scale), columns=columns, cursor=cursor)


def _row(one: Figure, scale: int) -> Row:
    if one.is_title:
        return (Cell(one.name, "bold"), *[Cell("")] * 6)
    group = one.group
    has_interval = one.estimate is not None
    return (
        Cell(one.name),
        Cell(share(one.value)),
        Cell(interval(one.estimate) if has_interval else ""),
        Cell(interval_drawing(one.estimate, scale) if has_interval else "", one.style),
        Cell(f"{one.estimate.questions:,}" if one.estimate is not None else "", "muted"),
        Cell(share(group.question_only, 1) if group is not None else "", "muted"),
        Cell(share(group.shuffled, 1) if group is not None else "", "muted"),
    )


def main_figures(evaluation: Evaluation, report: Report) -> list[Figure]:
    """The lines of the main figures."""
    source = "The training data are not known."
    if evaluation.training_data:
        source = f"Counted in {evaluation.training_data}."
    calibration = "The confidence is not calibrated."
    if evaluation.temperature is not None:
        calibration = f"Before calibration it was {share(report.raw_calibration_error)}."
    figures = [
        _estimate("accuracy", evaluation.accuracy, "The official VQA accuracy.", "primary"),
        _estimate("exact", evaluation.exact, "The share of answers that match the right answer exactly."),
        _estimate(
            "question only",
            evaluation.question_only,
            f"Without looking: the most frequent answer to the question in the training data. {source}",
            "warn",
        ),
        _estimate(
            "shuffled images",
            evaluation.shuffled,
            "The model's own accuracy when it sees another question's image: what it reaches by the question alone.",
            "warn",
        ),
        Figure(
            "calibration error",
            f"The mean distance between confidence and accuracy over 15 bins of confidence. {calibration}",
            evaluation.calibration_error,
        ),
    ]
    for one in report.coverage:
        meaning = f"If only {share(one.risk, 0)} of its answers may be wrong, it can answer no question."
        if one.threshold is not None:
            meaning = (
                f"The share of questions that it can answer if {share(one.risk, 0)} of its answers may be wrong: those"
                f" with a confidence of at least {share(one.threshold, 1)}."
            )
        figures.append(Figure(f"covered at {share(one.risk, 0)} risk", meaning, one.coverage))
    return figures


def group_figures(report: Report) -> list[Figure]:
    """The lines of the groups, with a title above each kind."""
    figures = []
    for title, field, groups in (
        ("by answer type", "answer_type", report.by_answer_type),
        ("by question type", "question_type", report.by_question_type),
        ("by right answer", "truth", report.by_answer),
    ):
        figures.append(Figure(title))
        figures += [_group(field, group) for group in groups[:MAX_GROUPS]]
        if len(groups) > MAX_GROUPS:
            figures.append(Figure(f"  {len(groups) - MAX_GROUPS:,} more", "`looptop eval --json` lists them."))
    return figures


def _estimate(name: str, estimate: Estimate | None, meaning: str, style: str = "") -> Figure:
    return Figure(name, meaning, estimate.value if estimate else None, estimate, style)


def _group(field: str, group: Group) -> Figure:
    name = answer_text(group.name) if field == "truth" else group.name or "(no type)"
    meaning = (
        f"{name}: {share(group.accuracy.value)} of {counted(group.accuracy.questions, 'question')} about"
        f" {counted(group.accuracy.images, 'image')}, exact {share(group.exact)}, mean confidence"
        f" {share(group.confidence)}."
        " Enter shows the images, wrong answers first."
    )
    key = GroupKey(field, group.name)
    return Figure(f"  {name}", meaning, group.accuracy.value, group.accuracy, "primary", group, key)
