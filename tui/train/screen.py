"""Train: start a run and watch it, or watch any other; all data come from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.widget import Widget

from looptop.engine.runs.folder import RunFolder
from looptop.tui.actions import SCREENS, bindings
from looptop.tui.actions.run_controls import does_nothing
from looptop.tui.background import in_thread
from looptop.tui.forms.launcher import Launcher
from looptop.tui.forms.new_run import NewRunForm
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.chart_controls import ChartControls
from looptop.tui.screens.controls import RunControls
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.train.run_view import RunView
from looptop.tui.train.snapshot import VqaWatcher
from looptop.tui.widgets.bars import KeyBar, TopBar


class TrainScreen(MainScreen):
    """The Train screen, on key 2: shows the form of a new run, or the view of a run."""

    CSS_PATH = ["../styles/lists.tcss", "../styles/chart.tcss", "../styles/form.tcss", "../styles/train.tcss"]  # noqa: RUF012
    AUTO_FOCUS = "#settings"
    KEY_CONTEXTS = SCREENS["train"].contexts
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("train")]

    def __init__(self, attach: RunFolder | None = None) -> None:
        """The screen.

        Args:
            attach: The run to open on; without one, a live run, if there is one.
        """
        super().__init__()
        self._opened_on = attach
        self._watcher: VqaWatcher | None = None
        self._sample_step: int | None = None
        """The evaluation whose answers are shown; None for the latest."""
        self._form, self._view = NewRunForm(), RunView()
        self._view.display = False
        self._loop = WatchLoop(self, self._read, self.show_error)
        self._controls = RunControls(self, self._loop.poke)
        self._chart_controls = ChartControls.of_one_run(
            self, lambda: self._view.wall, lambda: self._watcher, self._loop.poke
        )
        self._launcher = Launcher(
            self,
            self._form,
            self._controls,
            is_listed=lambda summary: summary.kind != "ppo",  # PPO has a screen of its own.
            attach=self.attach,
            show_form=self._show_form,
        )

    def compose(self) -> Iterable[Widget]:
        """The form and the view, between the top and the bottom line."""
        yield TopBar("train")
        yield self._form
        yield self._view
        yield KeyBar()

    def on_mount(self) -> None:
        """Shows the run to open on, or a live one, or else the form."""
        if self._opened_on is not None:
            self.attach(self._opened_on)
        self._loop.start()
        self._launcher.start_listing(lambda: self._watcher is not None)

    def on_screen_resume(self) -> None:
        """Reads immediately when the screen comes back."""
        self._loop.poke()
        self._launcher.list_now()

    # Watching.

    def attach(self, run: RunFolder) -> None:
        """Shows a run."""
        self._watcher, self._sample_step = VqaWatcher(run), None
        self.services.watch_events(run)
        self._view.snapshot = None
        self._view.wall.reset()
        self._form.display, self._view.display = False, True
        self._view.focus()
        self._loop.poke()

    def duplicate(self, run: RunFolder) -> None:
        """Shows the form, filled in with the settings of a run."""
        self._launcher.duplicate(run)

    def _show_form(self) -> None:
        self._form.display, self._view.display = True, False
        self._form.take_focus()

    async def _read(self) -> bool:
        watcher, view = self._watcher, self._view
        if watcher is None or self._form.display:
            return False
        request, sample_step = view.request, self._sample_step
        snapshot = await in_thread(lambda: watcher.poll(request, sample_step))
        if watcher is self._watcher:
            before = view.snapshot
            view.show(snapshot)
            if before is None or before.live != snapshot.live:
                self.refresh_bindings()
        return True

    @property
    def is_reading(self) -> bool:
        """Whether a run is open, but not read yet."""
        return self._view.display and self._view.snapshot is None

    def hides_key(self, action: str) -> bool:
        """Hides keys that need a live run if it is not."""
        snapshot = self._view.snapshot
        return self._view.display and does_nothing(action, None if snapshot is None else snapshot.live)

    def unsaved(self) -> list[str]:
        """What was typed into the form of a new run."""
        return ["a form of a new run, half filled in"] if self._form.half_filled else []

    def back(self) -> None:
        """Esc: leaves a field, or the large chart, or the charts."""
        wall = self._view.wall
        if self._view.display and wall.large:
            wall.action_enlarge()
        elif self.focused is wall:
            self._view.focus()
        else:
            super().back()

    def leave_field(self) -> None:
        """Puts the focus where single keys work."""
        if self._form.display:
            self._form.leave_field()

    # Starting and choosing.

    def action_new(self) -> None:
        """Shows the form."""
        self._launcher.open_form()

    def action_open(self) -> None:
        """Opens the list of runs to choose from."""
        self._launcher.choose("Choose a run", "There are no runs yet: start one here.")

    # Controls.

    def on_run_view_command(self, event: RunView.Command) -> None:
        """A key was pressed in the view of a run."""
        watcher, snapshot = self._watcher, self._view.snapshot
        if watcher is None or snapshot is None:
            return
        match event.command:
            case "charts":
                self.services.open_charts([watcher.run])
            case "evaluation":
                self.services.open_evaluation(watcher.run.name)
            case "timeline":
                self.services.open_timeline(watcher.run)
            case "questions":
                self._open_questions(watcher.run)
            case "ask_model":
                self.services.ask_about(watcher.run.name)
            case "earlier":
                self._turn_samples(snapshot.sample_steps, snapshot.sample_step, -1)
            case "later":
                self._turn_samples(snapshot.sample_steps, snapshot.sample_step, 1)
            case command:
                self._controls.perform(watcher.run, command, snapshot.state)

    def _open_questions(self, run: RunFolder) -> None:
        from looptop.tui.train.questions_page import QuestionsPage

        page = QuestionsPage(run, lambda state: self._controls.perform(run, "pause", state))
        self.app.push_screen(page)

    @on(ChartWall.DataWanted)
    @on(ChartWall.CursorMoved)
    def _data_wanted(self) -> None:
        self._loop.poke()

    @on(ChartWall.OverlayWanted)
    @on(ChartWall.ExportWanted)
    def _chart_wanted(self, event: ChartWall.OverlayWanted | ChartWall.ExportWanted) -> None:
        self._chart_controls.carry_out(event)

    def _turn_samples(self, steps: tuple[int, ...], step: int | None, by: int) -> None:
        if step in steps:
            index = max(0, min(steps.index(step) + by, len(steps) - 1))
            self._sample_step = None if index == len(steps) - 1 else steps[index]
            self._loop.poke()
