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

MAX_LISTED = 200
"""How many runs the list below the form shows at most."""
MAX_LIVE_IN_QUESTION = 6
"""How many live runs the question before a start lists at most."""


class Launcher:
    """Gives the Train or PPO screen the run to show: starts one from the form, or opens one that exists.

    It also keeps the list of runs below the form current.

    Args:
        screen: The screen.
        form: Its form of a new run.
        controls: Its controls, which ask before the settings of an untrusted run are copied.
        is_listed: Returns whether this screen lists a run.
        attach: Shows a run in the screen.
        show_form: Shows the form in the screen.
    """

    def __init__(
        self,
        screen: MainScreen,
        form: NewRunForm,
        controls: RunControls,
        *,
        is_listed: Callable[[RunSummary], bool],
        attach: Callable[[RunFolder], None],
        show_form: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._form = form
        self._controls = controls
        self._is_listed = is_listed
        self._attach = attach
        self._show_form = show_form
        self._asked_for_form = False
        self._may_open_live_run = False
        self._is_run_open: Callable[[], bool] = lambda: False
        self._list_loop = WatchLoop(screen, self._read, screen.show_error, RUNS_INTERVAL, RUNS_LOAD)
        form.on_start, form.runs.on_open = self.start, self.open

    def start_listing(self, is_run_open: Callable[[], bool]) -> None:
        """Opens a live run if there is one, and from now on lists the runs below the form while that is shown.

        No run is opened if by then one is open already, or a person has asked for the form.

        Args:
            is_run_open: Returns whether the screen shows a run.
        """
        self._may_open_live_run, self._is_run_open = True, is_run_open
        self._list_loop.start()

    def list_now(self) -> None:
        """Lists the runs now, if the form is shown."""
        self._list_loop.poke()

    async def _read(self) -> bool:
        if not (self._form.display or self._may_open_live_run):
            return False
        summaries = await self._summaries()
        self._form.runs.show(summaries)
        if self._may_open_live_run:
            self._may_open_live_run = False
            self._open_live(summaries)
        return True

    def _open_live(self, summaries: Sequence[RunSummary]) -> None:
        if self._is_screen_taken():
            return
        training = [each for each in summaries if each.state in (RunState.RUNNING, RunState.PAUSED)]
        queued = [each for each in summaries if each.state is RunState.QUEUED]
        if live := [*training, *queued]:
            self.open(live[0].id, unless=self._is_screen_taken)

    def _is_screen_taken(self) -> bool:
        """Whether the live run must not replace what is shown: a run is open, or a person has asked for the form."""
        return self._asked_for_form or self._is_run_open()

    def open_form(self) -> None:
        """Shows the form, and the existing runs below it."""
        self._asked_for_form = True
        self._form.take_default()
        self._show_form()
        self.list_now()

    def duplicate(self, run: RunFolder) -> None:
        """Shows the form, filled in with the settings of a run; asks first if the run is not trusted."""

        def fill(config: RunConfig) -> None:
            self._form.fill(run.id, config, str(run.path))
            self._asked_for_form = True
            self._show_form()
            if config.kind == "vqa":
                work(self._screen, self._show_edits(run), "edits", exclusive=True)

        self._controls.with_trust(run, lambda _asked: self._screen.services.fetch(run.config, fill))

    async def _show_edits(self, run: RunFolder) -> None:
        """Has the form show how many edits to the run's training questions the new run would take over."""

        def count() -> int:
            from looptop.engine.vqa.curation.inherited import count_inheritable

            return count_inheritable(run)

        try:
            edit_count = await in_thread(count)
        except LooptopError as error:
            self._screen.services.show_notice(error, "error")
        else:
            self._form.show_edits(run.id, str(run.path), edit_count)

    def choose(self, title: str, empty: str) -> None:
        """Opens a list from which a person chooses a run.

        Args:
            title: The title of the list.
            empty: The text of a list without runs.
        """

        async def show_picker() -> None:
            from looptop.tui.screens.picker import Choice, Picker

            summaries = await self._summaries()
            lines = run_list_lines(summaries)
            choices = [Choice(each.id, line) for each, line in zip(summaries, lines, strict=True)]
            self._screen.app.push_screen(Picker(title, choices, empty), self.open)

        work(self._screen, show_picker(), "runs", exclusive=True)

    def open(self, run_id: str | None, unless: Callable[[], bool] = lambda: False) -> None:
        """Shows the run with this id; None does nothing.

        Args:
            run_id: The id.
            unless: Called once the run's folder is read; returns whether not to show the run after all.
        """
        if run_id is not None:
            self._screen.services.fetch(
                lambda: RunFolder.find(run_id), lambda run: None if unless() else self._attach(run)
            )

    def start(self, config: RunConfig) -> None:
        """Starts a run and shows it, or shows in the form why it did not start.

        If other runs are live, first asks whether to start it beside them or queue it.
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

        lines = run_list_lines(live[:MAX_LIVE_IN_QUESTION])
        more = (
            [safe(f"and {len(live) - MAX_LIVE_IN_QUESTION} more", "$text-muted")]
            if len(live) > MAX_LIVE_IN_QUESTION
            else []
        )
        text = Content("\n").join([safe("They share this machine with the new run:"), *lines, *more])
        question = Question(
            "Other runs are live",
            text,
            [
                ("s", "start", "start now, beside them"),
                ("q", "queue", f"queue it: it trains once {last} has ended"),
                ("escape", "no", "back to the form"),
            ],
        )
        self._screen.app.push_screen(question, answered)

    async def _start(self, config: RunConfig, after: str | None = None) -> None:
        from looptop.engine.startup.host import launch

        screen, form = self._screen, self._form
        screen.show_status("starting the engine process…", "$text-primary")
        form.is_starting = True
        launch_run = partial(launch, config, after=after) if after is not None else partial(launch, config)
        if form.origin and config.kind == "vqa":
            launch_run = partial(launch_run, like=form.origin)
        try:
            run = await in_thread(launch_run)
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
        return [each for each in summaries if self._is_listed(each)][:MAX_LISTED]
