"""PPO: a run's charts and batches, a batch's samples, a sample, its tokens; and the form of a new run.

All data come from the run's journal, so a live run, one that another process trains and a finished one are shown in the
same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.events import Key, Resize
from textual.widget import Widget
from textual.widgets import Input

from looptop.engine.home import is_read_only
from looptop.engine.runs.folder import RunFolder
from looptop.tui.actions import actions_of, bindings
from looptop.tui.actions.run_controls import does_nothing
from looptop.tui.background import in_thread
from looptop.tui.forms.launcher import Launcher
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.ppo import saving
from looptop.tui.ppo.batch_page import BatchPage
from looptop.tui.ppo.before_after_page import BeforeAfterPage
from looptop.tui.ppo.comparer import Comparer
from looptop.tui.ppo.controls import PpoControls
from looptop.tui.ppo.navigation import IN_BATCH, Navigation
from looptop.tui.ppo.run_page import RunPage
from looptop.tui.ppo.sample_page import SamplePage
from looptop.tui.ppo.screen_widgets import Level, PpoWidgets
from looptop.tui.ppo.snapshot import HoldPosition, PpoSnapshot, PpoWatcher, ShownRun
from looptop.tui.ppo.token_page import TokenPage
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.chart_controls import ChartControls
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.widgets.bars import KeyBar, TopBar

ONLY_LIVE = ("command('stage')", "follow")
"""Actions that need a live run."""
ONLY_SAMPLE = ("edit", "leave_out", "rate", "copy")
"""Actions that apply to a sample."""
NOT_IN_FORM = {action.name.partition("(")[0] for action in actions_of(["ppo"])} - {"open_run", "new"}
"""Actions that need a run, so they are disabled in the form."""
LIST_CONTEXTS: dict[Level, tuple[str, ...]] = {
    "run": ("rows", "wall"),
    "batch": ("rows", "columns", "bars"),
    "tokens": ("tokens",),
    "compare": ("rows", "columns"),
}
"""The key contexts of the lists of a level."""


class PpoScreen(MainScreen):
    """The PPO screen, on key 3."""

    CSS_PATH = ["../styles/lists.tcss", "../styles/chart.tcss", "../styles/form.tcss", "../styles/ppo.tcss"]  # noqa: RUF012
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ppo")]

    def __init__(self, attach: RunFolder | None = None) -> None:
        """The screen.

        Args:
            attach: The run to open on; without one, a live run, if there is one.
        """
        super().__init__()
        self.shown = ShownRun()
        self.widgets = PpoWidgets()
        self._opened_on = attach
        self._watcher: PpoWatcher | None = None
        self._held: HoldPosition | None = None
        """Where the run was held at the last reading."""
        self._loop = WatchLoop(self, self._read, self.show_error)
        self.navigation = Navigation(self, self.widgets, self.shown, self._loop.poke)
        self.controls = PpoControls(self, self.shown, self.navigation, self._loop.hurry)
        self._comparing = Comparer(self._show_comparison)
        self._chart_controls = ChartControls.of_one_run(
            self, lambda: self.widgets.run_page.wall, lambda: self._watcher, self._loop.poke
        )
        self._launcher = Launcher(
            self,
            self.widgets.form,
            self.controls.run_controls,
            is_listed=lambda summary: summary.kind == "ppo",
            attach=self.attach,
            show_form=self._show_form,
        )

    def compose(self) -> Iterable[Widget]:
        """Two lines at the top, and the pages, of which one is shown."""
        yield TopBar("ppo")
        yield from self.widgets
        yield KeyBar()

    def on_mount(self) -> None:
        """Shows the run to open on, or a live one, or else the form."""
        self.navigation.show_level("form")
        if self._opened_on is not None:
            self.attach(self._opened_on)
        self._loop.start()
        self._launcher.start_listing(lambda: self._watcher is not None)

    def on_unmount(self) -> None:
        """Ends the processes that were started for this screen alone."""
        self.navigation.references.close()
        self._comparing.close()

    def on_screen_resume(self) -> None:
        """Reads immediately when the screen comes back."""
        self._loop.poke()
        self._launcher.list_now()

    def on_resize(self, event: Resize) -> None:
        """Fits the lines at the top to the new width."""
        super().on_resize(event)
        self.call_after_refresh(self.navigation.show_head)

    # Watching.

    def attach(self, run: RunFolder) -> None:
        """Shows a run."""
        self._watcher = PpoWatcher(run)
        self.shown.folder, self.shown.journal, self.shown.snapshot = run, self._watcher.journal, None
        self._held = None
        self.services.watch_events(run)
        self.controls.forget_sent()
        self.widgets.run_page.attach(self._watcher.journal)
        self._comparing.attach(run)
        self.navigation.show_level("run")

    def duplicate(self, run: RunFolder) -> None:
        """Shows the form, filled in with the settings of a run."""
        self._launcher.duplicate(run)

    async def _read(self) -> bool:
        watcher, page, level = self._watcher, self.widgets.run_page, self.navigation.level
        if watcher is None or level == "form":
            return False
        request = page.request if level == "run" else None
        snapshot = await in_thread(lambda: watcher.poll(request))
        if watcher is self._watcher:
            self._show(snapshot)
            await self.controls.show_replies()
        return True

    def _show(self, snapshot: PpoSnapshot) -> None:
        """Shows what is new."""
        before, self.shown.snapshot = self.shown.snapshot, snapshot
        if snapshot is before:
            return
        navigation, page = self.navigation, self.widgets.run_page
        navigation.show_head()
        if before is None or (before.live, before.state) != (snapshot.live, snapshot.state):
            self.refresh_bindings()
        if navigation.level == "run":
            page.show(snapshot)
        else:
            page.snapshot = snapshot
        held, held_before = snapshot.held, self._held
        self._held = held
        if held is not None and held != held_before and held.why:
            if before is not None:
                self.services.show_notice(f"{snapshot.id} is held: {held.why}", "warning")
            navigation.go_to_held(held.step)
        elif navigation.level in IN_BATCH and (before is None or before.version != snapshot.version):
            newest = page.follow and navigation.level == "batch" and snapshot.last > navigation.step
            navigation.open_batch(snapshot.last if newest else navigation.step)

    # Keys and the focus.

    @property
    def key_contexts(self) -> tuple[str, ...]:
        """The contexts of the level."""
        level = self.navigation.level
        return (
            ("form", "settings", "value", "rows")
            if level == "form"
            else (f"ppo-{level}", "ppo", *LIST_CONTEXTS.get(level, ()))
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disables keys that have no meaning on this level, or before the run is read."""
        if action in NOT_IN_FORM and (self.navigation.level == "form" or self.shown.snapshot is None):
            return False
        return action not in ONLY_SAMPLE or self.navigation.level in IN_BATCH

    @property
    def is_reading(self) -> bool:
        """Whether a run is open, but not read yet."""
        return self.navigation.level != "form" and self.shown.snapshot is None

    def hides_key(self, action: str) -> bool:
        """Hides keys that need a live run if it is not, and edits of a batch that the policy was updated with."""
        snapshot = self.shown.snapshot
        live = None if snapshot is None else snapshot.live
        if does_nothing(action, live) or (action in ONLY_LIVE and not live):
            return True
        return action in ("edit", "leave_out") and self.navigation.is_updated

    def leave_field(self) -> None:
        """Puts the focus where single keys work."""
        if self.navigation.typed_line.is_open:
            self.navigation.typed_line.close()
        elif self.navigation.level == "form":
            self.widgets.form.leave_field()

    def back(self) -> None:
        """Esc: leaves a field, or the large chart, or the charts, or goes up a level."""
        if isinstance(self.focused, Input):
            self.leave_field()
        elif self.navigation.level == "run" and self.widgets.run_page.leave_charts():
            return
        else:
            self.navigation.up()

    def on_key(self, event: Key) -> None:
        """A digit begins the number of a batch or sample to go to."""
        if event.character is None or not event.character.isdecimal() or isinstance(self.focused, Input):
            return
        if event.character == "0" and isinstance(self.focused, ChartWall):  # there, the key shows all batches
            return
        if self.navigation.type_number(event.character):
            event.stop()
            event.prevent_default()

    # Moving.

    @on(RunPage.Opened)
    def _batch_opened(self) -> None:
        self.navigation.open_chosen_batch()

    @on(BatchPage.Opened)
    def _sample_opened(self) -> None:
        self.navigation.open_chosen_sample()

    @on(SamplePage.TokensWanted)
    def _tokens_opened(self) -> None:
        self.navigation.open_tokens()

    @on(SamplePage.ReferenceWanted)
    def _reference_wanted(self) -> None:
        self.navigation.ask_reference()

    @on(RunPage.Moved)
    @on(TokenPage.Moved)
    def _cursor_moved(self) -> None:
        self.navigation.show_head()
        if self.widgets.run_page.has_other_runs:
            self._loop.poke()

    @on(ChartWall.DataWanted)
    def _curves_wanted(self) -> None:
        self._loop.poke()

    @on(ChartWall.OverlayWanted)
    @on(ChartWall.ExportWanted)
    def _chart_wanted(self, event: ChartWall.OverlayWanted | ChartWall.ExportWanted) -> None:
        self._chart_controls.carry_out(event)

    @on(BatchPage.FilterWanted)
    def _filter_wanted(self) -> None:
        page = self.widgets.batch_page
        self.navigation.typed_line.ask("filter", page.filter_text, page.try_filter, lambda _text: None)

    def action_turn(self, by: int) -> None:
        """Goes to the next or previous batch or sample."""
        self.navigation.turn(by)

    def action_follow(self) -> None:
        """Follows the newest batch, or stops following it."""
        self.navigation.follow()

    def action_next_mark(self) -> None:
        """Goes to the next batch at which a health mark begins."""
        self.navigation.next_mark()

    def action_health(self) -> None:
        """Shows the health marks of the batch."""
        self.navigation.show_health()

    # Driving, judging, saving.

    def action_command(self, command: str) -> None:
        """Carries out the command of a key; after a step, follows the newest batch."""
        self.controls.perform(command)
        if command in ("step", "stage") and self.shown.snapshot is not None and self.shown.snapshot.live:
            self.widgets.run_page.follow = True

    def on_events_panel_opened(self) -> None:
        """Shows all events."""
        self.action_command("events")

    def action_edit(self) -> None:
        """Asks for another reward for the sample."""
        self.controls.edit_reward()

    def action_leave_out(self) -> None:
        """Leaves the sample out of the update, or includes it again."""
        self.controls.leave_out()

    def action_rate(self, by: int) -> None:
        """Rates the sample one up or down."""
        self.controls.rate(by)

    def action_breakpoints(self) -> None:
        """Opens the list of breakpoints."""
        self.controls.open_breakpoints()

    def action_copy(self) -> None:
        """Copies the tokens on the screen, or else the sample."""
        saving.copy(self, self.shown, self.navigation)

    def action_export(self) -> None:
        """Writes the batch to a file."""
        saving.export_batch(self, self.shown, self.navigation)

    def action_picture(self) -> None:
        """Saves the screen as a picture."""
        saving.save_picture(self, self.shown, self.navigation)

    # Before and after.

    def action_compare(self) -> None:
        """Opens or leaves the page that compares before and after."""
        self.navigation.show_level("run" if self.navigation.level == "compare" else "compare")
        self._comparing.read_result()
        self._show_comparison()

    @on(BeforeAfterPage.Wanted)
    def _compare_wanted(self) -> None:
        run = self.shown.folder
        if run is not None and is_read_only():
            self.services.show_notice(
                f"read-only: the comparison would be kept with the run; `looptop --readonly compare {run.shell_name}`"
                " prints it",
                "warning",
            )
        elif run is not None:
            self.controls.run_controls.with_trust(run, lambda asked: self._comparing.begin(trust=asked))

    def _show_comparison(self) -> None:
        run = self.shown.folder
        if self.navigation.level == "compare" and run is not None:
            self.widgets.before_after_page.show(run.shell_name, self._comparing.result, self._comparing.doing)

    # Starting and choosing.

    def _show_form(self) -> None:
        self.navigation.show_level("form")
        self.widgets.form.take_focus()

    def unsaved(self) -> list[str]:
        """What was typed into the form of a new run."""
        return ["a form of a new PPO run, half filled in"] if self.widgets.form.half_filled else []

    def action_new(self) -> None:
        """Shows the form."""
        self._launcher.open_form()

    def action_open_run(self) -> None:
        """Opens the list of runs to choose from."""
        self._launcher.choose("Choose a PPO run", "There are none yet: N starts one.")
