"""A text that is redrawn only when it changes."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class Panel(Static):
    """A text that is redrawn only when it changes."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._shown: Content | None = None

    def show(self, content: Content) -> None:
        """Shows a text, without a new layout of the screen."""
        if self._shown is None or content != self._shown or content.spans != self._shown.spans:
            self._shown = content
            self.update(content, layout=False)
