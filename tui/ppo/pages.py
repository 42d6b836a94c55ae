"""The pages of the PPO screen: a run, a batch, a sample, its tokens; going down and up between them, and along them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from textual import on
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.judging import check_value
from looptop.engine.ppo.records import BatchRecord, Judgement, SampleRecord, TokenTable
from looptop.engine.runs.folder import RunState
from looptop.tui import actions
from looptop.tui.background import in_thread
from looptop.tui.forms.new_run import NewRun
from looptop.tui.ppo.batch_page import BatchPage, SampleTable
from looptop.tui.ppo.before_after_page import ComparePage
from looptop.tui.ppo.columns import SampleRow, sample_rows
from looptop.tui.ppo.controls import Chosen, PpoDriving
from looptop.tui.ppo.goto import GoTo
from looptop.tui.ppo.references import References, Referring, Which
from looptop.tui.ppo.run_page import RunPage
from looptop.tui.ppo.sample_page import SamplePage
from looptop.tui.ppo.text import crumbs, standing
from looptop.tui.ppo.token_page import TokenPage
from looptop.tui.widgets.panel import Panel
from looptop.tui.widgets.prompt import Prompt

Level = Literal["form", "run", "batch", "sample", "tokens", "compare"]
_PAGES: dict[Level, str] = {
    "form": "new-run",
    "run": "run-page",
    "batch": "batch-page",
    "sample": "sample-page",
    "tokens": "token-page",
    "compare": "compare-page",
}
_ABOVE: dict[Level, Level] = {"batch": "run", "sample": "batch", "tokens": "sample", "compare": "run"}
_OF_LIVE = ("want('pause')", "want('step')", "want('place')", "follow")
"""Actions that only a live run takes."""
_OF_A_SAMPLE = ("edit", "leave_out", "rate", "copy")
"""Actions that are about a sample."""


@dataclass(frozen=True)
class BatchData:
    """What is read of a batch."""

    record: BatchRecord | None
    samples: list[SampleRecord]
    judgements: list[Judgement]


class PpoPages(PpoDriving):
    """A screen with these pages, of which one is shown."""

    def __init__(self, make_reference: Callable[[], Referring] | None = None) -> None:
        super().__init__()
        self.level: Level = "form"
        self.journal: PpoJournal | None = None
        self._data = BatchData(None, [], [])
        self.opened_step = 0
        """The batch that is opened."""
        self.opened_row = 0
        """The sample that is opened."""
        self._references = References(self._show_sample, make_reference)
        self._going = GoTo(self)

    # Levels -------------------------------------------------------------------------------------------------------

    @property
    def places(self) -> tuple[str, ...]:
        """What the help shows here."""
        return ("form",) if self.level == "form" else (f"ppo-{self.level}", "ppo", *_MORE_PLACES.get(self.level, ()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that mean nothing here are neither taken nor shown."""
        if self.level == "form" and action not in ("open_run", "new"):
            return action not in _DRIVING
        if action in _OF_A_SAMPLE:
            return self.level in ("batch", "sample", "tokens")
        return True

    def unwanted(self, action: str) -> bool:
        """Of a run that is not live, what drives it; of a batch that was updated, what its update would use."""
        snapshot = self.snapshot
        live = snapshot is not None and snapshot.live
        if action in _OF_LIVE:
            return not live
        if action == "want('resume')":
            return snapshot is None or live or snapshot.state is RunState.FINISHED
        return action in ("edit", "leave_out") and self._is_updated

    @property
    def _is_updated(self) -> bool:
        """Whether the opened batch was updated already."""
        record = self._data.record
        return record is not None and record.place == "updated"

    @property
    def _run_id(self) -> str:
        return self.run.id if self.run is not None else ""

    def _show_level(self, level: Level) -> None:
        self.level = level
        for name, page in _PAGES.items():
            self.query_one(f"#{page}").display = name == level
        for head in ("#crumbs", "#standing"):
            self.query_one(head).display = level != "form"
        self._main.focus()
        self.refresh_bindings()
        self._show_head()
        self.poke()

    @property
    def _main(self) -> Widget:
        """What takes the keys of this level."""
        match self.level:
            case "form":
                return self.query_one("#runs")
            case "run":
                return self.query_one("#batches")
            case "batch":
                return self.query_one(SampleTable)
            case "sample":
                return self.query_one("#response")
            case "tokens":
                return self.query_one(TokenPage).main
        return self.query_one(ComparePage).main

    def leave_field(self) -> None:
        """The single keys work where no field has the focus."""
        prompt = self.query_one(Prompt)
        if prompt.display:
            prompt.close()
        elif self.level == "form":
            self.query_one(NewRun).leave_field()

    def back(self) -> None:
        """Esc: leaves a field, or goes up a level."""
        if isinstance(self.focused, Input):
            self.leave_field()
        elif self.level in _ABOVE:
            self._show_level(_ABOVE[self.level])

    def _show_head(self) -> None:
        snapshot = self.snapshot
        if snapshot is None or self.level == "form":
            return
        width = self.size.width
        words = []
        if self.level in ("batch", "sample", "tokens"):
            words.append(f"batch {self.opened_step:,}")
        if self.level in ("sample", "tokens"):
            words.append(f"sample {self.opened_row}")
        if self.level == "tokens":
            words.append(f"token {self.query_one(TokenPage).cursor}")
        if self.level == "compare":
            words.append("before and after")
        following = self.query_one(RunPage).follow and snapshot.live
        self.query_one("#crumbs", Panel).show(crumbs(snapshot, words, following, width))
        follows = self.level == "run" and self.query_one(RunPage).follow
        seen = None if follows or self.level == "compare" else self.chosen_step()
        self.query_one("#standing", Panel).show(standing(snapshot, width, seen))

    def poke(self) -> None:
        """Has the run looked at now."""
        raise NotImplementedError

    # Down ---------------------------------------------------------------------------------------------------------

    @on(RunPage.Opened)
    def _batch_wanted(self) -> None:
        step = self.query_one(RunPage).step
        if step is not None:
            self.open_batch(step, "batch")

    def open_batch(self, step: int, level: Level | None = None) -> None:
        """Reads a batch and shows it; with a level, goes there too."""
        journal = self.journal
        if journal is None:
            return
        known = self._data
        self.opened_step = step

        async def go() -> None:
            try:
                data = await in_thread(lambda: _read_batch(journal, step, known))
            except LooptopError as error:
                self.looptop.tell(error, "error")
                return
            if journal is not self.journal or step != self.opened_step:
                return
            self._data = data
            self.refresh_bindings()
            rewards = self.snapshot.rewards if self.snapshot is not None else []
            if level is not None and level != self.level:
                self._show_level(level)
            self.query_one(BatchPage).show(data.record, data.samples, data.judgements, rewards, self._run_id)
            self._show_head()
            if self.level in ("sample", "tokens"):
                self._show_sample()
                self._read_tokens()

        self.work(go(), "batch", exclusive=True)

    @on(BatchPage.Opened)
    def _sample_wanted(self) -> None:
        sample = self.query_one(BatchPage).sample
        if sample is not None:
            self._open_sample(sample.record.row, "sample")

    def _open_sample(self, row: int, level: Level) -> None:
        self.opened_row = row
        self.query_one(BatchPage).select(row)
        self._show_level(level)
        self._show_sample()
        self._read_tokens()

    @property
    def _sample(self) -> SampleRow | None:
        """The sample that is opened."""
        for sample in sample_rows(self._data.samples, self._data.judgements):
            if sample.record.row == self.opened_row:
                return sample
        return None

    def _show_sample(self) -> None:
        sample, snapshot = self._sample, self.snapshot
        if sample is None or snapshot is None or self.level != "sample":
            return
        which = self._which(self.opened_row)
        self.query_one(SamplePage).show(
            self.opened_step,
            sample,
            self._reference(sample),
            self._references.doing(which) if which is not None else "",
            snapshot.rewards,
            snapshot.setting("generation", "cut_penalty", 0.0),
        )

    def _which(self, row: int) -> Which | None:
        return None if self.run is None else Which(self.run.path, self.opened_step, row)

    def _reference(self, sample: SampleRow) -> str | None:
        which = self._which(sample.record.row)
        known = self._references.known(which) if which is not None else None
        return sample.record.reference_response if known is None else known

    @on(SamplePage.ReferenceWanted)
    def _reference_wanted(self) -> None:
        sample, which = self._sample, self._which(self.opened_row)
        if sample is None or which is None or sample.record.reference_response is not None:
            return
        self.attempt(lambda: self._references.ask(which))
        self._show_sample()

    @on(SamplePage.Opened)
    def _tokens_wanted(self) -> None:
        self._show_level("tokens")
        self._read_tokens()

    def _read_tokens(self) -> None:
        """Reads the tokens where they are shown; a batch in the making may have learned more of them."""
        journal, step, row = self.journal, self.opened_step, self.opened_row
        if journal is None or self.level != "tokens":
            return

        async def go() -> None:
            try:
                table = await in_thread(lambda: journal.tokens(step, row))
            except LooptopError as error:
                self.looptop.tell(error, "error")
                return
            if (journal, step, row) == (self.journal, self.opened_step, self.opened_row):
                page = self.query_one(TokenPage)
                if table != page.table:
                    page.show(table)
                self._show_head()

        self.work(go(), "tokens", exclusive=True)

    @on(TokenPage.Moved)
    def _token_moved(self) -> None:
        self._show_head()

    # Moving -------------------------------------------------------------------------------------------------------

    def action_turn(self, by: int) -> None:
        """The next or previous batch; in a sample, the next or previous sample as the table has them."""
        page = self.query_one(RunPage)
        if self.level == "run" and page.step is not None:
            page.go_to(page.step + by)
        elif self.level == "batch":
            self.go_to_batch(self.opened_step + by)
        elif self.level in ("sample", "tokens"):
            sample = self.query_one(BatchPage).step_sample(by)
            if sample is not None:
                self._open_sample(sample.record.row, self.level)

    def go_to_batch(self, step: int) -> None:
        """Goes to a batch, or to the nearest that there is."""
        snapshot = self.snapshot
        if snapshot is None or not snapshot.count:
            return
        step = max(snapshot.first, min(step, snapshot.last))
        self.query_one(RunPage).go_to(step)
        if self.level == "batch":
            self.open_batch(step)
        self._show_head()

    def action_follow(self) -> None:
        """Follows the newest batch, or stands still."""
        page, snapshot = self.query_one(RunPage), self.snapshot
        page.follow = not page.follow
        if page.follow and snapshot is not None and snapshot.count:
            page.go_to(snapshot.last, follow=True)
            if self.level == "batch":
                self.open_batch(snapshot.last)
        self._show_head()

    def action_next_mark(self) -> None:
        """Goes to the next batch of which health has something new to say."""
        journal, snapshot = self.journal, self.snapshot
        if journal is None or snapshot is None or not snapshot.count:
            return
        here = self.opened_step if self.level == "batch" else self.query_one(RunPage).step or 0

        async def go() -> None:
            found = await in_thread(lambda: _next_mark(journal, here))
            if found is None:
                self.looptop.tell("no batch after this one has a new mark")
            else:
                self.go_to_batch(found)

        self.work(go(), "marks", exclusive=True)

    def action_health(self) -> None:
        """What health has to say of the batch, in full."""
        journal, step = self.journal, self.chosen_step()
        if journal is None or step is None:
            return

        async def go() -> None:
            from looptop.tui.ppo.health import Health

            record = await in_thread(lambda: journal.batch(step))
            if record is not None:
                self.app.push_screen(Health(record))

        self.work(go(), "marks", exclusive=True)

    @on(RunPage.Moved)
    def _moved(self) -> None:
        self._show_head()

    def on_key(self, event: Key) -> None:
        """A digit begins a number to go to."""
        if event.character is None or not event.character.isdecimal() or isinstance(self.focused, Input):
            return
        if self.level in ("run", "batch", "sample", "tokens"):
            event.stop()
            event.prevent_default()
            self._going.begin(event.character)

    def go_to_sample(self, row: int) -> None:
        """Goes to a sample of this batch."""
        if any(sample.row == row for sample in self._data.samples):
            self._open_sample(row, self.level)
        else:
            self.looptop.tell(f"there is no sample {row}; a batch has {len(self._data.samples)}")

    # Asking -------------------------------------------------------------------------------------------------------

    def ask(self, label: str, value: str, check: Callable[[str], str], take: Callable[[str], None]) -> None:
        """Asks for something in the second line, and comes back to where the focus was."""
        prompt, standing = self.query_one(Prompt), self.query_one("#standing")
        standing.display = False

        def leave() -> None:
            standing.display = True
            self._going.stop()
            self._main.focus()

        prompt.ask(label, value, check=check, take=take, leave=leave)

    def ask_for_number(self, label: str, value: str, take: Callable[[float | None], None]) -> None:
        """Asks for a number; nothing typed is None."""
        facts = self.snapshot.facts if self.snapshot is not None else {}
        precision = str(facts.get("precision", ""))

        def check(text: str) -> str:
            return "enter uses it" if _number(text, precision) is not None else "enter takes back what was said"

        self.ask(label, value, check, lambda text: take(_number(text, precision)))

    @on(BatchPage.FilterWanted)
    def _filter_wanted(self) -> None:
        page = self.query_one(BatchPage)
        self.ask("filter", page.filter_text, page.try_filter, lambda _text: None)

    # What keys are about ------------------------------------------------------------------------------------------

    def chosen(self) -> Chosen | None:
        """The sample under the cursor, where one is."""
        sample = self.query_one(BatchPage).sample if self.level == "batch" else self._sample
        if sample is None or self.level not in ("batch", "sample", "tokens"):
            return None
        return Chosen(self.opened_step, sample, self._reference(sample), self._is_updated)

    def chosen_tokens(self) -> TokenTable | None:
        """The tokens on the screen, where they are."""
        return self.query_one(TokenPage).table if self.level == "tokens" else None

    def chosen_step(self) -> int | None:
        """The batch on the screen or under the cursor."""
        return self.opened_step if self.level in ("batch", "sample", "tokens") else self.query_one(RunPage).step


_DRIVING = {action.name.partition("(")[0] for action in actions.of(["ppo"])}
_MORE_PLACES: dict[Level, tuple[str, ...]] = {
    "run": ("rows",),
    "batch": ("rows", "columns", "bars"),
    "tokens": ("tokens",),
    "compare": ("rows", "columns"),
}


def _read_batch(journal: PpoJournal, step: int, known: BatchData) -> BatchData:
    """A batch; its samples are read again only where they may have changed."""
    record = journal.batch(step)
    same = record is not None and record == known.record and record.place == "updated"
    return BatchData(record, known.samples if same else journal.samples(step), journal.judgements(step))


def _next_mark(journal: PpoJournal, after: int) -> int | None:
    """The next batch with which an episode of a mark begins."""
    before: set[str] = set()
    for record in journal.batches(after):
        kinds = {mark.kind for mark in record.marks}
        noted = any(mark.since == record.step for mark in record.marks)
        plain = {mark.kind for mark in record.marks if mark.since is None}  # of an older run
        if record.step > after and (noted or plain - before):
            return record.step
        before = kinds
    return None


def _number(text: str, precision: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise LooptopError("that is no number; for example -1.5") from None
    check_value("reward", value, precision)
    return value
