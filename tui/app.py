"""The app: its screens, how it changes between them, and how it quits.

Only what the first paint needs is imported at the top.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import App
from textual.binding import BindingType
from textual.events import Event, InputEvent
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import WorkerFailed

from looptop.engine.home import is_read_only
from looptop.engine.home_settings import read_home_settings
from looptop.engine.text import visible
from looptop.tui import actions
from looptop.tui.background import GONE_ERRORS, fetch, in_thread, work
from looptop.tui.kept_state import StateFile
from looptop.tui.main_screens import MainScreens
from looptop.tui.screen_names import NUMBERED_SCREENS, screen_of
from looptop.tui.screens.base import MainScreen, Overlay, Services, key_contexts_of
from looptop.tui.terminal import driver as terminal
from looptop.tui.terminal.graphics_layer import GraphicsLayer
from looptop.tui.terminal.key_order import KeyDone, KeyOrder, is_key_input
from looptop.tui.text import VisibleLines
from looptop.tui.themes import DARK, LIGHT, first_theme
from looptop.tui.widgets.bars import refresh_top_lines
from looptop.tui.widgets.notices import Notices

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.actions import ActionParseResult
    from textual.command import Provider
    from textual.dom import DOMNode

    from looptop.engine.runs.folder import RunFolder
    from looptop.engine.runs.listing import Summaries
    from looptop.engine.vqa.images.entries import ImageEntry
    from looptop.tui.ask.client import AnswerHelper
    from looptop.tui.evaluation.evaluation_runner import EvaluationHelper
    from looptop.tui.run_events import RunEvents

Value = TypeVar("Value")

EVENTS_INTERVAL = 1.0
"""Seconds between two checks of what has happened to runs."""

YOUNG_GC_THRESHOLD = 5000
"""New objects after which young garbage is collected; Python's own 700 took a sixteenth of what the app costs."""

FORCED_EXIT_SECONDS = 6.0
"""Seconds after which an app that is quitting is ended by force."""

READ_ONLY_NOTICE = "looptop is read-only here (--readonly): it starts and changes no run and writes no file"


def _commands() -> type[Provider]:
    from looptop.tui.screens.palette import Commands

    return Commands


class LooptopApp(App[str]):
    """looptop on a terminal. Returns the sentences to print after it has quit."""

    TITLE = "looptop"
    CSS_PATH: ClassVar[list[str]] = ["styles/app.tcss", "styles/ask.tcss", "styles/small.tcss"]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("app")]
    DEFAULT_MODE = "ask"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Any]] = {_commands}
    NOTIFICATION_TIMEOUT = 6

    def __init__(
        self,
        make_process: Callable[[], AnswerHelper] | None = None,
        drawn_on: terminal.TerminalFile | None = None,
        attach: RunFolder | None = None,
        make_evaluator: Callable[[], EvaluationHelper] | None = None,
    ) -> None:
        """The app.

        Args:
            make_process: Makes the answering process; the engine's own by default.
            drawn_on: The terminal, if the app was started on one.
            attach: The run to open on.
            make_evaluator: Makes the evaluating process; the engine's own by default.
        """
        self.kept = StateFile()
        self.settings_file = read_home_settings()
        if attach is not None:
            self.DEFAULT_MODE = screen_of(attach)  # type: ignore[misc]  # this app's own
        elif self.kept.state.screen in NUMBERED_SCREENS:
            self.DEFAULT_MODE = self.kept.state.screen  # type: ignore[misc]
        super().__init__(driver_class=None if drawn_on is None else terminal.Driver)
        self._opened_on, self._drawn_on = attach, drawn_on
        self.graphics = GraphicsLayer(self)
        self._visible_lines = VisibleLines()
        self._key_order = KeyOrder(self)
        self._changing_screen = asyncio.Lock()  # until a screen has its widgets: a second call would not reach them
        self._quits_now = False
        self._notifications = Notices()
        self.started_here: list[RunFolder] = []
        """Runs that were started or resumed in this app."""
        self._events_wanted = asyncio.Event()  # before the next interval has passed
        self.unread_alerts: Mapping[str, int] = {}  # in the top line of every screen, by the run's id
        self.animation_level = "none"
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = first_theme(self.settings_file.settings.theme, self.kept.state.theme)
        screens = MainScreens(attach, self.DEFAULT_MODE, make_process, make_evaluator)
        for name, make in screens.makers.items():
            self.add_mode(name, make)

    @functools.cached_property
    def summaries(self) -> Summaries:
        """Summaries of all runs, shared by all screens."""
        from looptop.engine.runs.listing import Summaries

        return Summaries()

    @functools.cached_property
    def _run_events(self) -> RunEvents:
        from looptop.tui.run_events import RunEvents  # after the first paint: it reads journals

        return RunEvents()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Filters that each line goes through on its way to the terminal."""
        return [*super().get_line_filters(), self._visible_lines]

    # Changing the screen.

    def open_run(self, run: RunFolder) -> None:
        """Goes to the screen that shows runs of its kind."""
        self._go_to_screen_of(run, lambda screen: screen.attach(run), lambda: self.open_charts([run]))

    def open_charts(self, runs: Sequence[RunFolder]) -> None:
        """Shows all metrics of a run, or of several laid over each other; from there esc comes back."""
        origin = self.current_mode
        self._go("charts", lambda screen: screen.show_runs(runs, origin))

    def duplicate(self, run: RunFolder) -> None:
        """Shows the form of a new run, filled in with this one's configuration."""

        def no_form() -> None:
            from looptop.engine.runs.folder import TRAINED_ELSEWHERE

            if run.kind in TRAINED_ELSEWHERE:
                how = "it is a run of another program: start that one again"
            else:
                how = f"`looptop train --like {run.shell_name}` starts one"
            self.show_notice(f"there is no form for runs like {run.id}; {how}", "warning")

        self._go_to_screen_of(run, lambda screen: screen.duplicate(run), no_form)

    def _go_to_screen_of(self, run: RunFolder, then: Callable[[Any], object], if_charts: Callable[[], object]) -> None:
        def go(name: str) -> None:
            if name == "charts":
                if_charts()
            else:
                self._go(name, then)

        self.fetch(lambda: screen_of(run), go)

    def _go(self, name: str, then: Callable[[Any], object]) -> None:
        async def go() -> None:
            async with self._changing_screen:
                await self.action_go(name)
                if self.screen_stack:  # empty while the app quits
                    then(self.screen_stack[0])

        work(self, go(), "screens")

    def show_notice(self, sentence: object, severity: str = "information") -> None:
        """Shows a sentence for a few seconds; control characters in it are made visible."""
        self.notify(visible(sentence), severity=severity, markup=False)  # type: ignore[arg-type]

    def ask_about(self, model: str) -> None:
        """Goes to Ask, with this model answering, and with the images of its data if that is not the benchmark."""
        self._go("ask", lambda screen: screen.ask_about(model))

    def show_images(self, title: str, entries: Sequence[ImageEntry]) -> None:
        """Goes to Ask, with these images as the list to choose from."""
        self._go("ask", lambda screen: screen.show_images(title, entries))

    def open_evaluation(self, model: str) -> None:
        """Goes to the evaluation of this model; from there esc comes back."""
        origin = self.current_mode
        self._go("evaluation", lambda screen: screen.show_model(model, origin))

    def open_timeline(self, run: RunFolder) -> None:
        """Goes to the evaluations of this VQA run over time; from there esc comes back."""
        origin = self.current_mode
        self._go("timeline", lambda screen: screen.show_run(run, origin))

    # Actions that work everywhere.

    async def action_go(self, name: str) -> None:
        """Goes to another screen; closes the overlays over the current one."""
        while isinstance(self.screen, Overlay):
            await self.pop_screen()
        if self.current_mode != name:
            await self.switch_mode(name)
            if name not in ("evaluation", "timeline"):  # The screen that it was opened from is kept.
                self.kept.keep_screen(name if name in NUMBERED_SCREENS else "runs")

    async def action_back(self) -> None:
        """Esc: leaves a field, or closes an overlay."""
        if isinstance(self.screen, MainScreen):
            self.screen.back()
        elif len(self.screen_stack) > 1:
            self.screen.dismiss(None)

    def action_command_palette(self) -> None:
        """Opens the palette."""
        from looptop.tui.screens.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())

    def action_theme(self) -> None:
        """Changes between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        self.kept.keep_theme(self.theme)

    def action_help(self) -> None:
        """Explains the pane that has the focus, and shows the keys of its screen."""
        from looptop.tui.actions.panes import pane_of
        from looptop.tui.screens.help import Help

        screen = self.screen
        if not isinstance(screen, Help):
            self.push_screen(Help(key_contexts_of(screen), pane_of(screen.focused or screen)))

    def action_quit_or_ask(self) -> None:
        """Quits; asks first if something would be lost, or if a run that was started here is live."""
        from looptop.tui.quitting import quit_or_ask

        if self._quits_now:
            return
        work(self, quit_or_ask(self, list(self.started_here), self.unsaved), "quit or ask", exclusive=True)

    def action_quit_now(self) -> None:
        """Quits immediately."""
        from looptop.tui.quitting import quit_now

        self._quits_now = True
        self.workers.cancel_group(self, "quit or ask")  # There is nothing to ask any more.
        work(self, quit_now(self, list(self.started_here)), "quit now")

    def unsaved(self) -> list[str]:
        """What would be lost if the app quit now, each item in a few words."""
        screens = [stack[0] for stack in self._screen_stacks.values() if stack and stack[0].is_mounted]
        return [each for screen in screens if isinstance(screen, MainScreen) for each in screen.unsaved()]

    def quit_from_outside(self) -> None:
        """Quits because the terminal is gone or a signal came; runs continue."""
        if self._drawn_on is not None:
            self._drawn_on.leave()
        self.action_quit_now()

    def copy_to_clipboard(self, text: str) -> None:
        """Copies a text; what cannot be encoded is replaced."""
        super().copy_to_clipboard(text.encode("utf-8", "replace").decode())
        self._clipboard = text

    def draw_anew(self) -> None:
        """Draws the whole screen again; another program may have drawn over it."""
        if self._drawn_on is not None:
            self._drawn_on.forget_colours()
        self.graphics.forget()
        self.refresh(layout=True)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        super()._display(screen, renderable)
        self.graphics.after_frame(renderable)

    def exit(self, *args: Any, **kwargs: Any) -> None:
        """Quits, and ends the process by force if that takes too long."""
        if self._drawn_on is not None:
            self._drawn_on.leave()
            resort = threading.Timer(FORCED_EXIT_SECONDS, os._exit, (kwargs.get("return_code", 0),))
            resort.daemon = True
            resort.start()
        super().exit(*args, **kwargs)

    def _handle_exception(self, error: Exception) -> None:
        # Once the app quits, Textual mounts nothing: a screen that is being composed gets no widgets, but `on_mount` is
        # called. The errors of all handlers and of Textual's own workers come through here.
        cause = error.error if isinstance(error, WorkerFailed) else error
        if not (self._exit and isinstance(cause, GONE_ERRORS)):
            super()._handle_exception(error)

    # What Textual asks for.

    def on_load(self) -> None:
        """Lets tasks begin in turn on Python 3.12+ too: where they begin at once, modes fail (Textual's issue 6444)."""
        asyncio.get_running_loop().set_task_factory(None)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Runs an action; one that changes a run is refused in a read-only app."""
        if is_read_only() and action in actions.CHANGING:
            self.show_notice(READ_ONLY_NOTICE, "warning")
            return True
        return await super().run_action(action, default_namespace, namespaces)

    async def on_event(self, event: Event) -> None:
        """Lets keys act one after the other; drops input that comes while the app ends."""
        if isinstance(event, InputEvent) and not self.screen_stack:
            return
        if is_key_input(event):
            await self._key_order.take(event, super().on_event)
        else:
            await super().on_event(event)

    def on_key_done(self, event: KeyDone) -> None:
        """The app hears that a key has acted (see `key_order`)."""
        event.arrived.set()

    def on_ready(self) -> None:
        """Starts work that waits for the first paint."""
        if self._drawn_on is not None:
            gc.freeze()
            gc.set_threshold(YOUNG_GC_THRESHOLD)
            gc.enable()
        if self._opened_on is not None:
            self.watch_events(self._opened_on)
        for problem in self.settings_file.problems:
            self.show_notice(problem.sentence, "warning")
        work(self, self._show_events(), "run events")

    def watch_events(self, run: RunFolder) -> None:
        """From now on, shows a notice when something happens to this run, whichever screen is open."""
        self._run_events.follow(run)
        self._events_wanted.set()

    def fetch(self, call: Callable[[], Value], then: Callable[[Value], object]) -> None:
        """Makes a call in a thread, then passes what it returned on; shows the error. The next key waits for it."""
        self._key_order.wait_for(fetch(self, call, then, lambda error: self.show_notice(error, "error")))

    def run_started(self, run: RunFolder) -> None:
        """This run was started or resumed in this app: shows notices of it, and asks about it before the app quits."""
        self.started_here.append(run)
        self._run_events.follow(run, started=True)
        self._events_wanted.set()

    async def _show_events(self) -> None:
        """Rings the bell and shows a notice when something happens to a run that was shown or started here."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._events_wanted.wait(), EVENTS_INTERVAL)
            self._events_wanted.clear()
            for notice in await in_thread(self._run_events.poll):
                self.bell()
                self.show_notice(notice.sentence, notice.severity)
            if (alerts := self._run_events.alerts) != self.unread_alerts:
                self.unread_alerts = alerts
                refresh_top_lines(self)

    def alerts_read(self, run: RunFolder) -> None:
        """The events of this run are on the screen: the top line will not show its alerts any more."""
        self._run_events.mark_read(run)


if TYPE_CHECKING:
    _services: type[Services] = LooptopApp  # the app does what screens ask for
