"""The gallery with a line below it about the image under the cursor."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content

from looptop.engine.text import counted
from looptop.tui.ask.gallery import Gallery
from looptop.tui.ask.sources.rows import PathRows, Row, Rows
from looptop.tui.text import safe
from looptop.tui.widgets.panel import Panel
from looptop.tui.widgets.thumbnails import Thumbnails

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from looptop.engine.vqa.images.filtering import Outcomes


class GalleryView(Vertical):
    """The gallery and its line.

    Args:
        thumbnails: Makes the thumbnails.
    """

    def __init__(self, thumbnails: Thumbnails) -> None:
        super().__init__(id="gallery-view")
        self._gallery = Gallery(thumbnails, self._mark, id="gallery")
        self._line = Panel(id="gallery-line")
        self._rows: Rows = PathRows()
        self._asked: Counter[Path] = Counter()
        self._right: Counter[Path] = Counter()

    def compose(self) -> ComposeResult:
        """The gallery and the line."""
        yield self._gallery
        yield self._line

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self._gallery.selected

    @property
    def shown(self) -> Path | None:
        """The image or folder that was under the cursor when it was drawn."""
        return self._gallery.shown

    @property
    def cursor(self) -> int:
        """The index of the row under the cursor."""
        return self._gallery.cursor

    def show(self, rows: Rows, cursor: int) -> None:
        """Replaces the rows."""
        self._rows = rows
        self._gallery.show(rows, cursor)
        self._describe()

    def show_outcomes(self, outcomes: Outcomes) -> None:
        """Marks the images by how a model answered the questions about them."""
        self._asked = Counter(path for path, _ in outcomes)
        self._right = Counter(path for (path, _), outcome in outcomes.items() if outcome.right)
        self._gallery.refresh()
        self._describe()

    def ready(self, images: set[Path]) -> None:
        """Draws images whose thumbnails are ready."""
        self._gallery.ready(images)
        self._describe()

    def take_focus(self) -> None:
        """Puts the focus on the gallery."""
        self._gallery.focus()

    def move(self, rows: int) -> None:
        """Moves the cursor by lines."""
        self._gallery.action_line(rows)

    @on(Gallery.Moved)
    def _moved(self) -> None:
        self._describe()

    def _mark(self, path: Path) -> str:
        """✓ if the model answered all questions about an image rightly, ✗ if not, nothing if it was not asked."""
        if path not in self._asked:
            return ""
        return "✓" if self._right[path] == self._asked[path] else "✗"

    def _describe(self) -> None:
        row = self.selected
        if row is None:
            self._line.show(Content(""))
            return
        position = safe(f"{self.cursor + 1:,} of {len(self._rows):,}", "$text-muted")
        parts = [safe(row.path.name, "bold"), *([safe(row.note, "$text-muted")] if row.note else []), position]
        if problem := self._gallery.problem:
            parts = [safe(f"✗ {problem}", "$text-error"), position]
        elif asked := self._asked.get(row.path):
            style = "$text-success" if self._right[row.path] == asked else "$text-error"
            parts.append(
                safe(
                    f"{self._mark(row.path)} {self._right[row.path]} of {counted(asked, 'question')} answered right",
                    style,
                )
            )
        self._line.show(Content.styled(" · ", "$text-muted").join(parts))
