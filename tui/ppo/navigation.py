"""Navigation on the PPO screen: between run, batch, sample and tokens, and to the next or previous one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from looptop.engine.ppo.records import TokenTable
from looptop.tui.background import in_thread, work
from looptop.tui.ppo.batch_reader import BatchData, next_mark, read_batch
from looptop.tui.ppo.columns import SampleRow, sample_rows
from looptop.tui.ppo.references import References, SampleKey
from looptop.tui.ppo.screen_widgets import Level, PpoWidgets
from looptop.tui.ppo.snapshot import ShownRun
from looptop.tui.ppo.text import crumbs, status_line
from looptop.tui.ppo.typed_line import TypedLine
from looptop.tui.screens.base import MainScreen

PARENT_LEVEL: dict[Level, Level] = {"batch": "run", "sample": "batch", "tokens": "sample", "compare": "run"}
"""The level that esc goes to from each level."""
IN_BATCH = ("batch", "sample", "tokens")
"""Levels with an opened batch."""


class ChosenSample(NamedTuple):
    """The sample that copying, editing, leaving out and rating apply to."""

    step: int
    """The step of its batch."""
    sample: SampleRow
    reference: str | None
    """The reference's response, if it is known."""
    is_updated: bool = False
    """Whether its batch was updated already."""


class Navigation:
    """The level, the opened batch and sample, and the keys that change them, for a screen that owns this object.

    Args:
        screen: The screen.
        widgets: The screen's widgets.
        shown: The run on the screen.
        on_level: Called when a level is shown, which may need other data.
    """

    def __init__(
        self,
        screen: MainScreen,
        widgets: PpoWidgets,
        shown: ShownRun,
        on_level: Callable[[], None],
    ) -> None:
        self.level: Level = "form"
        self.step = 0
        """The step of the opened batch."""
        self.row = 0
        """The row of the opened sample in its batch."""
        self.typed_line = TypedLine(screen, widgets, self.focus)
        self.references = References(self.show_sample)
        self._data = BatchData()
        self._batch_reading = self._tokens_reading = object()
        """The last reading of a batch, and of tokens; what an older one returns is dropped."""
        self._screen = screen
        self._widgets = widgets
        self._shown = shown
        self._on_level = on_level

    # Levels.

    def show_level(self, level: Level) -> None:
        """Shows the page of a level."""
        self.level = level
        self._widgets.show(level)
        self.focus()
        self._screen.refresh_bindings()
        self.show_head()
        self._on_level()

    def focus(self) -> None:
        """Puts the focus on the main widget of this level."""
        self._widgets.focus_target(self.level).focus()

    def up(self) -> None:
        """Goes up a level, if there is one."""
        if self.level in PARENT_LEVEL:
            self.show_level(PARENT_LEVEL[self.level])

    def show_head(self) -> None:
        """Shows the two lines at the top."""
        snapshot = self._shown.snapshot
        if snapshot is None or self.level == "form":
            return
        width = self._screen.size.width
        words = []
        if self.level in IN_BATCH:
            words.append(f"batch {self.step:,}")
        if self.level in ("sample", "tokens"):
            words.append(f"sample {self.row}")
        if self.level == "tokens":
            words.append(f"token {self._widgets.token_page.cursor}")
        if self.level == "compare":
            words.append("before and after")
        follow = self._widgets.run_page.follow
        self._widgets.crumbs.show(crumbs(snapshot, words, follow and snapshot.live, width))
        any_batch = self.level == "compare" or (self.level == "run" and follow)
        self._widgets.status_line.show(status_line(snapshot, width, None if any_batch else self.chosen_step))

    # Down.

    def open_batch(self, step: int, level: Level | None = None) -> None:
        """Reads a batch and shows it. The next key waits for it, so that it is not about the batch before.

        Args:
            step: The batch's step.
            level: The level to go to; None stays on the current one.
        """
        journal = self._shown.journal
        if journal is None:
            return
        known = self._data
        self.step = step
        reading = self._batch_reading = object()

        def show(data: BatchData) -> None:
            if journal is self._shown.journal and reading is self._batch_reading:
                self._show_batch(data, level)

        self._screen.services.fetch(lambda: read_batch(journal, step, known), show)

    def _show_batch(self, data: BatchData, level: Level | None) -> None:
        self._data = data
        self._screen.refresh_bindings()
        if level is not None and level != self.level:
            self.show_level(level)
        folder, snapshot = self._shown.folder, self._shown.snapshot
        rewards = snapshot.rewards if snapshot is not None else []
        run = folder.shell_name if folder is not None else ""
        self._widgets.batch_page.show(data.record, data.samples, data.judgements, rewards, run)
        self.show_head()
        if self.level in ("sample", "tokens"):
            self.show_sample()
            self._read_tokens()

    def open_chosen_batch(self) -> None:
        """Opens the batch under the cursor."""
        step = self._widgets.run_page.step
        if step is not None:
            self.open_batch(step, "batch")

    def open_chosen_sample(self) -> None:
        """Opens the sample under the cursor."""
        sample = self._widgets.batch_page.sample
        if sample is not None:
            self._open_sample(sample.record.row, "sample")

    def open_tokens(self) -> None:
        """Opens the tokens of the opened sample."""
        self.show_level("tokens")
        self._read_tokens()

    def _open_sample(self, row: int, level: Level) -> None:
        self.row = row
        self._widgets.batch_page.select(row)
        self.show_level(level)
        self.show_sample()
        self._read_tokens()

    @property
    def _sample(self) -> SampleRow | None:
        """The opened sample."""
        rows = sample_rows(self._data.samples, self._data.judgements)
        return next((sample for sample in rows if sample.record.row == self.row), None)

    def show_sample(self) -> None:
        """Shows the opened sample, if its page is shown."""
        sample, snapshot = self._sample, self._shown.snapshot
        if sample is None or snapshot is None or self.level != "sample":
            return
        key = self._sample_key(self.row)
        self._widgets.sample_page.show(
            self.step,
            sample,
            self._reference(sample),
            self.references.status(key) if key is not None else "",
            snapshot.rewards,
            snapshot.setting("generation", "cut_penalty", 0.0),
        )

    def ask_reference(self) -> None:
        """Asks the reference for its response to the opened sample's query, unless it is journalled."""
        sample, key = self._sample, self._sample_key(self.row)
        if sample is None or key is None or sample.record.reference_response is not None:
            return
        self._screen.attempt(lambda: self.references.ask(key))
        self.show_sample()

    def _sample_key(self, row: int) -> SampleKey | None:
        folder = self._shown.folder
        return None if folder is None else SampleKey(folder.path, self.step, row)

    def _reference(self, sample: SampleRow) -> str | None:
        key = self._sample_key(sample.record.row)
        known = self.references.known(key) if key is not None else None
        return sample.record.reference_response if known is None else known

    def _read_tokens(self) -> None:
        """Reads the tokens if they are shown; those of a batch in progress may have new figures."""
        journal, step, row = self._shown.journal, self.step, self.row
        if journal is None or self.level != "tokens":
            return

        reading = self._tokens_reading = object()

        def show(table: TokenTable | None) -> None:
            is_last = reading is self._tokens_reading
            if is_last and (journal, step, row) == (self._shown.journal, self.step, self.row):
                page = self._widgets.token_page
                if table != page.tokens:
                    page.show(table)
                self.show_head()

        self._screen.services.fetch(lambda: journal.tokens(step, row), show)

    # Along.

    def turn(self, by: int) -> None:
        """Goes to the next or previous batch; in a sample, to the next or previous sample of the table."""
        page = self._widgets.run_page
        if self.level == "run" and page.step is not None:
            page.go_to(page.step + by)
        elif self.level == "batch":
            self.go_to_batch(self.step + by)
        elif self.level in ("sample", "tokens"):
            sample = self._widgets.batch_page.turn_sample(by)
            if sample is not None:
                self._open_sample(sample.record.row, self.level)

    def go_to_batch(self, step: int) -> None:
        """Goes to a batch, or to the nearest one that exists: in the list of the run, or with the opened batch."""
        snapshot = self._shown.snapshot
        if snapshot is None or not snapshot.count:
            return
        step = max(snapshot.first, min(step, snapshot.last))
        self._widgets.run_page.go_to(step)
        if self.level in IN_BATCH:
            self.open_batch(step, "batch")
        elif self.level == "compare":
            self.show_level("run")
        self.show_head()

    def go_to_sample(self, row: int) -> None:
        """Goes to a sample of the opened batch."""
        if any(sample.row == row for sample in self._data.samples):
            self._open_sample(row, self.level)
        else:
            count = len(self._data.samples)
            self._screen.services.show_notice(f"there is no sample {row}; the batch has {count}")

    def go_to_held(self, step: int) -> None:
        """Goes to the batch in which the run is held."""
        self.typed_line.close()
        self._widgets.run_page.go_to(step, follow=True)
        self.open_batch(step, "batch")

    def type_number(self, digit: str) -> bool:
        """Begins to type the number of a batch or sample to go to.

        Returns:
            Whether this level has numbers to go to.
        """
        if self.level not in ("run", *IN_BATCH):
            return False
        in_sample = self.level in ("sample", "tokens")
        kind, go = ("sample", self.go_to_sample) if in_sample else ("batch", self.go_to_batch)
        self.typed_line.ask_where_to_go(kind, digit, go)
        return True

    def follow(self) -> None:
        """Follows the newest batch, or stops following it."""
        page, snapshot = self._widgets.run_page, self._shown.snapshot
        page.follow = not page.follow
        if page.follow and snapshot is not None and snapshot.count:
            page.go_to(snapshot.last, follow=True)
            if self.level == "batch":
                self.open_batch(snapshot.last)
        self.show_head()

    def next_mark(self) -> None:
        """Goes to the next batch at which a health mark begins."""
        journal, snapshot = self._shown.journal, self._shown.snapshot
        if journal is None or snapshot is None or not snapshot.count:
            return
        after = self.step if self.level in IN_BATCH else self._widgets.run_page.step or 0

        async def go_on() -> None:
            step = await in_thread(lambda: next_mark(journal, after))
            if step is None:
                self._screen.services.show_notice("no batch after this one has a new mark")
            else:
                self.go_to_batch(step)

        work(self._screen, go_on(), "marks", exclusive=True)

    def show_health(self) -> None:
        """Shows the health marks of the batch, in full."""
        journal, step = self._shown.journal, self.chosen_step
        if journal is None or step is None:
            return

        async def show() -> None:
            from looptop.tui.ppo.health import Health

            record = await in_thread(lambda: journal.batch(step))
            if record is not None:
                self._screen.app.push_screen(Health(record))

        work(self._screen, show(), "marks", exclusive=True)

    # What keys apply to.

    @property
    def chosen_sample(self) -> ChosenSample | None:
        """The sample on the screen or under the cursor."""
        if self.level not in IN_BATCH:
            return None
        sample = self._widgets.batch_page.sample if self.level == "batch" else self._sample
        record = self._data.record
        if sample is None or (record is not None and record.step != self.step):  # The batch is not read yet.
            return None
        return ChosenSample(self.step, sample, self._reference(sample), self._data.is_updated)

    @property
    def chosen_tokens(self) -> TokenTable | None:
        """The tokens on the screen."""
        return self._widgets.token_page.tokens if self.level == "tokens" else None

    @property
    def chosen_step(self) -> int | None:
        """The step of the batch on the screen or under the cursor."""
        return self.step if self.level in IN_BATCH else self._widgets.run_page.step

    @property
    def is_updated(self) -> bool:
        """Whether the opened batch was updated already."""
        return self._data.is_updated
