"""The panel in which an image is chosen: from the benchmark or from files, each with a filter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from looptop.tui.ask.easy_vqa import Benchmark, BenchmarkQuestion
from looptop.tui.ask.image_list import ImageList
from looptop.tui.text import safe
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.table import Table

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from looptop.engine.vqa.image_sources import ImageEntry
    from looptop.tui.ask.file_tree import FileTree


BENCHMARK = "easy-VQA test images"


class ImagePanel(Vertical):
    """A list of the benchmark's images, or a tree of files."""

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
        self._list = ImageList(id="images")
        self._tree: FileTree | None = None
        self._benchmark = benchmark
        self._title = BENCHMARK
        self._entries: dict[Path, ImageEntry] | None = None
        """The images that another screen gave; None while the benchmark is the list."""
        self.border_title = BENCHMARK
        self._list.show(images, benchmark.note)

    def compose(self) -> ComposeResult:
        """The list. The tree and the filter are added when they are first used."""
        yield self._list

    def on_mount(self) -> None:
        """Shows files if the benchmark is not installed."""
        if self._list.path is None:
            self.turn()

    def take_focus(self) -> None:
        """Puts the focus on the list or the tree."""
        (self._tree if self._tree is not None and self._tree.display else self._list).focus()

    def show_entries(self, title: str, entries: Iterable[ImageEntry]) -> None:
        """Replaces the list by these images; the first is chosen."""
        self._entries = {entry.image: entry for entry in entries}
        self._title = title
        self._list.show(list(self._entries), self._note)
        if self._tree is not None and self._tree.display:
            self._tree.display, self._list.display = False, True
        self.border_title = safe(title)
        self.take_focus()
        if self._list.path is not None:
            self.post_message(self.Moved(self._list.path))

    def asked(self, path: Path) -> Sequence[BenchmarkQuestion]:
        """The questions that the list, or the benchmark, asks about an image."""
        entry = self._entries.get(path) if self._entries else None
        if entry is None:
            return self._benchmark.asked(path)
        return [BenchmarkQuestion(each.question, each.answer) for each in entry.questions]

    def _note(self, path: Path) -> str:
        answers = dict.fromkeys(each.answer for each in self.asked(path) if each.answer not in ("yes", "no"))
        return ", ".join(answers)

    def turn(self) -> None:
        """Changes between the benchmark's images and files."""
        if self._tree is None:
            from looptop.tui.ask.file_tree import FileTree

            self._tree = FileTree(Path.cwd())
            self.mount(self._tree)
            self._tree.display = False
        files = not self._tree.display
        self._tree.display, self._list.display = files, not files
        self.border_title = "Files" if files else safe(self._title)
        self._apply(self.query_one("#image-filter", Field).value if self.query("#image-filter") else "")
        self.take_focus()

    def open_filter(self) -> None:
        """Shows the filter and puts the focus there."""
        if not self.query("#image-filter"):
            self.mount(Field(placeholder="filter by name", id="image-filter"), before=0)
        self.query_one("#image-filter").focus()

    @on(Input.Changed, "#image-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._apply(event.value)

    @on(Input.Submitted, "#image-filter")
    def _filter_done(self) -> None:
        self.take_focus()

    def _apply(self, words: str) -> None:
        if self._tree is not None and self._tree.display:
            self._tree.filter(words)
        else:
            self._list.filter(words)

    @on(Table.Moved)
    def _list_moved(self) -> None:
        if self._list.path is not None:
            self.post_message(self.Moved(self._list.path))

    @on(Table.Chosen)
    def _list_chosen(self) -> None:
        if self._list.path is not None:
            self.post_message(self.Chosen(self._list.path))

    def on_file_tree_moved(self, event: FileTree.Moved) -> None:
        """The cursor is on an image among the files."""
        self.post_message(self.Moved(event.path))

    def on_file_tree_chosen(self, event: FileTree.Chosen) -> None:
        """An image among the files was chosen."""
        self.post_message(self.Chosen(event.path))
