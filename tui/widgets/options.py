"""A list of options that takes every key at any size."""

from __future__ import annotations

from textual.widgets import OptionList


class Options(OptionList):
    """Textual's list, which fails on page keys while there is no room for a line of it."""

    def action_page_up(self) -> None:
        """Moves a page up, where lines can be seen."""
        if self.scrollable_content_region:
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        """Moves a page down, where lines can be seen."""
        if self.scrollable_content_region:
            super().action_page_down()  # type: ignore[no-untyped-call]
