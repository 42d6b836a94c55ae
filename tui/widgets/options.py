"""A list of options whose keys work at any size."""

from __future__ import annotations

from textual.widgets import OptionList


class Options(OptionList):
    """Textual's list, without its error on page keys while no line of it fits."""

    def action_page_up(self) -> None:
        """Moves a page up, if any line is visible."""
        if self.scrollable_content_region:
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        """Moves a page down, if any line is visible."""
        if self.scrollable_content_region:
            super().action_page_down()  # type: ignore[no-untyped-call]
