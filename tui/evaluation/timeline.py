"""The evaluations of a run over time: sample answers with their images, accuracy by type, and confusions at each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget

from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import AnswerSample
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, visible
from looptop.engine.vqa.confusion import Confusion, in_cell
from looptop.engine.vqa.evaluation.text import label_text, points, share
from looptop.tui.actions import SCREENS, bindings
from looptop.tui.background import in_thread, work
from looptop.tui.evaluation.confusion_grid import ConfusionGrid
from looptop.tui.evaluation.images import entries_of_samples
from looptop.tui.evaluation.page_frame import PageFrame
from looptop.tui.evaluation.sample_cards import SampleCards
from looptop.tui.evaluation.timeline_reader import Timeline, TimelineReader
from looptop.tui.evaluation.type_table import TypeTable
from looptop.tui.plots.sparkline import cell_of, sparkline_of_latest
from looptop.tui.run_text import state_label
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.text import safe
from looptop.tui.widgets.table import Table

NO_EVALUATION = "after the first evaluation"
NO_SAMPLES = "This evaluation kept no sample answers: training.answer_samples says how many a run keeps."
NO_BREAKDOWN = (
    "The journal has no accuracy by type and no confusions of this evaluation: an older version of looptop wrote it.\n"
    "`looptop eval`, or e on Train, computes them for the run's model."
)


class TimelineScreen(MainScreen):
    """The pages of one evaluation of a run, and the way to the ones before and after it.

    It shows the newest evaluation, and the next ones as they are made, until another one is chosen.
    """

    CSS_PATH = ["../styles/evaluation.tcss"]  # noqa: RUF012
    KEY_CONTEXTS = SCREENS["timeline"].contexts
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("timeline")]

    def __init__(self) -> None:
        super().__init__()
        self._reader: TimelineReader | None = None
        self._timeline: Timeline | None = None
        self._step: int | None = None
        """The evaluation that was chosen; None for the newest."""
        self._problem = ""
        """Why the run cannot be read."""
        self._cards, self._types, self._grid = SampleCards(), TypeTable(), ConfusionGrid()
        pages: dict[str, SampleCards | TypeTable | ConfusionGrid] = {
            "samples": self._cards,
            "types": self._types,
            "confusion": self._grid,
        }
        self._frame = PageFrame("train", pages, self._show_page)
        self._loop = WatchLoop(self, self._read, self.show_error)

    def compose(self) -> Iterable[Widget]:
        """A head, the names of the pages, a page, a sentence about what is under the cursor."""
        yield from self._frame

    def on_mount(self) -> None:
        """Begins to read the run."""
        self._show_page()
        self._loop.start()

    def on_screen_resume(self) -> None:
        """Reads immediately when the screen comes back."""
        self._loop.poke()

    def show_run(self, run: RunFolder, origin: str) -> None:
        """Shows a run's evaluations.

        Args:
            run: A VQA run.
            origin: The name of the screen that esc goes back to.
        """
        self._frame.set_origin(origin)
        if self._reader is None or self._reader.run.path != run.path:
            self._reader, self._timeline, self._step, self._problem = TimelineReader(run), None, None, ""
        self.services.watch_events(run)
        self._show_page()
        self._loop.poke()

    async def _read(self) -> bool:
        reader, step = self._reader, self._step
        if reader is None:
            return False
        try:
            timeline = await in_thread(lambda: reader.poll(step))
        except LooptopError as error:
            if reader is self._reader and self._timeline is None:
                self._problem = str(error)
                self._show_page()
            raise
        if reader is self._reader and timeline is not self._timeline and self.is_mounted:
            self._timeline = timeline
            self._fill(timeline)
            self._show_page()
        return True

    def _fill(self, timeline: Timeline) -> None:
        self._cards.show(timeline)
        self._types.show(timeline)
        breakdown = timeline.breakdown
        before = timeline.breakdowns.get(timeline.step_before) if timeline.step_before is not None else None
        self._grid.show(
            breakdown.confusion if breakdown is not None else Confusion((), ()),
            before.confusion if before is not None else None,
            keeps_cell=True,
        )

    # What is shown.

    def _show_page(self) -> None:
        missing = self._missing()
        self._frame.placeholder.show(safe(missing, "$text-muted", keep_lines=True))
        self._frame.show_page(has_content=not missing)
        self.set_focus(None if missing else self._frame.page)
        self._show_head()
        self._show_detail()

    def _missing(self) -> str:
        """Why the page has nothing to show; empty if it has."""
        timeline = self._timeline
        if timeline is None:
            return self._problem or "reading…"
        if timeline.step is None:
            return NO_EVALUATION
        if self._frame.page is self._cards:
            return "" if timeline.samples else NO_SAMPLES
        return NO_BREAKDOWN if timeline.breakdown is None else ""

    def _show_head(self) -> None:
        run, timeline = self._reader.run if self._reader is not None else None, self._timeline
        if run is None or timeline is None:
            name = safe(run.id if run is not None else "", "bold")
            self._frame.show_head([name], name)
            return
        head = Content.assemble((visible(run.id), "bold"), "  ", state_label(timeline.state), "  ")
        width = self.size.width - 2
        lines = [head + evaluation_text(timeline, width - head.cell_length), self._time_axis(timeline)]
        self._frame.show_head(lines, evaluation_text(timeline, width))

    def _time_axis(self, timeline: Timeline) -> Content:
        """The accuracy of all evaluations as bars, the shown one marked, and whether the run is followed."""
        if not timeline.steps:
            return Content("")
        follows = "newest"
        if not timeline.state.ended:
            follows = "newest; the next one will be shown when it is made"
        if not timeline.is_newest:
            later = len(timeline.steps) - 1 - timeline.index
            follows = f"{later:,} later: ] goes to the next, end to the newest"
        width = max(8, min(len(timeline.steps), self.size.width - 6 - len(follows)))
        bars = sparkline_of_latest(timeline.accuracies, width)
        here = cell_of(timeline.index, len(timeline.steps), width)
        return Content.assemble(
            (bars[:here], "$primary"),
            (f"[{bars[here]}]", "bold"),
            (bars[here + 1 :], "$primary"),
            (f"  {follows}", "$text-muted" if timeline.is_newest else "$text-warning"),
        )

    def on_resize(self, event: Resize) -> None:
        """Fits the head to the new width."""
        super().on_resize(event)
        self._show_head()

    @on(Table.Moved)
    @on(SampleCards.Moved)
    def _show_detail(self) -> None:
        timeline = self._timeline
        text = ""
        if timeline is not None and not self._missing():
            page = self._frame.page
            text = self._cell_text(timeline) if page is self._grid else page.detail
        self._frame.detail.show(safe(text, "$text-muted"))

    def _cell_text(self, timeline: Timeline) -> str:
        """The cell under the cursor, its change, and how many sample answers are in it."""
        change = self._grid.change
        words = ""
        if change is not None and timeline.step_before is not None:
            more = f"{abs(change):,} {'more' if change > 0 else 'fewer'} than" if change else "As many as"
            words = f" {more} at step {timeline.step_before:,}."
        count = len(self._in_cell(timeline))
        opens = f" Enter shows the image{'' if count == 1 else f's of {count} samples'}." if count else ""
        return f"{self._grid.sentence}{words}{opens}"

    # Time.

    def action_step(self, evaluations: int) -> None:
        """Shows a later or an earlier evaluation."""
        steps = self._steps
        # Counted from the one that was chosen last: keys may come faster than the journal is read.
        self._go_to((steps.index(self._step) if self._step in steps else len(steps) - 1) + evaluations)

    def action_jump(self, to: str) -> None:
        """Shows the `first` or the `last` evaluation."""
        self._go_to(0 if to == "first" else len(self._steps) - 1)

    @property
    def _steps(self) -> tuple[int, ...]:
        """The steps of the evaluations that are known."""
        return self._timeline.steps if self._timeline is not None else ()

    def _go_to(self, index: int) -> None:
        steps = self._steps
        if steps:
            index = max(0, min(index, len(steps) - 1))
            self._step = None if index == len(steps) - 1 else steps[index]
            self._loop.poke()

    # Pages.

    def action_page(self, by: int) -> None:
        """Shows the next page or the one before."""
        self._frame.line.turn(by)

    def back(self) -> None:
        """Esc: goes back."""
        work(self, self.services.action_go(self._frame.origin), "screens")

    # Opening images.

    @on(SampleCards.Chosen)
    def _card_chosen(self) -> None:
        samples = self._cards.samples
        title = f"samples of {self._reader.run.id}" if self._reader is not None else "samples"
        work(self, self._open(title, samples, samples[self._cards.cursor]), "open images", exclusive=True)

    @on(Table.Chosen, "#confusion-page")
    def _cell_chosen(self) -> None:
        if self._timeline is None or not self._grid.questions:
            return
        samples = self._in_cell(self._timeline)
        if not samples:
            count = len(self._timeline.samples)
            self.services.show_notice(f"this cell has none of the {counted(count, 'sample question')}")
            return
        truth, answer = self._grid.cell
        title = f"{label_text(truth)} → {label_text(answer)}"
        work(self, self._open(title, samples, samples[0]), "open images", exclusive=True)

    def _in_cell(self, timeline: Timeline) -> list[AnswerSample]:
        """The sample answers of the cell under the cursor."""
        breakdown = timeline.breakdown
        return [] if breakdown is None else in_cell(timeline.samples, breakdown.confusion, *self._grid.cell)

    async def _open(self, title: str, samples: Sequence[AnswerSample], first: AnswerSample) -> None:
        """Shows images on Ask; the run's model answers there, once it has one."""
        if self._reader is None:
            return
        run = self._reader.run
        if await in_thread(lambda: has_model(run)):
            self.services.ask_about(run.name)
        self.services.show_images(title, entries_of_samples(samples, first))


def has_model(run: RunFolder) -> bool:
    """Whether the run has saved a model that can be asked."""
    from looptop.engine.vqa.model.saved_models import folder_of

    try:
        folder_of(run.name)
    except LooptopError:
        return False
    return True


def evaluation_text(timeline: Timeline, width: int) -> Content:
    """Which evaluation is shown, its accuracy, and the change since the one before; its epoch if there is room."""
    if timeline.step is None:
        return Content.styled(NO_EVALUATION, "$text-muted")
    accuracy = timeline.accuracies[timeline.index]
    before = timeline.accuracies[timeline.index - 1] if timeline.index > 0 else None
    first = [
        (f"evaluation {timeline.index + 1:,} of {len(timeline.steps):,}", "bold"),
        (f" · step {timeline.step:,}", ""),
    ]
    last: list[tuple[str, str]] = []
    if accuracy is not None:
        last.append((f" · {share(accuracy)} right", ""))
        if before is not None:
            change = accuracy - before
            last.append((f" ({points(change)})", "$text-success" if change > 0 else "$text-error" if change else ""))
    if timeline.step == timeline.result_step:
        last.append((" · the run's result", "$primary"))
    epoch = [] if timeline.epoch is None else [(f", epoch {timeline.epoch:.1f}", "")]
    whole = Content.assemble(*first, *epoch, *last)
    return whole if whole.cell_length <= width else Content.assemble(*first, *last)
