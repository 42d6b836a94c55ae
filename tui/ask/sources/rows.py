"""The rows of a list of images. Rows are made when they are drawn, so that a list of a million images costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from looptop.engine.vqa.images.entries import ImageEntry


class ImageRow(NamedTuple):
    """An image."""

    path: Path
    note: str = ""
    """A short description: the answers, or the folder."""
    depth: int = 0
    """The number of folders above it that are shown."""


class FolderRow(NamedTuple):
    """A folder, which opens in place."""

    path: Path
    note: str
    depth: int
    is_open: bool


Row: TypeAlias = ImageRow | FolderRow


class Rows(Protocol):
    """What a list or a gallery shows."""

    @property
    def images(self) -> int:
        """The number of images."""
        ...

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def row(self, index: int) -> Row:
        """One row."""
        ...

    def index_of(self, path: Path) -> int | None:
        """The row of an image or a folder; None if it has none."""
        ...

    def index_of_prefix(self, prefix: str) -> int | None:
        """The first row whose name begins with a text in lower case; None if there is none."""
        ...


class PathRows:
    """Images in a given order.

    Args:
        paths: The images.
        note: Makes an image's note.
    """

    def __init__(self, paths: Sequence[Path] = (), note: Callable[[Path], str] = lambda _path: "") -> None:
        self._paths, self._note = paths, note

    @property
    def images(self) -> int:
        """The number of images."""
        return len(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def row(self, index: int) -> Row:
        """One row."""
        path = self._paths[index]
        return ImageRow(path, self._note(path))

    def only(self, paths: Iterable[Path]) -> PathRows:
        """Rows of some of the images."""
        return PathRows(list(paths), self._note)

    def index_of(self, path: Path) -> int | None:
        """The row of an image."""
        return self._positions.get(path)

    def index_of_prefix(self, prefix: str) -> int | None:
        """The first image whose name begins with a text in lower case."""
        names = enumerate(path.name for path in self._paths)
        return next((position for position, name in names if name.lower().startswith(prefix)), None)

    @cached_property
    def _positions(self) -> dict[Path, int]:
        return {path: position for position, path in reversed(list(enumerate(self._paths)))}


def entry_rows(entries: Sequence[ImageEntry]) -> PathRows:
    """The rows of images with questions; the note of each is its answers."""
    from looptop.engine.vqa.images.filtering import answers_of

    known = {entry.image: entry for entry in entries}
    return PathRows(list(known), lambda path: ", ".join(answers_of(known[path])))


class SearchRows:
    """Images from several folders, each with its folder as the note.

    Args:
        root: The folder that was searched.
        results: The folder of each image, from the root, and its name.
    """

    def __init__(self, root: Path, results: Sequence[tuple[str, str]]) -> None:
        self._root, self._results = root, results

    @property
    def images(self) -> int:
        """The number of images."""
        return len(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def row(self, index: int) -> Row:
        """One row."""
        folder, name = self._results[index]
        return ImageRow(self._root / folder / name, f"in {folder}" if folder else "")

    def index_of(self, path: Path) -> int | None:
        """The row of an image."""
        if not path.is_relative_to(self._root):
            return None
        folder = str(path.parent.relative_to(self._root))
        wanted = ("" if folder == "." else folder, path.name)
        return next((position for position, result in enumerate(self._results) if result == wanted), None)

    def index_of_prefix(self, prefix: str) -> int | None:
        """The first image whose name begins with a text in lower case."""
        names = enumerate(name for _, name in self._results)
        return next((position for position, name in names if name.lower().startswith(prefix)), None)
