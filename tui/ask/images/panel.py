"""The panel in which an image is chosen: a list or a gallery of the benchmark, a folder, or a run's data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from looptop.engine.errors import LooptopError
from looptop.tui.ask.images.list_texts import ListTexts
from looptop.tui.ask.images.search import ImageSearch
from looptop.tui.ask.images.thumbnail_list import ImageList
from looptop.tui.ask.sources import base as sources
from looptop.tui.ask.sources.base import ImageSource, ListedQuestion
from looptop.tui.ask.sources.easy_vqa import Benchmark
from looptop.tui.ask.sources.folder import FolderSource
from looptop.tui.ask.sources.rows import FolderRow, Row, Rows
from looptop.tui.background import work
from looptop.tui.text import safe
from looptop.tui.widgets.table import Table
from looptop.tui.widgets.thumbnails import Thumbnails

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.vqa.images.entries import ImageEntry
    from looptop.engine.vqa.images.filtering import ImageView
    from looptop.tui.ask.images.filter_field import FilterField
    from looptop.tui.ask.images.gallery import GalleryView


class ImagePanel(Vertical):
    """A list of images, or a gallery of them."""

    @dataclass
    class Moved(Message):
        """The cursor is on another image."""

        path: Path

    @dataclass
    class Chosen(Message):
        """An image was chosen."""

        path: Path

    def __init__(self, benchmark: Benchmark, images: Sequence[Path]) -> None:
        super().__init__(id="images-panel")
        self.benchmark = benchmark
        self._thumbnails = Thumbnails(self._thumbnails_ready)
        self._list = ImageList(self._thumbnails, id="images")
        self._gallery: GalleryView | None = None
        self._field: FilterField | None = None
        self._search = ImageSearch(self, self._show_rows)
        self.source: ImageSource = sources.of_benchmark(benchmark, images)
        """Where the images come from."""
        self._before: ImageSource = self.source
        """The source that is shown again after a folder."""
        self.folder = Path.cwd()
        """The folder that was shown last."""
        self.rows: Rows = self.source.rows
        """The rows that the filter accepts."""
        self._filter: Filter[ImageView] | None = None
        """The filter, if one is set."""
        self._problem = ""
        """What is wrong with the text of the filter; the filter before it stays."""
        self._hint = ""
        self._revealed: Path | None = None
        """An image that is about to get the cursor."""
        self.model = "bundled"
        """The model whose answers `right` and `wrong` are about."""
        self._list.show(self.rows, 0)
        self._describe()

    def compose(self) -> ComposeResult:
        """The list. The filter and the gallery are added when they are first used."""
        yield self._list

    def on_mount(self) -> None:
        """Shows files if the benchmark is not installed; counts the seconds while something is read."""
        self.set_interval(1.0, lambda: self._describe() if self.source.status else None)
        if not len(self.rows):
            self.turn()

    def on_unmount(self) -> None:
        """Ends what reads and decodes."""
        for source in (self.source, self._before):
            source.close()
        self._search.stop()
        self._thumbnails.close()

    def on_resize(self) -> None:
        """Fits the title."""
        self._describe()

    @property
    def view(self) -> ImageList | GalleryView:
        """The list or the gallery, whichever is shown."""
        return self._gallery if self._gallery is not None and self._gallery.display else self._list

    def take_focus(self) -> None:
        """Puts the focus on the images."""
        self.view.take_focus()

    # Sources.

    def open_source(self, source: ImageSource) -> None:
        """Begins to read another source, and shows its images."""
        if not isinstance(source, FolderSource) and self._before is not self.source:
            self._before.close()
        source.start(partial(self._source_changed, source))
        self._present(source)

    def show_entries(self, title: str, entries: Sequence[ImageEntry]) -> None:
        """Shows images that another screen gives; the first is selected."""
        self.open_source(sources.of_entries(title, entries))

    def show_folder(self, folder: Path, image: Path | None = None) -> None:
        """Shows a folder, with the cursor on one of its images."""
        source = FolderSource(folder)
        self._revealed = image
        self.open_source(source)
        if image is not None:
            self._reveal(source, image)

    def select(self, image: Path) -> None:
        """Puts the cursor on an image; if the list does not have it, its folder becomes the list."""
        if self.rows.index_of(image) is None:
            self.show_folder(image.parent, image)
        else:
            self._show_rows(self.rows, self.rows.index_of(image))

    def follow(self, image: Path) -> None:
        """Puts the cursor on an image if the list has it."""
        if (index := self.rows.index_of(image)) is not None:
            self._show_rows(self.rows, index)

    def turn(self) -> None:
        """Changes between the images of a folder and those of the source before."""
        if isinstance(self.source, FolderSource):
            self._present(self._before)
        else:
            self.show_folder(self.folder)

    def asked(self, path: Path) -> Sequence[ListedQuestion]:
        """The questions that the list, or the benchmark, asks about an image."""
        return self.source.asked(path) or self.benchmark.asked(path)

    def _present(self, source: ImageSource) -> None:
        if isinstance(self.source, FolderSource):
            self.source.close()
        else:
            self._before = self.source
        if isinstance(source, FolderSource):
            self.folder = source.root
        elif source is not self._before:
            self._before.close()
            self._before = source
        self.source = source
        self._list.has_folders = isinstance(source, FolderSource)
        self._show_rows(source.rows, 0)
        self._set_filter(source.first_filter)
        self.take_focus()

    def _source_changed(self, source: ImageSource) -> None:
        """Shows what was read meanwhile."""
        if source is not self.source or not self.is_attached:
            return
        if self._filter is None:
            self._show_rows(source.rows, None if self.view.cursor else 0)
        elif not isinstance(source, FolderSource):  # The search of a folder reads by itself.
            self._start_search(self._filter)
        self._describe()

    def _reveal(self, source: FolderSource, image: Path) -> None:
        """Opens the folders above an image and puts the cursor on it."""

        async def reveal() -> None:
            await source.reveal(image)
            self._revealed = None
            if source is self.source and self._filter is None:
                self._show_rows(source.rows, source.rows.index_of(image))

        self._revealed = image
        work(self, reveal(), "reveal", exclusive=True)

    @on(ImageList.Opened)
    def _toggle_folder(self) -> None:
        row = self.view.selected
        if isinstance(self.source, FolderSource) and row is not None:
            self.source.toggle(row.path)

    @on(ImageList.UpFolder)
    def _up_folder(self) -> None:
        if isinstance(self.source, FolderSource):
            self.show_folder(self.source.root.parent, self.source.root)

    # Gallery.

    async def toggle_gallery(self) -> None:
        """Changes between the list and the gallery; the cursor stays on its image."""
        from looptop.tui.ask.images.gallery import GalleryView

        if self._gallery is None:
            self._gallery = GalleryView(self._thumbnails)
            self._gallery.display = False
            await self.mount(self._gallery)
        if self._gallery.display:
            self.leave_gallery()
        else:
            self._change_view(self._gallery)
            self._search.forget_outcomes()
            self._show_outcomes()
        self.take_focus()

    def leave_gallery(self) -> None:
        """Shows the list again, if the gallery is shown."""
        if self.view is self._gallery:
            self._change_view(self._list)

    def _change_view(self, after: ImageList | GalleryView) -> None:
        before = self.view
        before.display, after.display = False, True
        self.screen.set_class(after is self._gallery, "-gallery")
        after.show(self.rows, before.cursor)
        self._post_moved(after.selected)

    def _show_outcomes(self) -> None:
        """Marks the images of the gallery by how the model answered."""

        async def show(gallery: GalleryView) -> None:
            gallery.show_outcomes(await self._search.outcomes(self.model))

        if self._gallery is not None and self._gallery.display:
            work(self, show(self._gallery), "outcomes", exclusive=True)

    def on_gallery_close_wanted(self) -> None:
        """Shows the list again."""
        self.leave_gallery()
        self.take_focus()

    def on_tiles_chosen(self) -> None:
        """Opens or closes a folder; takes an image."""
        if isinstance(self.view.selected, FolderRow):
            self._toggle_folder()
            return
        self.leave_gallery()
        self._list_chosen()

    # Filter.

    def open_filter(self) -> None:
        """Shows the filter and puts the focus there."""
        self._search.forget_outcomes()
        self._mount_field().focus()
        self._describe()

    @on(ImageList.Cleared)
    def close_filter(self) -> None:
        """Closes the filter; the image under the cursor keeps it."""
        row = self.view.selected
        self._set_filter("")
        if row is not None and isinstance(self.source, FolderSource):
            self._reveal(self.source, row.path)
        self.take_focus()

    def use_model(self, model: str) -> None:
        """Takes `right`, `wrong` and `confidence` from the answers of another model."""
        self.model = model
        self._show_outcomes()
        if self._filter is not None:
            self._start_search(self._filter)

    def _mount_field(self) -> FilterField:
        from looptop.tui.ask.images.filter_field import FilterField

        if self._field is None:
            self._field, hint = FilterField(), Static(id="image-hint")
            hint.display = False
            self.mount(self._field, hint, before=0)
        self._field.display = True
        return self._field

    def _set_filter(self, text: str) -> None:
        """Puts another filter into the field; without a text the field is closed."""
        if text or self._field is not None:
            field = self._mount_field()
            with field.prevent(Input.Changed):
                field.value = text
            field.display = bool(text)
        self._apply(text)

    @on(Input.Changed, "#image-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._apply(event.value, typed=True)

    @on(Input.Submitted, "#image-filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.take_focus()
        else:
            self.close_filter()

    def _apply(self, text: str, *, typed: bool = False) -> None:
        from looptop.engine.vqa.images.filtering import first_word, parse

        self._list.is_filtered = self._field is not None and self._field.display
        try:
            chosen = parse(text)
        except LooptopError as error:
            self._problem = str(error)
            self._show_hint(self._problem)
            return
        self._problem = ""
        if text.strip():
            self._filter = chosen
            self._start_search(chosen, first_word(chosen) if typed else "")
        else:
            self._filter = None
            self._search.stop()
            self.source.require(chosen)
            self._show_rows(self.source.rows)
        self._describe()

    def _start_search(self, chosen: Filter[ImageView], prefix: str = "") -> None:
        row = self.view.selected
        self._search.start(self.source, chosen, self.model, prefix, None if row is None else row.path)

    # What is shown.

    def _show_rows(self, rows: Rows, index: int | None = None) -> None:
        """Shows rows.

        Args:
            rows: The rows.
            index: The row that gets the cursor; None keeps the cursor on its image.
        """
        view, before = self.view, self.view.shown
        if index is None and before is not None:
            index = rows.index_of(before)
        self.rows = rows
        view.show(rows, index or 0)
        if view.shown != before and self._revealed is None:
            self._post_moved(view.selected)
        self._describe()

    def _post_moved(self, row: Row | None) -> None:
        if row is not None and not isinstance(row, FolderRow) and self.view is self._list:
            self.post_message(self.Moved(row.path))

    def _describe(self) -> None:
        """Shows what the list is of, how many images it has, and what is wrong."""
        is_open = self._field is not None and self._field.display
        texts = ListTexts(self.source, self.rows, self._filter, self._search, self.model, is_open)
        self.border_title = safe(texts.title(self.size.width - 6))
        self.border_subtitle = safe(texts.count())
        self._show_hint(self._problem or texts.hint())

    def _show_hint(self, text: str) -> None:
        if text == self._hint:
            return
        self._hint = text
        if text and self._field is None:
            self._mount_field().display = False
        if self._field is not None:
            hint = self.query_one("#image-hint", Static)
            hint.display = bool(text)
            hint.update(safe(text, "$text-muted"))

    def _thumbnails_ready(self, images: set[Path]) -> None:
        self.view.ready(images)

    # Messages of the list and of the filter.

    @on(Table.Moved)
    def _list_moved(self) -> None:
        self._post_moved(self._list.selected)

    @on(Table.Chosen)
    def _list_chosen(self) -> None:
        if self._list.path is not None:
            self.post_message(self.Chosen(self._list.path))

    def on_filter_field_moved(self, event: FilterField.Moved) -> None:
        """Moves the cursor while the filter is typed."""
        self.view.move(event.rows)

    def on_filter_field_closed(self) -> None:
        """Closes the filter."""
        self.close_filter()
