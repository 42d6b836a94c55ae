"""A list of images with small thumbnails. Only the rows on the screen are made, and only their files are opened."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.message import Message
from textual.reactive import reactive

from looptop.engine.text import visible
from looptop.tui.actions import bindings
from looptop.tui.ask.sources.rows import FolderRow, PathRows, Row, Rows
from looptop.tui.widgets.table import Table, fitted
from looptop.tui.widgets.thumbnails import Thumbnails, Wanted

THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT = 4, 2


class ImageList(Table):
    """Images and folders, two lines each: a thumbnail of 4x4 pixels, the name, and a note below the name."""

    ROW_HEIGHT = 2
    HEADER_HEIGHT = 0
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("images", "tree")]

    class Opened(Message):
        """The folder under the cursor is to be opened, or closed if it is open."""

    class UpFolder(Message):
        """The folder above is to be shown."""

    class Cleared(Message):
        """The filter is to be closed."""

    has_folders: reactive[bool] = reactive(False, repaint=False, bindings=True)
    """Whether the rows are those of a folder."""
    is_filtered: reactive[bool] = reactive(False, repaint=False, bindings=True)
    """Whether a filter is open."""

    def __init__(self, thumbnails: Thumbnails, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._thumbnails = thumbnails
        self._rows: Rows = PathRows()
        self.shown: Path | None = None
        """The image or folder that was under the cursor when it was drawn: rows of a folder change while it is read."""

    def show(self, rows: Rows, cursor: int) -> None:
        """Replaces the rows."""
        self._rows = rows
        self.fill(len(rows), lambda _row: None, cursor=cursor)
        self._keep_shown()
        self._request()

    def _keep_shown(self) -> None:
        row = self.selected
        self.shown = None if row is None else row.path

    def watch_cursor(self, before: int, now: int) -> None:
        """Scrolls to the row, and posts `Moved`."""
        self._keep_shown()
        super().watch_cursor(before, now)

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self._rows.row(self.cursor) if self.cursor < len(self._rows) else None

    @property
    def path(self) -> Path | None:
        """The image under the cursor."""
        row = self.selected
        return None if row is None or isinstance(row, FolderRow) else row.path

    def take_focus(self) -> None:
        """Puts the focus on the list."""
        self.focus()

    def move(self, rows: int) -> None:
        """Moves the cursor."""
        self.action_move(rows)

    def ready(self, images: set[Path]) -> None:
        """Draws the rows of images whose thumbnails are ready."""
        for index in self._visible():
            if self._rows.row(index).path in images:
                self.refresh_row(index)

    # Keys and mouse.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys for folders work among folders, and esc clears a filter if there is one."""
        if action in ("open_folder", "close_folder", "up_folder"):
            return self.has_folders
        return self.is_filtered if action == "clear_filter" else super().check_action(action, parameters)

    def action_choose(self) -> None:
        """Chooses the image; opens or closes a folder."""
        if isinstance(self.selected, FolderRow):
            self.post_message(self.Opened())
        else:
            super().action_choose()

    def action_open_folder(self) -> None:
        """Opens the folder under the cursor."""
        row = self.selected
        if isinstance(row, FolderRow) and not row.is_open:
            self.post_message(self.Opened())

    def action_close_folder(self) -> None:
        """Closes the folder under the cursor, or goes to the folder that the row is in."""
        row = self.selected
        if isinstance(row, FolderRow) and row.is_open:
            self.post_message(self.Opened())
        elif row is not None and (above := self._rows.index_of(row.path.parent)) is not None:
            self.cursor = above

    def action_up_folder(self) -> None:
        """Shows the folder above."""
        self.post_message(self.UpFolder())

    def action_clear_filter(self) -> None:
        """Closes the filter."""
        self.post_message(self.Cleared())

    def on_click(self, event: Click) -> None:
        """Opens or closes the clicked folder; for images, as in every table."""
        index = (event.y + self.scroll_offset.y) // self.ROW_HEIGHT
        if index < len(self._rows) and isinstance(self._rows.row(index), FolderRow):
            event.prevent_default()
            self.cursor = index
            self.post_message(self.Opened())

    # Drawing.

    def row_line(self, row: int, line: int, base: Style) -> list[Segment]:
        """One line of a row: half of the thumbnail, and the name or the note."""
        shown = self._rows.row(row)
        indent = " " * min(shown.depth, max(self.size.width - 16, 0))
        mark = Segment(("▌" if row == self.cursor else " ") + indent, base)
        muted = base + self.style_of("muted")
        if isinstance(shown, FolderRow):
            room = max(self.size.width - len(indent) - 4, 1)
            name = f"{'▾' if shown.is_open else '▸'} {fitted(shown.path.name, room)} "
            return [mark, Segment(name, base) if line == 0 else Segment(f"  {fitted(shown.note, room)} ", muted)]
        room = max(self.size.width - len(indent) - THUMBNAIL_WIDTH - 3, 1)
        first, second = name_lines(shown.path.name, shown.note, room)
        text = f" {(first, second)[line]} "
        is_note = line == 1 and bool(shown.note)
        return [mark, *self._thumbnail_line(shown.path, line, base), Segment(text, muted if is_note else base)]

    def _thumbnail_line(self, path: Path, line: int, base: Style) -> list[Segment]:
        thumbnail = self._thumbnails.get(_wanted(path))
        if thumbnail is None:
            return [Segment(" " * THUMBNAIL_WIDTH, base)]
        if thumbnail.problem:
            return [Segment(" ✗  " if line == 0 else " " * THUMBNAIL_WIDTH, base + self.style_of("bad"))]
        lines = thumbnail.lines
        strip = lines[line] if line < len(lines) else None
        if strip is None:
            return [Segment(" " * THUMBNAIL_WIDTH, base)]
        return [*strip, Segment(" " * (THUMBNAIL_WIDTH - strip.cell_length), base)]

    # Which thumbnails are visible.

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Asks for the thumbnails of the rows that came into sight."""
        super().watch_scroll_y(old_value, new_value)
        self._request()

    def on_resize(self, event: Resize) -> None:
        """Asks for the thumbnails of the rows that came into sight."""
        self._request()

    def _request(self) -> None:
        if self.display and self.size.height:
            rows = [self._rows.row(index) for index in self._visible()]
            self._thumbnails.request([_wanted(row.path) for row in rows if not isinstance(row, FolderRow)])

    def _visible(self) -> range:
        first = self.scroll_offset.y // self.ROW_HEIGHT
        return range(first, min(len(self._rows), first + self.size.height // self.ROW_HEIGHT + 2))


def _wanted(path: Path) -> Wanted:
    return Wanted(path, THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT, fills=True)


def name_lines(name: str, note: str, room: int) -> tuple[str, str]:
    """An image's name and its note, in two lines of `room` cells. Without a note, a long name takes both lines."""
    lines = [""] if note else chop_cells(visible(name), room)
    if len(lines) == 2:
        return fitted(lines[0], room), fitted(lines[1], room)
    return cut_middle(name, room), fitted(note, room)


def cut_middle(name: str, room: int) -> str:
    """A file's name in exactly `room` cells: names of many files begin alike, so both of its ends are kept."""
    name = visible(name)
    if cell_len(name) <= room or room < 8 or not name.isascii():
        return fitted(name, room)
    return f"{name[: (room - 1) // 3]}…{name[len(name) - (room - 1 - (room - 1) // 3) :]}"
