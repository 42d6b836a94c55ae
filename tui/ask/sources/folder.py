"""Images in a folder: a tree whose folders open in place, and a search through all folders below."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from looptop.tui.ask.sources.base import STOP_CHECK_IMAGES, ListedQuestion
from looptop.tui.ask.sources.rows import Rows, SearchRows
from looptop.tui.ask.sources.tree import FolderTree, Node
from looptop.tui.background import for_threads, in_thread

if TYPE_CHECKING:
    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.vqa.images.filtering import ImageView, Outcomes
    from looptop.engine.vqa.images.folders import FolderImages, Listing

FIRST_PROGRESS_SECONDS = 0.2
"""Seconds after which a search shows its first results; each further time takes twice as long."""


class FolderSource:
    """The folders and images in a folder.

    Args:
        root: The folder.
    """

    first_filter = ""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = FolderTree(root)
        self._index = _FolderIndex(root)
        self._on_change: Callable[[], None] = lambda: None
        self._closed = threading.Event()
        self._reading: dict[Path, asyncio.Future[Listing]] = {}

    @property
    def title(self) -> str:
        """The folder's path."""
        try:
            return f"~/{self.root.relative_to(Path.home())}"
        except (ValueError, RuntimeError):
            return str(self.root)

    @property
    def rows(self) -> Rows:
        """The tree."""
        return self.tree

    @property
    def status(self) -> str:
        """Whether the folder itself is still being read."""
        return "reading…" if self.root in self._reading else ""

    @property
    def problem(self) -> str:
        """Why the folder cannot be read, or that it holds nothing to show."""
        root = self.tree.root
        if root.problem:
            return f"this folder cannot be read: {root.problem}"
        return "no images or folders in here" if root.is_whole and not root.folders and not root.images else ""

    def start(self, on_change: Callable[[], None]) -> None:
        """Begins to read the folder."""
        self._on_change = on_change
        self._read(self.tree.root)

    def require(self, chosen: Filter[ImageView]) -> None:
        """The search reads all folders by itself."""

    def close(self) -> None:
        """Ends reading."""
        self._closed.set()

    def toggle(self, path: Path) -> None:
        """Opens a folder of the tree, or closes it."""
        node = self.tree.nodes.get(path)
        if node is None:
            return
        node.is_open = not node.is_open
        if node.is_open and not node.is_whole:
            self._read(node)
        self.tree.arrange()
        self._on_change()

    async def reveal(self, path: Path) -> None:
        """Opens the folders above an image, as far as they exist, so that it has a row."""
        if not path.is_relative_to(self.root):
            return
        node: Node | None = self.tree.root
        for name in ("", *path.parent.relative_to(self.root).parts):
            node = next((each for each in node.folders if each.path.name == name), None) if node and name else node
            if node is None:
                break
            node.is_open = True
            if not node.is_whole:
                await asyncio.wait([self._read(node)])
        self.tree.arrange()
        self._on_change()

    def asked(self, path: Path) -> Sequence[ListedQuestion]:
        """Nothing is asked about images of a folder."""
        return ()

    def search(
        self,
        chosen: Filter[ImageView],
        outcomes: Outcomes,
        stopped: Callable[[], bool],
        on_progress: Callable[[Rows], object],
    ) -> Rows:
        """The images in this folder and in all folders below it that the filter accepts."""
        from looptop.engine.vqa.images.filtering import ImageView

        results: list[tuple[str, str]] = []
        wait, shown = FIRST_PROGRESS_SECONDS, time.monotonic()
        for part in self._index.parts(stopped):
            for count, name in enumerate(part.images):
                if count % STOP_CHECK_IMAGES == 0 and stopped():
                    return SearchRows(self.root, results)
                if chosen.holds(ImageView((name, part.folder), name, part.folder)):
                    results.append((part.folder, name))
            if time.monotonic() - shown > wait:
                on_progress(SearchRows(self.root, list(results)))
                wait, shown = 2 * wait, time.monotonic()
        return SearchRows(self.root, results)

    @property
    def is_cut(self) -> bool:
        """Whether a search does not go through all images, since they are too many."""
        return self._index.is_cut

    @property
    def searched(self) -> int:
        """The number of images that a search goes through, as far as they were read."""
        return self._index.count

    def _read(self, node: Node) -> asyncio.Future[Listing]:
        """Reads a folder in a thread, and shows it as it is read."""
        from looptop.engine.vqa.images.folders import read_folder

        if (running := self._reading.get(node.path)) is not None:
            return running
        show = for_threads(lambda listing: self._fill(node, listing, False))
        future = in_thread(lambda: read_folder(node.path, show, self._closed.is_set))
        self._reading[node.path] = future
        future.add_done_callback(lambda done: self._finish(node, done))
        return future

    def _finish(self, node: Node, done: asyncio.Future[Listing]) -> None:
        self._reading.pop(node.path, None)
        if done.exception() is None:  # It stops, by an exception, once this source is closed.
            self._fill(node, done.result(), True)

    def _fill(self, node: Node, listing: Listing, whole: bool) -> None:
        if not self._closed.is_set() and not node.is_whole:
            node.fill(listing, whole=whole)
            self.tree.arrange()
            self._on_change()


class _FolderIndex:
    """The images of all folders below a folder. They are read once, as far as a search has come."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._parts: list[FolderImages] = []
        self._walk: Iterator[FolderImages] | None = None
        self.count = 0
        self.is_cut = False

    def parts(self, stopped: Callable[[], bool]) -> Iterator[FolderImages]:
        """Each folder's images. Ends early if the search is stopped."""
        position = 0
        while not stopped():
            with self._lock:
                part = self._part(position)
            if part is None:
                return
            yield part
            position += 1

    def _part(self, position: int) -> FolderImages | None:
        from looptop.engine.vqa.images.folders import MAX_SEARCHED, images_below

        if position < len(self._parts):
            return self._parts[position]
        if self._walk is None:
            self._walk = images_below(self._root)
        if self.count >= MAX_SEARCHED:
            self.is_cut = next(self._walk, None) is not None or self.is_cut
            return None
        part = next(self._walk, None)
        if part is not None:
            self._parts.append(part)
            self.count += len(part.images)
        return part
