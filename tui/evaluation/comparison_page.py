"""The page of an evaluation that compares its model with another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content

from looptop.engine.text import visible
from looptop.engine.vqa.evaluation.text import interval, p_value, points, points_interval, share
from looptop.tui.evaluation.questions import ChangedQuestionTable
from looptop.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from looptop.engine.vqa.evaluation.comparison import Comparison

INVITATION = "c chooses another model; both are asked the same questions."


class ComparisonPage(Vertical):
    """The difference of two models above the questions that changed."""

    def __init__(self) -> None:
        super().__init__(id="compare-page")
        self.table = ChangedQuestionTable()

    def compose(self) -> ComposeResult:
        """The figures above the questions."""
        yield Panel(id="compare-figures")
        yield self.table

    def on_mount(self) -> None:
        """Says how to begin."""
        self.show(None)

    def show(self, comparison: Comparison | None) -> None:
        """Shows a comparison, or how to make one."""
        self.query_one("#compare-figures", Panel).show(
            Content.styled(INVITATION, "$text-muted") if comparison is None else comparison_lines(comparison)
        )
        self.table.display = comparison is not None
        if comparison is not None:
            self.table.show(comparison.first, comparison.second, comparison.changed)


def comparison_lines(comparison: Comparison) -> Content:
    """The figures of a comparison."""
    first, second = visible(comparison.first), visible(comparison.second)
    name_width = max(len(first), len(second), len("difference"), 8)
    difference = comparison.difference
    lines = [
        Content.assemble(
            (f"{name:{name_width}}", "bold"), f"  {share(one.value):>9}   ", (f"{interval(one):>18}", "$text-muted")
        )
        for name, one in ((first, comparison.first_accuracy), (second, comparison.second_accuracy))
    ]
    lines.append(
        Content.assemble(
            (f"{'difference':{name_width}}", "bold"),
            f"  {points(difference.value):>9}   {points_interval(difference):>18}",
            (" percentage points, 95 % interval", "$text-muted"),
        )
    )
    lines.append(
        Content.assemble(
            f"right: both {comparison.both_right:,} · only {first} ",
            (f"{comparison.only_first:,}", "bold"),
            f" · only {second} ",
            (f"{comparison.only_second:,}", "bold"),
            f" · neither {comparison.both_wrong:,} · McNemar p {p_value(comparison.p_value)}",
        )
    )
    return Content("\n").join(lines)
