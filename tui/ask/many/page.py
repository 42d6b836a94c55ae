"""The table of answers to many questions: it fills as they come, is sorted, filtered, marked and exported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted, visible_answer
from looptop.tui.actions import bindings
from looptop.tui.ask.answers import kept_answers
from looptop.tui.ask.many.answers import ManyAnswers, ManyState, ModelAnswers
from looptop.tui.ask.many.rows import ManyRows
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Overlay
from looptop.tui.text import duration, probability, safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.table import Table

if TYPE_CHECKING:
    from looptop.engine.asked.records import Entry
    from looptop.engine.filters.vocabulary import Filter

REDRAW_SECONDS = 0.5
TYPING_SECONDS = 0.15
"""So long after the last letter the filter is applied."""
MAX_LOAD = 0.05
"""The largest fraction of the time that ordering the rows may take."""

MAX_COUNTED = 6
"""So many different answers are counted below the table."""


class AnswersTable(Table):
    """The rows."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("columns", "answers")]

    def action_column(self, columns: int) -> None:
        """Moves the column cursor, which only several models have."""
        if self.shows_column:
            super().action_column(columns)


class ManyPage(Overlay[list["Entry"]]):
    """The table. Returns the answers to a question that are to be shown on Ask, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("many")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("many", "answers", "rows", "columns")
    AUTO_FOCUS = "#answers-table"

    def __init__(self, many: ManyAnswers) -> None:
        super().__init__()
        self._many = many
        self._rows = ManyRows(many)
        self._filter: Filter[Entry] | None = None
        """The last filter that was typed and can be read."""
        self._drawn = -1
        self._next_draw = 0.0
        self._state = many.state

    def compose(self) -> Iterable[Widget]:
        """The filter, the table, and how far it is."""
        table = AnswersTable(self._rows.columns, id="answers-table")
        status = Static(id="answers-status")
        if len(self._many.models) > 1:
            # `t` and `y` mean the model under the column cursor.
            table.shows_column, table.column = True, self._rows.first_answer
            status.styles.height = 1 + len(self._many.models)
        box = Vertical(
            Field(placeholder='/ filters:  wrong  answer:red  confidence<0.5  "some words"', id="answers-filter"),
            table,
            status,
            classes="box -many",
        )
        box.border_title = safe(self._title)
        yield box
        yield KeyBar()

    def hides_key(self, action: str) -> bool:
        """Whether the bottom line leaves out an action, since it would do nothing now."""
        return action == "pause" and self._many.state is ManyState.DONE

    @property
    def _title(self) -> str:
        asked = f"“{self._many.question}”" if self._many.question else "the list's own questions"
        return f"{asked} · {', '.join(each.model for each in self._many.models)}"

    @property
    def _table(self) -> AnswersTable:
        return self.query_one(AnswersTable)

    def on_mount(self) -> None:
        """Shows what there is, and from then on what comes."""
        self.call_after_refresh(self._draw)
        self.set_interval(REDRAW_SECONDS, self._poll)

    def _poll(self) -> None:
        if (self._many.changes != self._drawn or self._many.is_busy) and time.monotonic() >= self._next_draw:
            self._draw()

    def _draw(self) -> None:
        began, current = time.monotonic(), self._current
        if self._many.changes != self._drawn:
            self._drawn = self._many.changes
            self._rows.take_new()
        self._show_rows(current)
        if self._many.state is not self._state:
            self._state = self._many.state
            self.query_one(KeyBar).refresh()
        self._next_draw = time.monotonic() + (time.monotonic() - began) / MAX_LOAD

    def _show_rows(self, current: int | None) -> None:
        table, indices = self._table, self._rows.indices
        cursor = None
        if self._rows.sort is not None or self._rows.is_filtered:  # else a row stays where it is
            cursor = indices.index(current) if current is not None and current in indices else None
        table.row_order = self._rows.sort
        table.empty_text = "no answer matches" if self._rows.is_filtered else "no question"
        table.fill(len(indices), self._rows.cells, cursor=cursor)
        self.query_one("#answers-status", Static).update(
            Content("\n").join([self._progress(), *map(self._figures, self._many.models)])
        )

    @property
    def _current(self) -> int | None:
        """The question under the cursor."""
        cursor = self._table.cursor
        return self._rows.indices[cursor] if cursor < len(self._rows.indices) else None

    # Below the table.

    def _progress(self) -> Content:
        many, total = self._many, self._many.total
        style = "$text-primary" if many.is_busy else "$text-muted"
        words = [f"{many.done:,} of {total:,}"]
        if errors := sum(len(each.errors) for each in many.models):
            words.append(f"{errors:,} without an answer")
        match many.state:
            case ManyState.READING:
                words.append("reading kept answers…")
            case ManyState.ANSWERING:
                words.append(f"{duration(many.spent)} so far")
                if many.left is not None:
                    words.append(f"about {duration(many.left)} left")
            case ManyState.STOPPED:
                words.append("stopped; space continues")
            case ManyState.DONE:
                words += [f"in {duration(many.spent)}"] if many.spent >= 1 else []
        if self._rows.is_filtered:
            words.append(f"{len(self._rows.indices):,} shown")
        line = safe(" · ".join(words), style)
        return line + safe(f" · {many.trouble}", "$text-error") if many.trouble else line

    def _figures(self, model: ModelAnswers) -> Content:
        """How many of a model's answers on display are right, and which ones are frequent."""
        from looptop.engine.asked.many import count_right, counted_answers

        entries = [model.entries[index] for index in self._rows.indices if index in model.entries]
        words = [model.model] if len(self._many.models) > 1 else []
        right, known = count_right(entries)
        if known:
            words.append(f"{right:,} of {known:,} right ({probability(right / known).strip()})")
        counts = list(counted_answers(entries).items())
        words += [f"{visible_answer(answer)[:24]} {count:,}" for answer, count in counts[:MAX_COUNTED]]
        if more := len(counts) - MAX_COUNTED:
            words += [counted(more, "other answer")] if more > 0 else []
        return safe(" · ".join(words))

    # Keys.

    def action_search(self) -> None:
        """Goes to the filter."""
        self.query_one("#answers-filter").focus()

    @on(Input.Changed, "#answers-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        from looptop.engine.asked.entry_filter import parse

        box = self.query_one(".box", Vertical)
        try:
            chosen = parse(event.value) if event.value.strip() else None
        except LooptopError as error:
            box.border_subtitle = safe(error, "$text-error")
            return
        box.border_subtitle = ""
        self._filter = chosen
        work(self, self._use_filter_soon(), "filter", exclusive=True)

    async def _use_filter_soon(self) -> None:
        await asyncio.sleep(TYPING_SECONDS)  # Thousands of answers are tested: not at each letter.
        self._use_filter()

    def _use_filter(self) -> None:
        if self._filter is not self._rows.filter:
            current = self._current
            self._rows.use_filter(self._filter)
            self._show_rows(current)

    @on(Input.Submitted, "#answers-filter")
    def _filter_done(self) -> None:
        self._use_filter()
        self._table.focus()

    def action_leave(self) -> None:
        """Esc: leaves the filter, else stops asking, else closes the table."""
        if isinstance(self.focused, Field):
            self._table.focus()
        elif self._many.state is ManyState.ANSWERING:
            self._many.stop()
            self._draw()
        else:
            self.dismiss(None)

    def action_pause(self) -> None:
        """Stops asking, or goes on."""
        if self._many.state is ManyState.ANSWERING:
            self._many.stop()
        elif self._many.state is ManyState.STOPPED:
            self._many.go_on()
        self._draw()

    def action_sort(self) -> None:
        """Sorts by the next column; after the last one, in the list's order."""
        keys: list[str | None] = [*(column.key for column in self._rows.columns), None]
        before = self._rows.sort[0] if self._rows.sort is not None else None
        self._sort_by(keys[(keys.index(before) + 1) % len(keys)])

    def action_reverse(self) -> None:
        """Sorts the other way round."""
        if self._rows.sort is not None:
            self._rows.sort = (self._rows.sort[0], not self._rows.sort[1])
            self._arrange()

    @on(Table.TitleClicked)
    def _title_clicked(self, event: Table.TitleClicked) -> None:
        if self._rows.sort is not None and self._rows.sort[0] == event.key:
            self.action_reverse()
        else:
            self._sort_by(event.key)

    def _sort_by(self, key: str | None) -> None:
        self._rows.sort = None if key is None else (key, False)
        self._arrange()

    def _arrange(self) -> None:
        current = self._current
        self._rows.arrange()
        self._show_rows(current)

    @on(Table.Chosen)
    def _chosen(self) -> None:
        if self._current is not None and (entries := self._many.entries_of(self._current)):
            # The one under the column cursor last: it stays where several have no view of their own.
            self.dismiss(sorted(entries, key=lambda each: each is self._entry))

    def action_copy(self) -> None:
        """Copies question, answer and model."""
        if (entry := self._entry) is not None:
            kept_answers.copy(self.app, entry)

    def action_judge(self) -> None:
        """Asks whether the answer is right."""
        index, model, entry = self._current, self._model, self._entry
        if index is None or entry is None:
            return

        def judged(changed: Entry) -> None:
            self._many.replace(index, model, changed)
            self._draw()

        kept_answers.judge(self, self._many.asked, entry, judged)

    @property
    def _model(self) -> ModelAnswers:
        """The model under the column cursor."""
        return self._rows.model_at(self._table.column)

    @property
    def _entry(self) -> Entry | None:
        """The answer under the cursor."""
        return None if self._current is None else self._model.entries.get(self._current)

    def action_export(self) -> None:
        """Exports the answers on display."""
        kept_answers.export(self, "answers", self._shown_entries)

    async def _shown_entries(self) -> Sequence[Entry]:
        shown = [entry for index in self._rows.indices for entry in self._many.entries_of(index)]
        return await in_thread(lambda: self._many.whole(shown))


class ManyQuestion(Overlay[str]):
    """Asks for the question about all images. Returns it, empty for the images' own questions; None if closed.

    Args:
        before: The first text of the field.
        images: The number of images.
        own: The number of the images' own questions.
        models: The number of models that are asked.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dialog")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("dialog",)

    def __init__(self, before: str, images: int, own: int, models: int) -> None:
        super().__init__()
        self._before, self._images, self._own = before, images, own
        self._whom = f" {models} models" if models > 1 else ""

    def compose(self) -> Iterable[Widget]:
        """One field, and what enter does."""
        field = Field(self._before, placeholder="a question about every image", id="many-question")
        box = Vertical(field, Static(self._hint(self._before), id="many-hint"), classes="box -question")
        box.border_title = "Ask about every image of the list"
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Selects the question, so that typing replaces it."""
        self.query_one(Field).select_all()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self.query_one("#many-hint", Static).update(self._hint(event.value))

    def _hint(self, question: str) -> Content:
        if question.strip():
            text = f"enter asks{self._whom or ' it'} about {counted(self._images, 'image')}"
            text += "; an empty line asks the images' own questions" if self._own else ""
        elif self._own:
            text = f"enter asks{self._whom} {counted(self._own, 'question')} that the data has about these images"
        else:
            text = f"type a question; the data has none about {counted(self._images, 'image')}"
        return safe(text, "$text-muted")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        question = event.value.strip()
        if question or self._own:
            self.dismiss(question)
