"""The page of a batch: a table of its samples, histograms of reward and KL, and one sample's texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.records import BatchRecord, Judgement, SampleRecord
from looptop.engine.ppo.sample_filter import SampleView, parse
from looptop.engine.text import counted
from looptop.tui.actions import bindings
from looptop.tui.plots.histogram import BarRange, Histogram
from looptop.tui.ppo.columns import SampleRow, sample_cells, sample_columns, sample_rows, sorted_rows
from looptop.tui.ppo.sample_text import sample_below_table
from looptop.tui.ppo.snapshot import Reward
from looptop.tui.ppo.text import ALL_STAGES_WIDTH, marks_in_full, marks_on_a_line
from looptop.tui.text import safe
from looptop.tui.widgets.table import ColumnTable, Row, Table

if TYPE_CHECKING:
    from textual.app import ComposeResult


class BatchPage(Vertical):
    """One batch."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ppo-batch")]

    class Opened(Message):
        """The person asks to open the sample under the cursor."""

    class FilterWanted(Message):
        """The person asks to type a filter."""

    class Moved(Message):
        """Another sample is under the cursor."""

    def __init__(self) -> None:
        super().__init__(id="batch-page", classes="page")
        self.record: BatchRecord | None = None
        self._run = ""
        self._rewards: Sequence[Reward] = ()
        self._all: list[SampleRow] = []
        self._rows: list[SampleRow] = []
        self._filter = parse("", ())
        self.filter_text = ""
        """The filter as it was typed."""
        self._ranges: dict[str, BarRange] = {}
        self._row: int | None = None
        """The sample under the cursor, by its row in the batch."""
        self.table = ColumnTable(id="samples-table")
        self.table.shows_column = True

    def compose(self) -> ComposeResult:
        """A line about the batch, its marks, the table, and below or beside it histograms and texts."""
        yield Static(id="batch-line")
        yield Static(id="batch-health")
        with Horizontal(id="batch-samples"):
            yield self.table
            with Vertical(id="samples-side"):
                with Horizontal(id="histograms"):
                    yield Histogram("reward", id="reward-bars")
                    yield Histogram("KL", id="kl-bars")
                preview = Static(id="sample-preview")
                preview.border_title = "Sample"
                yield preview

    # What is shown.

    @property
    def sample(self) -> SampleRow | None:
        """The sample under the cursor."""
        cursor = self.table.cursor
        return self._rows[cursor] if cursor < len(self._rows) else None

    @property
    def rows(self) -> list[SampleRow]:
        """The samples in the table, in its order."""
        return self._rows

    def show(
        self,
        batch: BatchRecord | None,
        records: Sequence[SampleRecord],
        judgements: Sequence[Judgement],
        rewards: Sequence[Reward],
        run: str,
    ) -> None:
        """Shows a batch. For the same batch as before, the order, the filter and the sample under the cursor stay.

        Args:
            batch: The batch, as far as it is journalled.
            records: Its samples.
            judgements: A person's judgements of them.
            rewards: The parts of the reward.
            run: The run, as it is typed into a shell.
        """
        if batch is None or self.record is None or batch.step != self.record.step:
            self._ranges.clear()
        self.record, self._rewards, self._run = batch, rewards, run
        self._all = sample_rows(records, judgements)
        if self.filter_text:
            self._try_filter(self.filter_text)
        for name, key in (("#reward-bars", "reward"), ("#kl-bars", "kl")):
            counted = [row.figures[key] for row in self._all if not row.left_out]
            values = [value for value in counted if value is not None and value == value]
            self.query_one(name, Histogram).show(values)
        self._show_health()
        self._arrange()

    def _show_health(self) -> None:
        """Shows the marks in full if there is room, otherwise on one line."""
        health, batch = self.query_one("#batch-health", Static), self.record
        short = self.screen.has_class("-short")
        marks = Content("") if batch is None else marks_on_a_line(batch) if short else marks_in_full(batch)
        health.display = bool(marks.plain)
        health.update(marks)

    def select(self, row: int) -> None:
        """Moves the cursor to a sample, by its row in the batch."""
        self._row = row
        for index, sample in enumerate(self._rows):
            if sample.record.row == row:
                self.table.cursor = index
                return

    def turn_sample(self, by: int) -> SampleRow | None:
        """Moves the cursor by some rows; returns the sample that it is on then."""
        self.table.cursor += by
        return self.sample

    def _arrange(self) -> None:
        """Filters and sorts, and keeps the sample under the cursor."""
        rows = [row for row in self._all if self._keeps(row)]
        sort = self.table.row_order
        if sort is not None:
            rows = sorted_rows(rows, *sort)
        self._rows = rows
        index = next((at for at, row in enumerate(rows) if row.record.row == self._row), None)
        columns = sample_columns(self._all, self._rewards)
        self.table.empty_text = "no sample is so" if self._all else "the samples of this batch are not known yet"
        self.table.fill(len(rows), self._row_cells, columns=columns, cursor=0 if index is None else index)
        self._show_batch_line()
        self._show_sample()

    def _keeps(self, row: SampleRow) -> bool:
        figures = row.figures
        if not all(wanted.holds(figures[key]) for key, wanted in self._ranges.items()):
            return False
        return self._filter.holds(SampleView(figures, (row.record.query, row.record.response)))

    def _row_cells(self, row: int) -> Row | None:
        return sample_cells(self._rows[row], self.table.columns) if row < len(self._rows) else None

    def _show_batch_line(self) -> None:
        """Shows the number of samples, their order, and the filter."""
        batch = self.record
        parts = [safe(f"{len(self._rows)} of {counted(len(self._all), 'sample')}", "bold")]
        if batch is not None and batch.stage != "updated":
            parts.append(safe(f"so far {batch.stage}", "$text-warning"))
        if self.table.row_order is not None:
            key, largest = self.table.row_order
            parts.append(safe(f"by {key}, {'largest' if largest else 'smallest'} first", "$text-muted"))
        if self.filter_text:
            parts.append(safe(f"/ {self.filter_text}", "$text-primary"))
        parts += [
            safe(f"{key} {wanted.low:.2f} to {wanted.high:.2f}", "$text-primary")
            for key, wanted in self._ranges.items()
        ]
        judged = sum(1 for row in self._all if row.edited or row.left_out)
        rated = sum(1 for row in self._all if row.rating)
        if judged:
            parts.append(safe(f"{judged} judged", "$text-warning"))
        if rated:
            learn = f": looptop train reward --data {self._run}" if self.size.width >= ALL_STAGES_WIDTH else ""
            parts.append(safe(f"{rated} rated{learn}", "$text-warning"))
        self.query_one("#batch-line", Static).update(Content("   ").join(parts), layout=False)

    def _show_sample(self) -> None:
        preview = self.query_one("#sample-preview", Static)
        if not preview.display:
            return
        sample = self.sample
        preview.border_title = "Sample" if sample is None else f"Sample {sample.record.row}"
        preview.update(
            Content("") if sample is None else sample_below_table(sample, preview.content_size.width), layout=False
        )

    @on(Table.Moved, "#samples-table")
    def _moved(self, event: Table.Moved) -> None:
        event.stop()
        sample = self.sample
        if sample is not None and sample.record.row != self._row:
            self._row = sample.record.row
            self.post_message(self.Moved())
        self._show_sample()

    @on(Table.Chosen, "#samples-table")
    def action_open(self) -> None:
        """Opens the sample."""
        if self.sample is not None:
            self.post_message(self.Opened())

    # Sorting and filtering.

    def action_sort(self, largest_first: bool) -> None:
        """Sorts by the column under the column cursor."""
        self.sort_by(self.table.columns[self.table.column].key, largest_first)

    def sort_by(self, key: str | None, largest_first: bool = False) -> None:
        """Sorts by a column; None restores the samples' own order."""
        self.table.row_order = None if key is None else (key, largest_first)
        self._arrange()

    def action_best(self) -> None:
        """Sorts the best first, at the next call the worst, then in the original order."""
        after = {None: True, ("reward", True): False}
        sort = self.table.row_order if self.table.row_order in after else None
        self._row = None
        if self.table.row_order == ("reward", False):
            self.sort_by(None)
        else:
            self.sort_by("reward", after[sort])

    @on(Table.TitleClicked, "#samples-table")
    def _title_clicked(self, event: Table.TitleClicked) -> None:
        event.stop()
        self.table.to_column([column.key for column in self.table.columns].index(event.key))
        self.sort_by(event.key, self.table.row_order == (event.key, False))

    def action_filter(self) -> None:
        """Asks for a filter."""
        self.post_message(self.FilterWanted())

    def try_filter(self, text: str) -> str:
        """Applies a filter while it is typed.

        Returns:
            How many samples match, in words.

        Raises:
            LooptopError: The text is not a filter; the previous one stays.
        """
        self._filter = parse(text, self._known())
        self.filter_text = text.strip()
        self._arrange()
        return f"{len(self._rows)} of {counted(len(self._all), 'sample')}"

    def _try_filter(self, text: str) -> None:
        try:
            self._filter = parse(text, self._known())
        except LooptopError:
            # Another run's samples have other figures.
            self._filter, self.filter_text = parse("", ()), ""

    def _known(self) -> list[str]:
        return list(self._all[0].figures) if self._all else ["reward", "kl", "length"]

    def action_histograms(self) -> None:
        """Goes to the histograms, or back to the table."""
        bars: Histogram = self.query_one("#reward-bars", Histogram)
        (self.table if bars.has_focus else bars).focus()

    @on(Histogram.Chosen)
    def _bar_chosen(self, event: Histogram.Chosen) -> None:
        event.stop()
        key = "reward" if event.histogram.id == "reward-bars" else "kl"
        if event.bar_range is None:
            self._ranges.pop(key, None)
        else:
            self._ranges[key] = event.bar_range
        self._arrange()

    def on_resize(self) -> None:
        """Shows or hides the texts, depending on the room."""
        for show in (self._show_sample, self._show_health, self._show_batch_line):
            self.call_after_refresh(show)
