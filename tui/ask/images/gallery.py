"""A gallery: thumbnails side by side, each with a caption, and a line about the image under the cursor.

Only the tiles on the screen are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.strip import Strip

from looptop.engine.text import counted, visible
from looptop.tui.actions import bindings
from looptop.tui.ask.images.thumbnail_list import cut_middle
from looptop.tui.ask.sources.rows import FolderRow, PathRows, Row, Rows
from looptop.tui.text import safe
from looptop.tui.widgets.panel import Panel
from looptop.tui.widgets.thumbnails import Thumbnails, Wanted
from looptop.tui.widgets.tiles import Tiles

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from looptop.engine.vqa.images.filtering import Outcomes

WIDTHS = (12, 15, 18, 24, 36)
"""The least widths of a thumbnail, in cells; its height is half of its width, which makes it a square."""

MAX_MADE_ROWS = 1000

MARK_STYLES = {"✓": "good", "✗": "bad"}


class Gallery(Tiles):
    """Thumbnails of the same rows as the list's, one of them under the cursor."""

    DEFAULT_CSS = """
    Gallery > .tiles--cursor {
        background: $primary 30%;
        color: $foreground;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("gallery")]

    class CloseWanted(Message):
        """The gallery is to be closed."""

    def __init__(self, thumbnails: Thumbnails, mark: Callable[[Path], str], *, id: str) -> None:  # noqa: A002
        """`mark`: returns ✓ or ✗ for an image whose question was answered rightly or wrongly, else nothing."""
        super().__init__(thumbnails, id=id)
        self._mark = mark
        self._rows: Rows = PathRows()
        self.shown: Path | None = None
        """The image or folder that was under the cursor when it was drawn."""
        self._made: dict[int, Row] = {}
        """Rows that were drawn, by their index: each is drawn in many lines."""
        self._chosen_size: int | None = None
        """The index in `WIDTHS` that the person has chosen; None for the largest with which everything fits, if any."""
        self._size_index, self._width = 0, WIDTHS[0]

    def show(self, rows: Rows, cursor: int) -> None:
        """Replaces the rows."""
        self._rows, self._made, self.count = rows, {}, len(rows)
        self.set_reactive(Gallery.cursor, self.validate_cursor(cursor))
        self._keep_shown()
        self.rearrange()

    def _keep_shown(self) -> None:
        row = self.selected
        self.shown = None if row is None else row.path

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self._rows.row(self.cursor) if self.cursor < len(self._rows) else None

    @property
    def problem(self) -> str:
        """What is wrong with the image under the cursor; empty if nothing is, or if it is not known yet."""
        row = self.selected
        known = None if row is None else self.thumbnails.get(self._wanted(row.path))
        return known.problem if known is not None else ""

    def ready(self, images: set[Path]) -> None:
        """Draws the tiles of images whose thumbnails are ready."""
        self.refresh_rows_of(index for index in self.visible_tiles if self._row(index).path in images)

    def _row(self, index: int) -> Row:
        if index not in self._made:
            if len(self._made) >= MAX_MADE_ROWS:
                self._made.clear()
            self._made[index] = self._rows.row(index)
        return self._made[index]

    # Moving.

    def watch_cursor(self, before: int, now: int) -> None:
        """Scrolls to the tile, and posts `Moved`."""
        self._keep_shown()
        super().watch_cursor(before, now)

    def action_page(self, pages: int) -> None:
        """Moves the cursor by pages."""
        self.cursor += pages * max(1, self.size.height // self.row_height) * self.columns

    def action_jump(self, to: str) -> None:
        """Moves the cursor to the `first` or `last` tile."""
        self.cursor = self.count - 1 if to == "last" else 0

    def action_close(self) -> None:
        """Closes the gallery."""
        self.post_message(self.CloseWanted())

    def action_resize(self, by: int) -> None:
        """Makes thumbnails larger or smaller."""
        self._chosen_size = max(0, min(self._size_index + by, len(WIDTHS) - 1))
        self.rearrange()

    # Layout.

    def fit(self) -> None:
        """Fits as many columns as there is room for, as wide as they can be: bar of the cursor, thumbnail, gap."""
        for index in reversed(range(len(WIDTHS))) if self._chosen_size is None else (self._chosen_size,):
            self._fit_width(index)
            if self.height_needed <= self.size.height:
                break

    def _fit_width(self, size_index: int) -> None:
        room = self.size.width
        least = min(WIDTHS[size_index], max(room - 2, 1))
        self._size_index = size_index
        self.columns = max(1, room // (least + 2))
        self._width = max(least, room // self.columns - 2)
        self.tile_height = min(max(1, self._width // 2), max(1, self.size.height - 1)) + 1  # with the caption

    @property
    def _height(self) -> int:
        """The lines of a thumbnail."""
        return self.tile_height - 1

    def wanted(self, index: int) -> Wanted | None:
        """The thumbnail of an image; a folder has none."""
        row = self._row(index)
        return None if isinstance(row, FolderRow) else self._wanted(row.path)

    def _wanted(self, path: Path) -> Wanted:
        return Wanted(path, self._width, self._height)

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """One line of the tiles beside one another."""
        width, base = self.size.width, self.base_style
        columns = self.columns
        tile_row, line = divmod(y + self.scroll_offset.y, self.row_height)
        segments: list[Segment] = []
        first = tile_row * columns
        for index in range(first, min(first + columns, len(self._rows))):
            is_cursor = index == self.cursor
            style = self.get_component_rich_style("tiles--cursor") if is_cursor and self.has_focus else base
            segments.append(Segment("▌" if is_cursor else " ", base))
            segments += self._tile_line(self._row(index), line, style, base)
            end = (index - first + 1) * width // columns
            segments.append(Segment(" " * (end - (index - first) * width // columns - self._width - 1), base))
        return Strip(segments).adjust_cell_length(width, base)

    def _tile_line(self, row: Row, line: int, style: Style, base: Style) -> list[Segment]:
        width, middle = self._width, self._height // 2
        if line == self._height:
            return self._caption(row, style)
        if isinstance(row, FolderRow):
            texts = [f"{'▾' if row.is_open else '▸'} folder", *row.note.split(", ")]
            text = texts[line - middle] if middle <= line < middle + len(texts) else ""
            return [Segment(_centred(text, width), base + self.style_of("muted"))]
        thumbnail = self.thumbnails.get(self._wanted(row.path))
        if thumbnail is None or thumbnail.problem:
            text = ("·" if thumbnail is None else "✗") if line == middle else ""
            return [Segment(_centred(text, width), base + self.style_of("muted" if thumbnail is None else "bad"))]
        return thumbnail.line_in(line, width, self._height, base)

    def _caption(self, row: Row, style: Style) -> list[Segment]:
        mark = "" if isinstance(row, FolderRow) else self._mark(row.path)
        if not mark:
            return [Segment(_centred(row.path.name, self._width), style)]
        before, _, after = _centred(f"{mark} {row.path.name}", self._width).partition(mark)
        marked = style + self.style_of(MARK_STYLES.get(mark, "muted"))
        return [Segment(before, style), Segment(mark, marked), Segment(after, style)]


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


def _centred(text: str, width: int) -> str:
    text = visible(text)
    length = cell_len(text)
    if length >= width:
        return cut_middle(text, width)
    left = (width - length) // 2
    return f"{' ' * left}{text}{' ' * (width - length - left)}"
