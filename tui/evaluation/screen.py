"""The evaluation of a model: opened from Ask, Train or Runs, shows what is kept, and evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget

from looptop.engine.errors import LooptopError
from looptop.engine.runs.progress import progress_text
from looptop.engine.text import counted, visible
from looptop.engine.times import local_time
from looptop.tui.actions import SCREENS, bindings
from looptop.tui.background import in_thread, work
from looptop.tui.evaluation.comparison_page import ComparisonPage
from looptop.tui.evaluation.confusion_grid import ConfusionGrid
from looptop.tui.evaluation.evaluation_runner import EvaluationEnd, EvaluationHelper, EvaluationRunner
from looptop.tui.evaluation.figures import FigureTable
from looptop.tui.evaluation.images import entries_of_results
from looptop.tui.evaluation.page_frame import PageFrame
from looptop.tui.evaluation.questions import ChangedQuestionTable, QuestionTable
from looptop.tui.evaluation.reader import KeptEvaluation, other_models, read_comparison, read_latest
from looptop.tui.evaluation.reliability import ReliabilityPage
from looptop.tui.screens.base import MainScreen
from looptop.tui.text import bar, duration, safe
from looptop.tui.widgets.table import Table

if TYPE_CHECKING:
    from looptop.engine.vqa.evaluation.records import Evaluation, QuestionResult

FIRST_PAGE, COMPARE_PAGE = "figures", "compare"

BAR_WIDTH = 20
BAR_FROM_WIDTH = 110
"""The fewest columns of a terminal that shows a bar beside the words."""


class EvaluationScreen(MainScreen):
    """The pages of one model's evaluation. Esc cancels an evaluation, or goes back to where the screen was opened.

    Args:
        make_process: Makes the evaluating process; the engine's own by default.
    """

    CSS_PATH = ["../styles/evaluation.tcss"]  # noqa: RUF012
    KEY_CONTEXTS = SCREENS["evaluation"].contexts
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("evaluation")]

    def __init__(self, make_process: Callable[[], EvaluationHelper] | None = None) -> None:
        super().__init__()
        self._model = ""
        self._shown: KeptEvaluation | None = None
        self._compare_with = ""
        """The model to compare with, once it is evaluated on the same questions."""
        self._notice = ""
        self._evaluating = EvaluationRunner(self._show_head, self._ended, make_process)
        self._figures, self._grid = FigureTable(), ConfusionGrid()
        self._reliability, self._compare = ReliabilityPage(), ComparisonPage()
        self._hardest = QuestionTable(id="hardest-page", empty="there are no questions")
        self._mislabelled = QuestionTable(
            id="mislabelled-page",
            empty="no wrong answer with at least 90 % confidence is supported by similar images",
        )
        pages: dict[str, Widget] = {
            FIRST_PAGE: self._figures,
            "reliability": self._reliability,
            "confusion": self._grid,
            "hardest": self._hardest,
            "mislabelled": self._mislabelled,
            COMPARE_PAGE: self._compare,
        }
        self._frame = PageFrame("ask", pages, self._show_page)

    def compose(self) -> Iterable[Widget]:
        """A head, the names of the pages, a page, a sentence about what is under the cursor."""
        yield from self._frame

    def on_mount(self) -> None:
        """Shows the first page, and every second for how long an evaluation has been going on."""
        self._show_page()
        self.set_interval(1.0, self._count_seconds)

    def on_unmount(self) -> None:
        """Ends an evaluation."""
        self._evaluating.cancel()

    def show_model(self, model: str, origin: str) -> None:
        """Shows a model's kept evaluation, or how to make one.

        Args:
            model: The model's name.
            origin: The name of the screen that esc goes back to.
        """
        self._frame.set_origin(origin)
        if model != self._model:
            self._model, self._shown, self._notice = model, None, "reading…"
            self._frame.line.highlight(FIRST_PAGE)
        self._show_page()
        work(self, self._read(), "read evaluation", exclusive=True)

    def _count_seconds(self) -> None:
        if self._evaluating.model and self.is_selected:
            self._show_head()

    # Reading.

    async def _read(self) -> None:
        model = self._model
        try:
            shown = await in_thread(lambda: read_latest(model))
            notice = ""
        except LooptopError as error:
            shown, notice = None, str(error)
        if model != self._model:
            return
        self._notice = notice
        if shown is not None and (self._shown is None or shown.evaluation != self._shown.evaluation):
            self._fill(shown)
        self._shown = shown
        self._show_page()

    def _fill(self, shown: KeptEvaluation) -> None:
        report = shown.report
        self._figures.show(shown.evaluation, report)
        self._reliability.show(report.bins)
        self._grid.show(report.confusion)
        self._hardest.show(report.hardest)
        self._mislabelled.show(report.mislabelled)
        self._compare.show(None)

    # What is shown.

    def _show_page(self) -> None:
        has_content = self._shown is not None
        self._frame.show_page(has_content=has_content)
        self._frame.detail.display = has_content
        counts = {"mislabelled": len(self._shown.report.mislabelled)} if self._shown is not None else {}
        self._frame.line.show_counts(counts)
        target = self._focus_target()
        if has_content and target.display:
            target.focus()
        else:
            self.set_focus(None)
        self._show_head()
        self._show_detail()

    def _focus_target(self) -> Widget:
        widget = self._frame.page
        if isinstance(widget, ReliabilityPage):
            return widget.table
        return widget.table if isinstance(widget, ComparisonPage) else widget

    def _show_head(self) -> None:
        if not self.is_mounted:
            return
        head = Content.styled(visible(self._model), "bold")
        if self._shown is not None:
            head += head_of(self._shown.evaluation, self.size.width - 2 - head.cell_length)
        status = self._status_line()
        self._frame.show_head([head, status], status if status.plain else head)
        self._frame.placeholder.show(self._invitation())

    def _status_line(self) -> Content:
        """The evaluation in progress, or what went wrong."""
        if not self._evaluating.model:
            return safe(self._notice, "$text-warning") if self._shown is not None else Content("")
        progress = self._evaluating.progress
        if progress is None:
            return Content("")
        name = "" if self._evaluating.model == self._model else f"{visible(self._evaluating.model)}: "
        drawn = ""
        if progress.total and self.size.width >= BAR_FROM_WIDTH:
            drawn = f"{bar(progress.done / progress.total, BAR_WIDTH):<{BAR_WIDTH}} "
        words = f"{name}{progress_text(progress, duration)}"
        return Content.assemble("esc cancels  ", (drawn, "$primary"), (words, "$text-primary"))

    def _invitation(self) -> Content:
        if self._notice:
            return safe(self._notice, "$text-warning")
        if self._evaluating.model == self._model:
            return Content.styled("The figures appear once all questions are answered. You can use the app meanwhile.")
        return Content.assemble(
            ("This model has not been evaluated yet.\n\n", ""),
            ("r", "$primary bold"),
            " evaluates it now, on all questions of its data's test split or, without one, its validation split.\n"
            "You can use the app meanwhile. The figures are kept.",
        )

    def on_resize(self, event: Resize) -> None:
        """Fits the head to the new width."""
        super().on_resize(event)
        self._show_head()

    @on(Table.Moved)
    def _show_detail(self) -> None:
        page = self._frame.page
        widget: Any = self._focus_target() if page is self._compare else page
        if isinstance(widget, ReliabilityPage):
            widget.highlight()
        self._frame.detail.show(safe(widget.detail, "$text-muted"))

    # Pages.

    def action_page(self, by: int) -> None:
        """Shows the next page or the one before."""
        self._frame.line.turn(by)

    def back(self) -> None:
        """Esc: cancels an evaluation, or goes back."""
        if self._evaluating.cancel():
            self._compare_with = ""
            self._notice = "cancelled; images that are already encoded will not be encoded again"
            self._show_head()
        else:
            work(self, self.services.action_go(self._frame.origin), "screens")

    def unsaved(self) -> list[str]:
        """An evaluation in progress."""
        return [f"the evaluation of {visible(self._evaluating.model)}"] if self._evaluating.model else []

    # Evaluating.

    def action_evaluate(self) -> None:
        """Evaluates the model."""
        self._compare_with = ""
        self._start(self._model)

    def _start(self, model: str) -> None:
        like = self._shown.evaluation if self._shown is not None and model != self._model else None
        self._notice = ""
        self.attempt(lambda: self._evaluating.start(model, like))
        self._show_head()

    def _ended(self, ended: EvaluationEnd) -> None:
        if not self.is_mounted:
            return
        self._notice = ended.error or "; ".join(ended.notes[:2])
        if ended.error:
            self._compare_with = ""
            self.services.show_notice(ended.error, "error")
        elif not self.is_selected:
            self.services.show_notice(f"{ended.model} has been evaluated; e shows its figures")
        if self._compare_with and ended.model == self._compare_with:
            self._compare_to(self._compare_with, is_evaluated=True)
        elif ended.model == self._model and not ended.error:
            notice = self._notice
            work(self, self._read_again(notice), "read evaluation", exclusive=True)
        self._show_head()

    async def _read_again(self, notice: str) -> None:
        await self._read()
        if notice and not self._notice:
            self._notice = notice
            self._show_head()

    # Comparing.

    def action_compare(self) -> None:
        """Chooses another model."""
        if self._shown is None:
            self.services.show_notice("evaluate this model first (r)", "warning")
            return
        work(self, self._choose_other(self._shown), "compare", exclusive=True)

    async def _choose_other(self, shown: KeptEvaluation) -> None:
        from looptop.tui.screens.picker import Choice, Picker

        try:
            others = await in_thread(lambda: other_models(shown))
        except LooptopError as error:
            self.services.show_notice(error, "error")
            return
        lines = []
        for other in others:
            known = "  not evaluated on these questions yet; this will be done first"
            if other.evaluation is not None:
                known = f"  {100 * other.evaluation.accuracy.value:.2f} %"
            lines.append(Choice(other.name, safe(other.name, "bold") + safe(f"{known}  {other.label}", "$text-muted")))
        self.app.push_screen(
            Picker("Compare with", lines, "There is no other model yet: train one on screen 2."), self._compare_to
        )

    def _compare_to(self, model: str | None, *, is_evaluated: bool = False) -> None:
        if model is not None and self._shown is not None:
            self._compare_with = model
            self._frame.line.highlight(COMPARE_PAGE)
            work(self, self._read_comparison(self._shown, model, is_evaluated), "compare", exclusive=True)

    async def _read_comparison(self, shown: KeptEvaluation, model: str, is_evaluated: bool) -> None:
        try:
            comparison = await in_thread(lambda: read_comparison(shown, model))
        except LooptopError as error:
            self.services.show_notice(error, "error")
            return
        if shown is not self._shown:
            return
        if comparison is None and is_evaluated:
            self._compare_with = ""
            self._notice = self._notice or f"the evaluation of {model} was not kept; is the disk full?"
        elif comparison is None:
            self._start(model)
        else:
            self._compare_with = ""
            self._compare.show(comparison)
        self._show_page()

    # Opening images.

    @on(Table.Chosen)
    def _row_chosen(self, event: Table.Chosen) -> None:
        from looptop.engine.vqa.confusion import in_cell
        from looptop.engine.vqa.evaluation.text import label_text

        if self._shown is None:
            return
        match event.table:
            case ConfusionGrid() as grid if grid.questions:
                truth, answer = grid.cell
                results = in_cell(self._shown.results, self._shown.report.confusion, truth, answer)
                self._show_images(f"{label_text(truth)} → {label_text(answer)}", results)
            case FigureTable() as table if (key := table.chosen) is not None:
                results = [one for one in self._shown.results if getattr(one, key.field) == key.value]
                self._show_images(key.value, sorted(results, key=lambda one: (one.score, -one.confidence)))
            case QuestionTable() as table if table.results:
                self._show_images(self._frame.line.page, table.results, table.results[table.cursor])
            case ChangedQuestionTable() as table if table.changed:
                pairs = [pair.second for pair in table.changed]
                self._show_images("changed", pairs, pairs[table.cursor])

    def _show_images(self, title: str, results: Sequence[QuestionResult], first: QuestionResult | None = None) -> None:
        self.services.ask_about(self._model)
        self.services.show_images(title, entries_of_results(results, first))


def head_of(evaluation: Evaluation, width: int) -> Content:
    """What was evaluated and when; what does not fit into the width is left out, the least important first."""
    of = f", {evaluation.checkpoint}" if str(evaluation.checkpoint) else ""
    limit = f", the first {evaluation.limit:,}" if evaluation.limit is not None else ""
    parts = [
        f"{of} · {visible(evaluation.data)}{limit}",
        f" · {local_time(evaluation.when, '%Y-%m-%d %H:%M')}",
        f" · {counted(evaluation.accuracy.questions, 'question')}",
        f" about {counted(evaluation.accuracy.images, 'image')}",
        f" · {evaluation.left_out:,} left out" if evaluation.left_out else "",
    ]
    while len(parts) > 1 and len("".join(parts)) > width:
        parts.pop()
    return Content("".join(parts))
