"""What all screens share: the lines at the top and bottom, and one sentence where the terminal is too small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.await_complete import AwaitComplete
from textual.events import Resize
from textual.reactive import Reactive
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from looptop.tui.widgets.bars import KeyBar, TopBar

if TYPE_CHECKING:
    from textual.app import ComposeResult

Result = TypeVar("Result")

TOO_SMALL = "looptop needs a terminal of at least 80 by 24 characters; make it larger, or press ctrl+c to leave."

WIDTHS: list[tuple[int, str]] | None = [(0, "-too-narrow"), (80, "-narrow"), (110, "-medium"), (150, "-wide")]
HEIGHTS: list[tuple[int, str]] | None = [(0, "-too-short"), (24, "-short"), (36, "-tall"), (50, "-very-tall")]
"""Classes that the style sheets go by, from so many columns and rows."""


def _say_too_small(screen: Screen[Any], event: Resize) -> None:
    small = event.size.width < 80 or event.size.height < 24
    if small and not screen.query("#too-small"):
        screen.mount(Static(TOO_SMALL, id="too-small"))


class ClosesOnce(Screen[Result]):
    """A screen whose closing closes nothing else: a second click or key may come while it goes."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Closes it, if it still is the topmost screen."""
        stack = self.app.screen_stack
        if len(stack) < 2 or stack[-1] is not self:
            return AwaitComplete()
        return super().dismiss(result)


class Calm(ClosesOnce[Result]):
    """A screen that is not drawn anew, all of it, whenever the focus moves: what has or had it draws itself."""

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    @property
    def is_below(self) -> bool:
        """Whether this is the screen below all that lies over it; of an app that ends, none is."""
        try:
            return self.app.screen_stack[0] is self
        except LookupError:
            return False


class Place(Calm[None]):
    """A screen with a number key."""

    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    HERE: ClassVar[str]
    """Its name."""
    PLACES: ClassVar[tuple[str, ...]] = ()
    """Of `actions.PLACES`, those that this screen holds: what its help shows."""

    def compose(self) -> ComposeResult:
        """Top, body, bottom."""
        yield TopBar(self.HERE)
        yield from self.body()
        yield KeyBar()

    def body(self) -> Iterable[Widget]:
        """What stands between the lines."""
        raise NotImplementedError

    def on_resize(self, event: Resize) -> None:
        """Says it where there is too little room."""
        _say_too_small(self, event)

    @property
    def places(self) -> tuple[str, ...]:
        """Of `PLACES`, those that are on the screen now."""
        return self.PLACES

    def unwanted(self, action: str) -> bool:
        """Whether an action, by its name with arguments, is of no use now: its key works, but is not shown below."""
        return False

    def say(self, text: str, style: str = "$text-muted") -> None:
        """Says in the line at the top what is going on."""
        self.query_one(TopBar).say(text, style)

    def unsaved(self) -> list[str]:
        """What leaving the app would lose, each in a few words."""
        return []

    def back(self) -> None:
        """Esc: leaves a field for what holds the single keys."""
        if self.focused is not None:
            self.leave_field()

    def leave_field(self) -> None:
        """Takes the focus out of a field."""
        self.set_focus(None)


class Overlay(Calm[Result], ModalScreen[Result]):
    """Something that lies over a screen until it is closed."""

    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    CSS_PATH = ["../styles/lists.tcss", "../styles/overlay.tcss"]  # noqa: RUF012
    PLACES: ClassVar[tuple[str, ...]] = ()

    def compose(self) -> ComposeResult:
        """Body and keys."""
        yield from self.body()
        yield KeyBar()

    def body(self) -> Iterable[Widget]:
        """What stands in the middle."""
        raise NotImplementedError

    def on_resize(self, event: Resize) -> None:
        """Says it where there is too little room."""
        _say_too_small(self, event)

    def action_dismiss_none(self) -> None:
        """Closes it without a result."""
        self.dismiss(None)
