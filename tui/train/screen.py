"""Train: start a run and watch it, or any other; what is shown comes from its journal alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import OptionList

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder, RunState, RunSummary
from looptop.engine.runs.summaries import Summaries
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread, work
from looptop.tui.forms.new_run import NewRun
from looptop.tui.run_text import run_line
from looptop.tui.screens.controls import Driving
from looptop.tui.train.run_view import RunView
from looptop.tui.train.snapshot import Watcher

if TYPE_CHECKING:
    from looptop.engine.config import RunConfig

TICK = 1.0
"""Seconds between two looks at the journal."""


class Train(Driving):
    """Screen 2."""

    CSS_PATH = ["../styles/lists.tcss", "../styles/chart.tcss", "../styles/form.tcss", "../styles/train.tcss"]  # noqa: RUF012
    HERE = "train"
    AUTO_FOCUS = "#runs"
    PLACES = ("train", "form", "run")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("train")]

    def __init__(self, attach: RunFolder | None = None) -> None:
        """The screen.

        Args:
            attach: The run to open on; without one, the run that is going on, if there is one.
        """
        super().__init__()
        self._opened_on = attach
        self._watcher: Watcher | None = None
        self._sample_step: int | None = None
        self._chose = False
        """Whether the person has said what to show."""
        self._poke = asyncio.Event()

    def body(self) -> Iterable[Widget]:
        """The form of a new run, and the view of one; one of them is shown."""
        yield NewRun()
        view = RunView()
        view.display = False
        yield view

    def on_mount(self) -> None:
        """Shows the run to open on, or the one that is going on, if there is one; else the form."""
        if self._opened_on is not None:
            self.attach(self._opened_on)
        work(self, self._watch(), "watch")
        work(self, self._arrive(), "runs", exclusive=True)

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

    # Watching.

    def attach(self, run: RunFolder) -> None:
        """Watches this run."""
        self._watcher, self._sample_step = Watcher(run), None
        self.looptop.herald.add(run)
        view = self.query_one(RunView)
        view.snapshot = None
        self._show_view(True)
        self._poke.set()

    def duplicate(self, run: RunFolder) -> None:
        """Shows the form with what this run was started with."""

        def fill() -> None:
            self.query_one(NewRun).fill(run.id, run.config())

        def show(_asked: bool) -> None:
            if self.attempt(fill):
                self._chose = True
                self._show_view(False)

        self.with_trust(run, show)

    def _show_view(self, watching: bool) -> None:
        form, view = self.query_one(NewRun), self.query_one(RunView)
        form.display, view.display = not watching, watching
        if watching:
            view.focus()
        else:
            form.take_focus()

    async def _watch(self) -> None:
        """Looks once a second while this screen is the one that is shown; reads in a thread, one at a time."""
        unreadable = False
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poke.wait(), TICK)
            self._poke.clear()
            watcher, view = self._watcher, self.query_one(RunView)
            if watcher is None or not view.display or not self.is_below:
                continue
            asked = (view.columns, self._sample_step, view.weight)
            try:
                snapshot = await in_thread(lambda w=watcher, a=asked: w.look(*a))  # type: ignore[misc]
            except LooptopError as error:
                self.say(str(error), "$text-error")
                unreadable = True
                continue
            if watcher is self._watcher:
                view.show(snapshot)
            if unreadable:
                self.say("")
                unreadable = False

    @property
    def _run(self) -> RunFolder | None:
        return self._watcher.run if self._watcher is not None else None

    def unsaved(self) -> list[str]:
        """What was typed into the form."""
        return ["a form of a new run, half filled in"] if self.query_one(NewRun).half_filled else []

    def leave_field(self) -> None:
        """The single keys work where no field has the focus."""
        form = self.query_one(NewRun)
        if form.display:
            form.leave_field()

    def action_new(self) -> None:
        """Shows the form."""
        self._chose = True
        self._show_view(False)
        work(self, self._list(), "runs", exclusive=True)

    async def _list(self) -> None:
        self.query_one(NewRun).list_runs(await in_thread(_summaries))

    def action_open(self) -> None:
        """Chooses a run."""
        work(self, self._choose(), "runs", exclusive=True)

    async def _choose(self) -> None:
        from looptop.tui.screens.picker import Choice, Picker

        found = await in_thread(_summaries)
        lines = [Choice(each.id, run_line(each)) for each in found]
        self.app.push_screen(Picker("Choose a run", lines, "There are no runs yet: start one here."), self._chosen)

    def _chosen(self, run_id: str | None) -> None:
        if run_id is not None:
            self.attempt(lambda: self.attach(RunFolder.find(run_id)))

    @on(OptionList.OptionSelected, "#runs")
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self._chosen(event.option.id)

    # Starting.

    @on(NewRun.Wanted)
    def _wanted(self, event: NewRun.Wanted) -> None:
        work(self, self._start(event.config), "start", exclusive=True)

    async def _start(self, config: RunConfig) -> None:
        from looptop.engine.launch.host import launch

        await self._begin("starting the engine process…", lambda: launch(config))

    async def _begin(self, said: str, launch: Callable[[], RunFolder]) -> None:
        form = self.query_one(NewRun)
        self.say(said, "$text-primary")
        form.busy = True
        try:
            run = await in_thread(launch)
        except LooptopError as error:
            self.say("")
            form.fail(str(error), getattr(error, "key", ""))
            self.looptop.tell(error, "error")
            return
        finally:
            form.busy = False
        self.say("")
        form.started()
        self.looptop.started_here.append(run)
        self.attach(run)

    # Controls.

    def on_run_view_wants(self, event: RunView.Wants) -> None:
        """A key was pressed in the view of a run."""
        run, snapshot = self._run, self.query_one(RunView).snapshot
        if run is None or snapshot is None or self.drive(run, event.what, snapshot.state):
            return
        if event.what == "resume":
            self.resume(run)
        elif event.what == "charts":
            self.looptop.open_charts([run])
        elif event.what == "ask_model":
            self.looptop.ask_about(run.name)
        elif event.what == "smoothing":
            self._poke.set()
        elif event.what in ("earlier", "later"):
            self._turn_samples(snapshot.sample_steps, snapshot.sample_step, -1 if event.what == "earlier" else 1)

    def look_again(self) -> None:
        """Looks at once."""
        self._poke.set()

    def _turn_samples(self, steps: tuple[int, ...], at: int | None, by: int) -> None:
        if at in steps:
            place = max(0, min(steps.index(at) + by, len(steps) - 1))
            self._sample_step = None if place == len(steps) - 1 else steps[place]
            self._poke.set()


def _summaries() -> list[RunSummary]:
    # PPO has a screen of its own.
    return [summary for summary in _known.all() if not summary.id.startswith("ppo-")][:200]


_known = Summaries()
