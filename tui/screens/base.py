"""What all screens share: how they close, their help, and a sentence shown if the terminal is too small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

from textual import on
from textual.await_complete import AwaitComplete
from textual.events import DescendantFocus, Mount, Resize
from textual.reactive import Reactive
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.tui.widgets.bars import TopBar

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder
    from looptop.engine.runs.listing import Summaries
    from looptop.engine.vqa.images.entries import ImageEntry
    from looptop.tui.kept_state import StateFile
    from looptop.tui.terminal.graphics_layer import GraphicsLayer

STYLES = Path(__file__).parents[1] / "styles"

Result = TypeVar("Result")
Value = TypeVar("Value")

FULL_WIDTH, FULL_HEIGHT = 80, 24
"""The smallest terminal, in cells, that shows whole screens. A smaller one shows the pane that matters most."""

MIN_WIDTH, MIN_HEIGHT = 40, 12
"""The smallest terminal that the app can use, in cells."""

TOO_SMALL = (
    f"looptop needs a terminal of at least {MIN_WIDTH} by {MIN_HEIGHT} characters; make it larger, or press ctrl+c to"
    " leave."
)

WIDTHS: list[tuple[int, str]] | None = [(0, "-too-narrow"), (MIN_WIDTH, "-narrow"), (110, "-medium"), (150, "-wide")]
HEIGHTS: list[tuple[int, str]] | None = [(0, "-too-short"), (MIN_HEIGHT, "-short"), (36, "-tall"), (50, "-very-tall")]
"""CSS classes of a screen: each applies from this many columns or rows on."""


class Services(Protocol):
    """What the app does for its screens."""

    kept: StateFile
    """What the app keeps from one start to the next."""

    graphics: GraphicsLayer
    """Images on terminals that draw them."""

    @property
    def summaries(self) -> Summaries:
        """Summaries of all runs, shared by all screens."""
        ...

    def show_notice(self, sentence: object, severity: str = "information") -> None:
        """Shows a sentence for a few seconds."""

    def watch_events(self, run: RunFolder) -> None:
        """From now on, shows a notice when something happens to this run, whichever screen is open."""

    def fetch(self, call: Callable[[], Value], then: Callable[[Value], object]) -> None:
        """Makes a call that reads or writes files in a thread, then passes what it returned on.

        A LooptopError of either is shown. Keys that are typed meanwhile wait, but not for a disk that does not answer.
        """

    def run_started(self, run: RunFolder) -> None:
        """This run was started or resumed in this app: shows notices of it, and asks about it before the app quits."""

    def alerts_read(self, run: RunFolder) -> None:
        """The events of this run are on the screen: the top line will not show its alerts any more."""

    def open_run(self, run: RunFolder) -> None:
        """Goes to the screen that shows runs of its kind."""

    def open_charts(self, runs: Sequence[RunFolder]) -> None:
        """Goes to the charts of these runs."""

    def duplicate(self, run: RunFolder) -> None:
        """Goes to the form of a new run, filled in from this one."""

    def ask_about(self, model: str) -> None:
        """Goes to Ask, with this model answering, and with the images of its data if that is not the benchmark."""

    def show_images(self, title: str, entries: Sequence[ImageEntry]) -> None:
        """Goes to Ask, with these images as the list to choose from."""

    def open_evaluation(self, model: str) -> None:
        """Goes to the evaluation of this model."""

    def open_timeline(self, run: RunFolder) -> None:
        """Goes to the evaluations of this VQA run over time."""

    async def action_go(self, name: str) -> None:
        """Goes to another screen."""


class BaseScreen(Screen[Result]):
    """A screen that is not redrawn as a whole when the focus moves, and that closes only itself."""

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    _is_dismissed = False

    @property
    def is_selected(self) -> bool:
        """Whether it is on display, overlays over it aside."""
        return True

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Closes the screen if it is the topmost one: a second click or key may come while it closes."""
        stack = self.app.screen_stack
        if len(stack) < 2 or stack[-1] is not self:
            return AwaitComplete()
        self._is_dismissed = True
        return super().dismiss(result)

    def call_after_refresh(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Makes a call after the next refresh, unless the screen is closed by then: its widgets are gone first."""
        return super().call_after_refresh(lambda: None if self._is_dismissed else callback(*args, **kwargs))

    def on_resize(self, event: Resize) -> None:
        """Fits the screen to the terminal: whole, reduced (CSS class `-small`), or a sentence that it is too small."""
        width, height = event.size
        self.set_class(width < FULL_WIDTH or height < FULL_HEIGHT, "-small")
        too_small = width < MIN_WIDTH or height < MIN_HEIGHT
        if too_small and not self.query("#too-small"):
            self.mount(Static(TOO_SMALL, id="too-small"))


class MainScreen(BaseScreen[None]):
    """A top-level screen, reached by pressing a digit: a top line, its own widgets, a line of keys."""

    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ()
    """The key contexts of this screen (of `actions.KEY_CONTEXTS`), which its help shows."""
    SMALL_PANES: ClassVar[tuple[str, ...]] = ()
    """CSS selectors of the panes of which a small terminal shows one: that with the focus, or the first. If empty, the
    style sheet alone reduces the screen."""

    @property
    def services(self) -> Services:
        """The app, as far as screens use it."""
        return cast("Services", self.app)

    @property
    def is_selected(self) -> bool:
        """Whether this is the main screen on display, overlays aside; False while the app ends."""
        try:
            return self.app.screen_stack[0] is self
        except LookupError:
            return False

    @property
    def key_contexts(self) -> tuple[str, ...]:
        """The contexts of `KEY_CONTEXTS` whose keys work now."""
        return self.KEY_CONTEXTS

    @on(Mount)
    @on(DescendantFocus)
    def _bring_to_front(self) -> None:
        """Marks the pane that a small terminal shows with the CSS class `-front`."""
        panes = [list(self.query(selector)) for selector in self.SMALL_PANES]
        path = () if self.focused is None else self.focused.ancestors_with_self
        front = next((pane for pane in panes if any(widget in path for widget in pane)), next(iter(panes), []))
        for pane in panes:
            for widget in pane:
                widget.set_class(pane is front, "-front")

    @property
    def is_reading(self) -> bool:
        """Whether what it is to show has not been read yet, so that actions have to wait for it."""
        return False

    def hides_key(self, action: str) -> bool:
        """Whether the bottom line leaves out an action, by its name with arguments, since it is useless now."""
        return False

    def show_error(self, sentence: str) -> None:
        """Shows what went wrong in the top line, until an empty sentence takes it away."""
        self.show_status(sentence, "$text-error")

    def show_status(self, text: str, style: str = "$text-muted") -> None:
        """Shows the status in the top line, unless the screen is closing: a late reply has none to show it in."""
        for line in self.query(TopBar):
            line.show_status(text, style)

    def attempt(self, call: Callable[[], object]) -> None:
        """Makes a call, and shows the error if it raises a LooptopError."""
        try:
            call()
        except LooptopError as error:
            self.services.show_notice(error, "error")

    def fetch_here(self, call: Callable[[], Value], then: Callable[[Value], object]) -> None:
        """As `services.fetch`, but drops the result if the person has gone to another screen meanwhile."""
        self.services.fetch(call, lambda value: then(value) if self.is_selected else None)

    def unsaved(self) -> list[str]:
        """What would be lost if the app quit, each item in a few words."""
        return []

    def back(self) -> None:
        """Esc: leaves a field, so that single keys work."""
        if self.focused is not None:
            self.leave_field()

    def leave_field(self) -> None:
        """Takes the focus out of a field."""
        self.set_focus(None)


class Overlay(BaseScreen[Result], ModalScreen[Result]):
    """A window over a screen, until it is closed."""

    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    # Whole paths, since Textual takes a relative one from the folder of the derived class.
    CSS_PATH = [STYLES / "lists.tcss", STYLES / "overlay.tcss"]  # noqa: RUF012
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ()

    def action_close_overlay(self) -> None:
        """Closes the overlay without a result."""
        self.dismiss(None)


def key_contexts_of(screen: Screen[Any]) -> tuple[str, ...]:
    """The contexts whose keys a screen's help and palette show."""
    return screen.key_contexts if isinstance(screen, MainScreen) else getattr(screen, "KEY_CONTEXTS", ())
