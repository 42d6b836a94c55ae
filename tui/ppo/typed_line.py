"""Typing in the PPO screen's second line: a filter, a reward, or the number of a batch or sample to go to.

The digits 1 to 4 are also the keys of the screens. So a digit begins a number, but if it is one of these and nothing
follows for a moment, the app goes to that screen. Enter goes to the number.
"""

from __future__ import annotations

from collections.abc import Callable

from textual.timer import Timer

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.judgements import check_value
from looptop.tui.background import work
from looptop.tui.ppo.screen_widgets import PpoWidgets
from looptop.tui.screens.base import MainScreen

ALONE_SECONDS = 0.8
"""Seconds without another key after which a digit counts as the key of a screen."""
SCREENS = {"1": "ask", "2": "train", "3": "ppo", "4": "runs"}


class TypedLine:
    """Asks for text in the input line, for a screen that owns this object.

    Args:
        screen: The screen.
        widgets: The screen's widgets.
        on_close: Called when the question is closed, with or without an answer.
    """

    def __init__(self, screen: MainScreen, widgets: PpoWidgets, on_close: Callable[[], None]) -> None:
        self._screen = screen
        self._widgets = widgets
        self._on_close = on_close
        self._timer: Timer | None = None

    def ask(self, label: str, value: str, check: Callable[[str], str], take: Callable[[str], None]) -> None:
        """Asks for a text.

        Args:
            label: The question.
            value: The initial text of the field.
            check: Returns what a value means, or raises LooptopError.
            take: Called with the value on enter.
        """
        self._widgets.status_line.display = False

        def close() -> None:
            self._widgets.status_line.display = True
            self._stop_timer()
            self._on_close()

        self._widgets.input_line.ask(label, value, check=check, take=take, leave=close)

    def ask_for_reward(self, label: str, value: str, precision: str, take: Callable[[float | None], None]) -> None:
        """Asks for a reward; an empty field means None.

        Args:
            label: The question.
            value: The initial text of the field.
            precision: The precision in which the run computes; the number must fit into it.
            take: Called with the number on enter.
        """

        def check(text: str) -> str:
            return "enter uses it" if _reward(text, precision) is not None else "enter removes your reward"

        self.ask(label, value, check, lambda text: take(_reward(text, precision)))

    def ask_where_to_go(self, kind: str, digit: str, go: Callable[[int], None]) -> None:
        """Asks for the rest of a number that a digit has begun.

        Args:
            kind: `batch` or `sample`.
            digit: The first digit.
            go: Called with the number on enter.
        """

        def check(text: str) -> str:
            if text != digit:
                self._stop_timer()
            if not text.strip().isdecimal():
                raise LooptopError("that is no number")
            name = SCREENS.get(text)
            return f"enter goes there; alone, {text} is the screen" if name and self._timer else "enter goes there"

        self._stop_timer()
        if SCREENS.get(digit) in self._screen.app._modes:
            self._timer = self._screen.set_timer(ALONE_SECONDS, lambda: self._change_screen(digit))
        self.ask(f"go to {kind}", digit, check, lambda text: go(int(text)))

    def close(self) -> None:
        """Closes the question without an answer."""
        self._widgets.input_line.close()

    @property
    def is_open(self) -> bool:
        """Whether a question is open."""
        return bool(self._widgets.input_line.display)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _change_screen(self, digit: str) -> None:
        """Goes to the screen of a digit that nothing followed."""
        line = self._widgets.input_line
        if line.display and line.value == digit:
            line.close()
            work(self._screen, self._screen.services.action_go(SCREENS[digit]), "screens")


def _reward(text: str, precision: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise LooptopError("that is no number; for example -1.5") from None
    check_value("reward", value, precision)
    return value
