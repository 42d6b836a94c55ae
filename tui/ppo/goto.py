"""Going to a number that is typed.

A digit is also the key of a screen (1 to 4, everywhere). So the number is begun at once, and where one such digit stays
alone for a moment, it was the screen that was meant; enter goes to that number all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.timer import Timer

from looptop.engine.errors import LooptopError
from looptop.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from looptop.tui.ppo.pages import PpoPages

ALONE_SECONDS = 0.8
"""How long one digit stays alone before it is the key of a screen."""
SCREENS = {"1": "ask", "2": "train", "3": "ppo", "4": "runs"}


class GoTo:
    """A number in the making."""

    def __init__(self, screen: PpoPages) -> None:
        self._screen = screen
        self._timer: Timer | None = None

    def begin(self, digit: str) -> None:
        """Asks for the rest of the number."""
        screen = self._screen
        what = "sample" if screen.level in ("sample", "tokens") else "batch"

        def check(text: str) -> str:
            if text != digit:
                self.stop()
            if not text.strip().isdecimal():
                raise LooptopError("that is no number")
            name = SCREENS.get(text)
            return f"enter goes there; alone, {text} is the screen" if name and self._timer else "enter goes there"

        def take(text: str) -> None:
            number = int(text)
            screen.go_to_sample(number) if what == "sample" else screen.go_to_batch(number)

        self.stop()
        if SCREENS.get(digit) in screen.app._modes:
            self._timer = screen.set_timer(ALONE_SECONDS, lambda: self._alone(digit))
        screen.ask(f"go to {what}", digit, check, take)

    def stop(self) -> None:
        """It is a number."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _alone(self, digit: str) -> None:
        prompt = self._screen.query_one(Prompt)
        if prompt.display and prompt.value == digit:
            prompt.close()
            self._screen.work(self._screen.looptop.action_go(SCREENS[digit]), "screens")
