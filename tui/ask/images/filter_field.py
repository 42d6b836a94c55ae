"""The field in which the images are filtered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from looptop.tui.actions import bindings
from looptop.tui.widgets.field import Field


class FilterField(Field):
    """The field. The arrows move among the images meanwhile, and esc closes the filter."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("image-filter")]

    @dataclass
    class Moved(Message):
        """The cursor among the images is to be moved."""

        rows: int

    class Closed(Message):
        """The filter is to be closed."""

    def __init__(self) -> None:
        super().__init__(placeholder="type to filter", id="image-filter")

    def action_move_image(self, rows: int) -> None:
        """Moves the cursor among the images."""
        self.post_message(self.Moved(rows))

    def action_close_filter(self) -> None:
        """Closes the filter."""
        self.post_message(self.Closed())
