"""Chooses the run that a screen shows: one started from the form, chosen from a list, or already live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from textual.content import Content

from looptop.engine.config import RunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunSummary
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.listing import last_in_queue
from looptop.tui.background import in_thread, work
from looptop.tui.forms.new_run import NewRunForm
from looptop.tui.run_text import run_list_lines
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.controls import RunControls
from looptop.tui.screens.watch import RUNS_INTERVAL, RUNS_LOAD, WatchLoop
from looptop.tui.text import safe

MOST_LISTED = 200
"""Runs in the list below the form."""
MOST_ASKED = 6
"""Live runs that the question before a start lists."""


class Launcher:
    """Starts and chooses runs, for a screen that owns this object.

    Args:
        screen: The screen.
        form: Its form of a new run.
        controls: Its controls, which ask before untrusted runs are copied.
        lists: Returns whether the screen shows runs of this kind.
        attach: Shows a run.
        show_form: Shows the form.
    """

    def __init__(
        self,
        screen: MainScreen,
        form: NewRunForm,
        controls: RunControls,
        *,
        lists: Callable[[RunSummary], bool],
        attach: Callable[[RunFolder], None],
        show_form: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._form = form
        self._controls = controls
        self._lists = lists
        self._attach = attach
        self._show_form = show_form
        self._asked_for_form = False
        self._opens_first = False
        self._is_open: Callable[[], bool] = lambda: False
        self._list_loop = WatchLoop(screen, self._read, RUNS_INTERVAL, RUNS_LOAD)
        form.on_start, form.runs.on_open = self.start, self.open

    def start_listing(self, is_open: Callable[[], bool]) -> None:
        """Lists the runs below the form from now on, while it is shown.

        The first time, it shows the live run, unless by then a run is open or a person has asked for the form.

        Args:
            is_open: Returns whether a run is open.
        """
        self._opens_first, self._is_open = True, is_open
        self._list_loop.start()

    def list_now(self) -> None:
        """Lists the runs now, if the form is shown."""
        self._list_loop.poke()

    async def _read(self) -> bool:
        if not (self._form.display or self._opens_first):
            return False
        summaries = await self._summaries()
        self._form.runs.show(summaries)
        if self._opens_first:
            self._opens_first = False
            self._open_live(summaries)
        return True

    def _open_live(self, summaries: Sequence[RunSummary]) -> None:
        if self._is_wanted_no_more():
            return
        training = [each for each in summaries if each.state in (RunState.RUNNING, RunState.PAUSED)]
        queued = [each for each in summaries if each.state is RunState.QUEUED]
        if live := [*training, *queued]:
            self.open(live[0].id, unless=self._is_wanted_no_more)

    def _is_wanted_no_more(self) -> bool:
        """Whether the live run is not to be shown: another one is open, or a person has asked for the form."""
        return self._asked_for_form or self._is_open()

    def open_form(self) -> None:
        """Shows the form, and the existing runs below it."""
        self._asked_for_form = True
        self._form.take_default()
        self._show_form()
        self.list_now()

    def duplicate(self, run: RunFolder) -> None:
        """Shows the form, filled in with the settings of a run."""

        def fill(config: RunConfig) -> None:
            self._form.fill(run.id, config, str(run.path))
            self._asked_for_form = True
            self._show_form()
            if config.kind == "vqa":
                work(self._screen, self._show_edits(run), "edits", exclusive=True)

        self._controls.with_trust(run, lambda _asked: self._screen.services.fetch(run.config, fill))

    async def _show_edits(self, run: RunFolder) -> None:
        """Has the form say how many edits of the run's training questions a run like it takes over."""

        def count() -> int:
            from looptop.engine.vqa.curation.inherited import count_inheritable

            return count_inheritable(run)

        try:
            edits = await in_thread(count)
        except LooptopError as error:
            self._screen.services.show_notice(error, "error")
        else:
            self._form.show_edits(run.id, str(run.path), edits)

    def choose(self, title: str, empty: str) -> None:
        """Opens a list from which a person chooses a run.

        Args:
            title: The title of the list.
            empty: The text of a list without runs.
        """

        async def choose() -> None:
            from looptop.tui.screens.picker import Choice, Picker

            summaries = await self._summaries()
            lines = run_list_lines(summaries)
            choices = [Choice(each.id, line) for each, line in zip(summaries, lines, strict=True)]
            self._screen.app.push_screen(Picker(title, choices, empty), self.open)

        work(self._screen, choose(), "runs", exclusive=True)

    def open(self, run_id: str | None, unless: Callable[[], bool] = lambda: False) -> None:
        """Shows the run with this id; None does nothing.

        Args:
            run_id: The id.
            unless: Called when the run is found; returns whether to leave it unshown.
        """
        if run_id is not None:
            self._screen.services.fetch(
                lambda: RunFolder.find(run_id), lambda run: None if unless() else self._attach(run)
            )

    def start(self, config: RunConfig) -> None:
        """Starts a run and shows it, or shows in the form why it did not start. If others train, asks whether to queue
        it.
        """
        work(self._screen, self._start_or_ask(config), "start", exclusive=True)

    async def _start_or_ask(self, config: RunConfig) -> None:
        live = [each for each in await in_thread(self._screen.services.summaries.all) if each.live]
        if not live:
            await self._start(config)
            return
        from looptop.tui.screens.dialog import Question

        last = last_in_queue(live)

        def answered(answer: str | None) -> None:
            if answer is None or answer == "no":
                self._form.take_focus()
            else:
                after = last if answer == "queue" else None
                work(self._screen, self._start(config, after), "start", exclusive=True)

        lines = run_list_lines(live[:MOST_ASKED])
        more = [safe(f"and {len(live) - MOST_ASKED} more", "$text-muted")] if len(live) > MOST_ASKED else []
        text = Content("\n").join([safe("They share this machine with the new run:"), *lines, *more])
        question = Question(
            "Other runs are live",
            text,
            [
                ("s", "start", "start now, beside them"),
                ("q", "queue", f"queue it: it trains once {last} has ended, however it ends"),
                ("escape", "no", "back to the form"),
            ],
        )
        self._screen.app.push_screen(question, answered)

    async def _start(self, config: RunConfig, after: str | None = None) -> None:
        from looptop.engine.startup.host import launch

        screen, form = self._screen, self._form
        screen.show_status("starting the engine process…", "$text-primary")
        form.is_starting = True
        begin = partial(launch, config, after=after) if after is not None else partial(launch, config)
        if form.origin and config.kind == "vqa":
            begin = partial(begin, like=form.origin)
        try:
            run = await in_thread(begin)
        except LooptopError as error:
            form.fail(str(error), getattr(error, "key", ""))
            screen.services.show_notice(error, "error")
            return
        finally:
            form.is_starting = False
            screen.show_status("")
        form.clear_after_start()
        screen.services.run_started(run)
        self._attach(run)

    async def _summaries(self) -> list[RunSummary]:
        summaries = await in_thread(self._screen.services.summaries.all)
        return [each for each in summaries if self._lists(each)][:MOST_LISTED]
