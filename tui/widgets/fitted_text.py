"""A text that is made for the width that it has."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content
from textual.events import Resize
from textual.widgets import Static


class FittedText(Static):
    """A text that is made anew when its width changes.

    Its height is set with it: where an update comes while an earlier one has not been laid out yet, Textual keeps the
    height of the earlier text.

    Args:
        make: Makes the text for so many cells.
        id: As in Textual.
    """

    def __init__(self, make: Callable[[int], Content], *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._make = make
        self._made_for = 0

    def on_resize(self, _event: Resize) -> None:
        """Makes the text for the new width."""
        if self.size.width != self._made_for:
            self._made_for = self.size.width
            self.make_again()

    def make_again(self) -> None:
        """Makes the text anew, since something else than its width has changed."""
        if self._made_for:
            text = self._make(self._made_for)
            self.styles.height = text.get_height({}, self._made_for)
            self.update(text)
