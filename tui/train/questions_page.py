"""The training questions of a run, sorted by loss, confidence or variability; edited while the run is paused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.text import counted, visible, visible_answer
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Overlay
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.text import safe
from looptop.tui.train.one_question import COLUMNS, QuestionPanel, question_cells, question_details
from looptop.tui.train.questions_reader import QuestionsReader
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.table import Row, Table

if TYPE_CHECKING:
    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.vqa.curation.questions import CuratedQuestion, CuratedQuestions, Rows
    from looptop.engine.vqa.curation.records import EditKind
    from looptop.tui.screens.base import Services

REPLY_SECONDS = 5.0
"""How long to wait for a live run's reply to an edit."""

PAUSE_FIRST = "pause the run first (space): training questions can be edited only while it is paused"
TITLE_LETTERS = 60
"""So much of a question stands in the title of the field for its answer."""


class QuestionsPage(Overlay[None]):
    """The table, and beside it the question under the cursor.

    Args:
        run: The run.
        pause: Pauses or continues it, given its state.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("curation")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("curation", "rows")
    AUTO_FOCUS = "#questions-table"

    def __init__(self, run: RunFolder, pause: Callable[[RunState], object]) -> None:
        super().__init__()
        self._run, self._pause = run, pause
        self._reader = QuestionsReader(run)
        self._latest: CuratedQuestions | None = None
        """The questions that were read last."""
        self._questions: CuratedQuestions | None = None
        """Those on display, which belong to `_rows`."""
        self._rows: Rows | None = None
        """Their rows on display, in order."""
        self._state = RunState.CREATED
        self._filter: Filter[CuratedQuestion] | None = None
        self._sort: tuple[Any, bool] | None = ("loss", True)
        self._filter_error = ""
        """What is wrong with the filter; empty if nothing is."""
        self._read_error = ""
        """Why the journal could not be read; empty if it could."""
        self._loop = WatchLoop(self, self._read, self._read_failed)

    def compose(self) -> Iterable[Widget]:
        """The filter, the table with the panel, and what can be done."""
        table = Table(COLUMNS, id="questions-table")
        table.empty_text = "reading…"
        hint = '/ filters:  loss>2  confidence<30%  answer:red  edited  "some words"'
        filters = Field(placeholder=hint, id="questions-filter")
        box = Vertical(
            filters,
            Horizontal(table, QuestionPanel(), id="questions-body"),
            Static(id="questions-status"),
            classes="box -training-questions",
        )
        box.border_title = safe(f"Training questions of {self._run.id}")
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Begins to read, and goes on as long as the page is open."""
        self._loop.start()

    def hides_key(self, action: str) -> bool:
        """Whether the bottom line leaves out an action, since it would do nothing now."""
        return action == "command('pause')" and not self._is_live

    # Reading.

    async def _read(self) -> bool:
        reading = await in_thread(self._reader.read)
        is_new = reading.questions is not self._latest
        state, self._state = self._state, reading.state
        self._latest = reading.questions
        if state is not self._state:
            self._show_status()
            self.query_one(KeyBar).refresh()
        if is_new:
            self._arrange()
        return True

    def _read_failed(self, sentence: str) -> None:
        self._read_error = sentence
        self._show_error()
        if sentence and self._questions is None:
            self._table.empty_text = "the training questions cannot be read"
            self._table.refresh()

    # What is shown.

    def _arrange(self) -> None:
        """Sorts and filters in a thread, then shows the rows; a newer request replaces an older one."""
        if self._latest is not None:
            work(self, self._show_arranged(self._latest), "arrange", exclusive=True)

    async def _show_arranged(self, questions: CuratedQuestions) -> None:
        chosen, sort = self._filter, self._sort
        rows = await in_thread(lambda: questions.arranged(chosen, sort))
        current, table = self._row, self._table
        cursor = None
        if current is not None:
            index = (rows == current).nonzero()[0]
            cursor = int(index[0]) if len(index) else None
        above = table.cursor - int(table.scroll_offset.y)
        self._questions, self._rows = questions, rows
        table.row_order = sort
        if chosen is not None:
            table.empty_text = "no training question matches"
        else:
            table.empty_text = (
                "this run has not recorded its training questions: it is not a VQA run, an older version made it, or it"
                " has not started"
            )
        table.fill(len(rows), self._cells, cursor=cursor)
        if cursor is not None:  # The question stays at its line of the screen.
            table.scroll_to(y=max(0, table.cursor - above), animate=False, immediate=True)
        self._show_question()
        self._show_status()

    def _cells(self, index: int) -> Row | None:
        if self._questions is None or self._rows is None:
            return None
        row = int(self._rows[index])
        confidences = self._questions.confidences(row).tolist()
        return question_cells(self._questions[row], confidences, self._table.span_of("epochs")[1])

    @property
    def _table(self) -> Table:
        return self.query_one(Table)

    @property
    def _row(self) -> int | None:
        """The row, in the training split, of the question under the cursor."""
        cursor = self._table.cursor
        return int(self._rows[cursor]) if self._rows is not None and cursor < len(self._rows) else None

    @property
    def _question(self) -> CuratedQuestion | None:
        row = self._row
        return None if row is None or self._questions is None else self._questions[row]

    @on(Table.Moved)
    def _show_question(self) -> None:
        panel, question = self.query_one(QuestionPanel), self._question
        if question is None or self._questions is None:
            panel.clear()
            return
        confidences = self._questions.confidences(question.row).tolist()
        panel.show_question(question.image, question_details(question, confidences, max(8, panel.content_size.width)))

    def on_resize(self, event: Any) -> None:
        """Fits the line of bars to the new width."""
        super().on_resize(event)
        self.call_after_refresh(self._show_question)

    def _show_status(self) -> None:
        questions, rows = self._questions, self._rows
        if questions is None or rows is None:
            return
        edited, dropped, epochs = len(questions.edits), questions.dropped, len(questions.epochs)
        words = [counted(len(questions), "question")]
        if self._filter is not None:
            words.append(f"{len(rows):,} shown")
        words.append(counted(epochs, "epoch") if epochs else "no epoch is complete yet")
        if edited:
            words.append(f"{edited - dropped:,} with another answer, {dropped:,} left out")
        lines = [safe(" · ".join(words)), self._edit_hint()]
        self.query_one("#questions-status", Static).update(Content("\n").join(lines))

    def _edit_hint(self) -> Content:
        if self._state is RunState.PAUSED:
            return Content.styled("paused: edits apply from the next epoch on", "$text-success")
        if self._is_live:
            return Content.styled("space pauses it; then enter gives another answer, x leaves out", "$text-muted")
        return Content.styled("edits apply once the run is resumed, and to runs made like it", "$text-muted")

    @property
    def _is_live(self) -> bool:
        return not self._state.over

    def _show_error(self) -> None:
        """Shows in the frame what is wrong: with the filter first, since a person is writing it."""
        self.query_one(".box", Vertical).border_subtitle = safe(self._filter_error or self._read_error, "$text-error")

    # Sorting and filtering.

    def action_search(self) -> None:
        """Goes to the filter."""
        self.query_one("#questions-filter").focus()

    @on(Input.Changed, "#questions-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        from looptop.engine.vqa.curation.questions import parse

        try:
            self._filter = parse(event.value) if event.value.strip() else None
            self._filter_error = ""
            self._arrange()
        except LooptopError as error:
            self._filter_error = str(error)
        self._show_error()

    @on(Input.Submitted, "#questions-filter")
    def _filter_done(self) -> None:
        self._table.focus()

    def action_sort(self) -> None:
        """Sorts by the next column; after the last one, in the data's order."""
        keys: list[str | None] = [*(column.key for column in COLUMNS[:-1]), None]
        before = None if self._sort is None else self._sort[0]
        self._sort_by(keys[(keys.index(before) + 1) % len(keys)])

    def action_reverse(self) -> None:
        """Sorts the other way round."""
        if self._sort is not None:
            self._sort = (self._sort[0], not self._sort[1])
            self._arrange()

    @on(Table.TitleClicked)
    def _title_clicked(self, event: Table.TitleClicked) -> None:
        key = "confidence" if event.key == "epochs" else event.key
        if self._sort is not None and self._sort[0] == key:
            self.action_reverse()
        else:
            self._sort_by(key)

    def _sort_by(self, key: str | None) -> None:
        from looptop.engine.vqa.curation.questions import HARD_FIRST

        self._sort = None if key is None else (key, HARD_FIRST.get(key, False))
        self._arrange()

    # Editing.

    def action_relabel(self) -> None:
        """Asks for another answer to the question."""
        from looptop.tui.screens.dialog import TextQuestion

        question = self._editable
        if question is None:
            return

        def answered(text: str | None) -> None:
            if text is not None and text.strip() == question.answer:
                self._edit(question, "restore")
            elif text is not None and text.strip():
                self._edit(question, "relabel", text)

        before = question.answer if question.edited_answer is None else question.edited_answer
        title = f"The answer to “{question.question[:TITLE_LETTERS]}”"
        self.app.push_screen(TextQuestion(title, before), answered)

    def action_drop(self) -> None:
        """Leaves the question out of training."""
        question = self._editable
        if question is not None and question.is_dropped:
            self._services.show_notice("it is already left out; u puts it back")
        elif question is not None:
            self._edit(question, "drop")

    def action_restore(self) -> None:
        """Takes the edits of the question back."""
        question = self._editable
        if question is not None and not question.is_dropped and question.edited_answer is None:
            self._services.show_notice("it is as in the data; there is nothing to undo")
        elif question is not None:
            self._edit(question, "restore")

    @on(Table.Chosen)
    async def _double_clicked(self) -> None:
        await self.run_action("relabel")

    @property
    def _editable(self) -> CuratedQuestion | None:
        """The question under the cursor; None, after a notice, if questions cannot be edited now."""
        if self._question is not None and self._is_live and self._state is not RunState.PAUSED:
            self._services.show_notice(PAUSE_FIRST, "warning")
            return None
        return self._question

    def _edit(self, question: CuratedQuestion, kind: EditKind, answer: str = "") -> None:
        work(self, self._send(question, kind, answer), "edit")

    async def _send(self, question: CuratedQuestion, kind: EditKind, answer: str) -> None:
        try:
            problem = await in_thread(lambda: _record(self._run, question.row, kind, answer))
        except LooptopError as error:
            problem = str(error)
        if problem:
            self._services.show_notice(problem, "error")
        else:
            done = {
                "relabel": f"its answer is {visible_answer(answer.strip())}",
                "drop": "it is left out",
                "restore": "it is as in the data again",
            }[kind]
            when = "from the next epoch on" if self._is_live else "once the run is resumed, and in runs made like it"
            self._services.show_notice(f"{visible(question.question_id)}: {done}, {when}")
        self._loop.poke()

    # The rest.

    def action_command(self, _command: str) -> None:
        """Pauses or continues the run."""
        self._pause(self._state)
        self._loop.poke()

    def action_leave_or_close(self) -> None:
        """Esc: leaves the filter, else closes the page."""
        if isinstance(self.focused, Field):
            self._table.focus()
        else:
            self.dismiss(None)

    @property
    def _services(self) -> Services:
        return cast("Services", self.app)


def _record(run: RunFolder, row: int, kind: EditKind, answer: str) -> str:
    """Makes an edit, and waits for the answer of a live run.

    Returns:
        Why it was not made, or not answered yet; empty if it was made.

    Raises:
        LooptopError: It cannot be made.
    """
    from looptop.engine.runs.control import wait_reply
    from looptop.engine.vqa.curation.edits import record_edit

    control = record_edit(run, row, kind, answer, by="app")
    if control is None:
        return ""
    reply = wait_reply(run, control, REPLY_SECONDS)
    if reply is None:
        return f"{run.id} has not confirmed the edit yet; the table will show when it does"
    return "" if reply.ok else reply.text
