"""PPO: a run's charts and batches, a batch's samples, a sample, its tokens; and the form to start one.

What is shown comes from the run's journal alone, so a live run, one that another process trains and a finished one are
the same here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import OptionList

from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunSummary
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.summaries import Summaries
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread
from looptop.tui.forms.new_run import NewRun
from looptop.tui.ppo.batch_page import BatchPage
from looptop.tui.ppo.before_after import Comparing
from looptop.tui.ppo.before_after_page import ComparePage
from looptop.tui.ppo.pages import PpoPages
from looptop.tui.ppo.references import Referring
from looptop.tui.ppo.run_page import RunPage
from looptop.tui.ppo.sample_page import SamplePage
from looptop.tui.ppo.snapshot import Held, PpoSnapshot, PpoWatcher
from looptop.tui.ppo.token_page import TokenPage
from looptop.tui.run_text import run_line
from looptop.tui.widgets.panel import Panel
from looptop.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from looptop.engine.config import RunConfig

TICK = 1.0
"""Seconds between two looks at the journal."""
HURRY = 0.1
"""The same, for a while after something was sent."""
HURRY_FOR = 2.0


class Ppo(PpoPages):
    """Screen 3."""

    CSS_PATH = ["../styles/lists.tcss", "../styles/form.tcss", "../styles/ppo.tcss"]  # noqa: RUF012
    HERE = "ppo"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ppo")]

    def __init__(self, make_reference: Callable[[], Referring] | None = None, attach: RunFolder | None = None) -> None:
        """The screen.

        Args:
            make_reference: Makes the process with the reference model; the engine's own by default.
            attach: The run to open on; without one, the run that is going on, if there is one.
        """
        super().__init__(make_reference)
        self._opened_on = attach
        self._chose = False
        """Whether the person has asked for the form."""
        self._watcher: PpoWatcher | None = None
        self._poke = asyncio.Event()
        self._hurry_until = 0.0
        self._held: Held | None = None
        self._comparing = Comparing(self._show_comparison)

    def body(self) -> Iterable[Widget]:
        """Two lines above, and the pages, of which one is shown."""
        yield Panel(id="crumbs")
        yield Panel(id="standing")
        yield Prompt(id="prompt")
        yield NewRun("ppo")
        for page in (RunPage(), BatchPage(), SamplePage(), TokenPage(), ComparePage()):
            page.display = False
            yield page

    def on_mount(self) -> None:
        """Shows the run to open on, or the one that is going on, if there is one; else the form."""
        self._show_level("form")
        if self._opened_on is not None:
            self.attach(self._opened_on)
        self.work(self._watch(), "watch")
        self.work(self._arrive(), "runs", exclusive=True)

    def on_unmount(self) -> None:
        """Ends what was started for this screen alone."""
        self._references.close()
        self._comparing.close()

    def on_screen_resume(self) -> None:
        """Looks at once when the screen comes back."""
        self._poke.set()

    async def _arrive(self) -> None:
        summaries = await in_thread(_summaries)
        form = self.query_one(NewRun)
        form.list_runs(summaries)
        if self._chose or self._watcher is not None:
            return
        going = next((each for each in summaries if each.state in (RunState.RUNNING, RunState.PAUSED)), None)
        if going is not None:
            self.attach(RunFolder.find(going.id))

    # Watching -----------------------------------------------------------------------------------------------------

    def attach(self, run: RunFolder) -> None:
        """Shows this run."""
        self.run, self.snapshot = run, None
        self.looptop.herald.add(run)
        self._watcher = PpoWatcher(run)
        self._held, self.journal = None, self._watcher.journal
        self._unanswered.clear()
        self.query_one(RunPage).attach(self.journal)
        self._comparing.attach(run)
        self._show_level("run")

    def duplicate(self, run: RunFolder) -> None:
        """Shows the form with what this run was started with."""

        def show(_asked: bool) -> None:
            if self.attempt(lambda: self.query_one(NewRun).fill(run.id, run.config())):
                self._chose = True
                self._show_level("form")
                self.query_one(NewRun).take_focus()

        self.with_trust(run, show)

    def unsaved(self) -> list[str]:
        """What was typed into the form."""
        return ["a form of a new PPO run, half filled in"] if self.query_one(NewRun).half_filled else []

    def poke(self) -> None:
        """Looks at once."""
        self._poke.set()

    def look_again(self) -> None:
        """Looks at once, and for a while more often."""
        self._hurry_until = time.monotonic() + HURRY_FOR
        self._poke.set()

    def action_want(self, what: str) -> None:
        """Does what a key asks of the run; who makes it step wants to see where it goes."""
        super().action_want(what)
        if what in ("step", "place") and self.snapshot is not None and self.snapshot.live:
            self.query_one(RunPage).follow = True

    async def _watch(self) -> None:
        """Looks once a second while this screen is the one that is shown; reads in a thread, one at a time."""
        unreadable = False
        while True:
            wait = HURRY if time.monotonic() < self._hurry_until else TICK
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poke.wait(), wait)
            self._poke.clear()
            watcher = self._watcher
            if watcher is None or self.level == "form" or not self.is_below:
                continue
            page = self.query_one(RunPage)
            names, columns, weight = (
                (tuple(page.names), page.columns, page.weight) if self.level == "run" else ((), 0, 0.0)
            )
            try:
                snapshot = await in_thread(lambda w=watcher, n=names, c=columns, s=weight: w.look(n, c, s))  # type: ignore[misc]
                if watcher is self._watcher:
                    self._take(snapshot)
                    await self.hear()
            except LooptopError as error:
                self.say(str(error), "$text-error")
                unreadable = True
                continue
            if unreadable:
                self.say("")
                unreadable = False

    def _take(self, snapshot: PpoSnapshot) -> None:
        """Shows what is new."""
        before, self.snapshot = self.snapshot, snapshot
        if snapshot is before:
            return
        self._show_head()
        if before is None or (before.live, before.state) != (snapshot.live, snapshot.state):
            self.refresh_bindings()
        page = self.query_one(RunPage)
        if self.level == "run":
            page.show(snapshot)
        else:
            page.snapshot = snapshot
        fresh = before is None or before.version != snapshot.version
        held, known = snapshot.held, self._held
        self._held = held
        if held is not None and held != known and held.why:
            if before is not None:
                self.looptop.tell(f"{snapshot.id} is held: {held.why}", "warning")
            self._go_to_held(held.step)
            return
        if self.level in ("batch", "sample", "tokens") and fresh:
            newest = page.follow and self.level == "batch" and snapshot.last > self.opened_step
            self.open_batch(snapshot.last if newest else self.opened_step)

    def _go_to_held(self, step: int) -> None:
        """The screen goes where the run is held."""
        self.query_one(Prompt).close()
        self.query_one(RunPage).go_to(step, follow=True)
        self.open_batch(step, "batch")

    def on_resize(self, event: Resize) -> None:
        """Lines are as long as there is room."""
        super().on_resize(event)
        self.call_after_refresh(self._show_head)

    @on(RunPage.Redrawn)
    def _redrawn(self) -> None:
        self._poke.set()

    # Before and after ---------------------------------------------------------------------------------------------

    def action_compare(self) -> None:
        """Shows before and after, or goes back from there."""
        self._show_level("run" if self.level == "compare" else "compare")
        self._comparing.look()
        self._show_comparison()

    @on(ComparePage.Wanted)
    def _compare_wanted(self) -> None:
        if self.run is not None:
            self.with_trust(self.run, lambda asked: self._comparing.begin(trust=asked))

    def _show_comparison(self) -> None:
        if self.level == "compare" and self.run is not None:
            self.query_one(ComparePage).show(self.run.shell_name, self._comparing.result, self._comparing.doing)

    # Choosing and starting ----------------------------------------------------------------------------------------

    def action_new(self) -> None:
        """Shows the form."""
        self._chose = True
        self._show_level("form")
        self.query_one(NewRun).take_focus()
        self.work(self._list(), "runs", exclusive=True)

    async def _list(self) -> None:
        self.query_one(NewRun).list_runs(await in_thread(_summaries))

    def action_open_run(self) -> None:
        """Chooses a run."""

        async def choose() -> None:
            from looptop.tui.screens.picker import Choice, Picker

            found = await in_thread(_summaries)
            lines = [Choice(each.id, run_line(each)) for each in found]
            self.app.push_screen(Picker("Choose a PPO run", lines, "There are none yet: N starts one."), self._opened)

        self.work(choose(), "runs", exclusive=True)

    def _opened(self, run_id: str | None) -> None:
        if run_id is not None:
            self.attempt(lambda: self.attach(RunFolder.find(run_id)))

    @on(OptionList.OptionSelected, "#runs")
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self._opened(event.option.id)

    @on(NewRun.Wanted)
    def _wanted(self, event: NewRun.Wanted) -> None:
        self.work(self._start(event.config), "start", exclusive=True)

    async def _start(self, config: RunConfig) -> None:
        from looptop.engine.launch.host import launch

        form = self.query_one(NewRun)
        self.say("starting the engine process…", "$text-primary")
        form.busy = True
        try:
            run = await in_thread(lambda: launch(config))
        except LooptopError as error:
            form.fail(str(error), getattr(error, "key", ""))
            self.looptop.tell(error, "error")
            return
        finally:
            form.busy = False
            self.say("")
        form.started()
        self.looptop.started_here.append(run)
        self.attach(run)


def _summaries() -> list[RunSummary]:
    return [summary for summary in _known.all() if summary.id.startswith("ppo-")][:200]


_known = Summaries()
