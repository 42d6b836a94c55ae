"""A widget that remembers its own style: Textual computes it anew each time it is asked, which a line of a table with
forty cells cannot afford.
"""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


class KeepsStyle(Widget):
    """Draws lines itself, in a style that changes with the theme and the focus alone."""

    _kept_style: Style | None = None

    @property
    def base_style(self) -> Style:
        """`rich_style`, kept until the styles change."""
        if self._kept_style is None:
            self._kept_style = self.rich_style
        return self._kept_style

    def notify_style_update(self) -> None:
        """Draws in the new colours."""
        super().notify_style_update()
        self._kept_style = None
        self.refresh()
