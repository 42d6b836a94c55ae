"""Where the images of the list come from. Each kind of source gives rows, and searches them by a filter.

Sources are used in the app's thread, except for `search`, which may take long and runs in a thread of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from looptop.tui.ask.sources.easy_vqa import Benchmark, BenchmarkQuestion
from looptop.tui.ask.sources.rows import PathRows, Rows, entry_rows

if TYPE_CHECKING:
    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry
    from looptop.engine.vqa.images.filtering import ImageView, Outcomes

ListedQuestion: TypeAlias = "AskedQuestion | BenchmarkQuestion"
"""A question that is asked about an image, with its answer."""

STOP_CHECK_IMAGES = 500
"""The number of images between two looks at whether a search is still wanted."""


class ImageSource(Protocol):
    """A list of images."""

    @property
    def title(self) -> str:
        """What the list is of."""
        ...

    @property
    def rows(self) -> Rows:
        """All rows, as far as they were read."""
        ...

    @property
    def status(self) -> str:
        """What is being read; empty if nothing is."""
        ...

    @property
    def problem(self) -> str:
        """Why it cannot be read, as a sentence; empty if it can."""
        ...

    @property
    def first_filter(self) -> str:
        """The filter with which it is shown first."""
        ...

    def start(self, on_change: Callable[[], None]) -> None:
        """Begins to read; `on_change` is called whenever there is more."""

    def require(self, chosen: Filter[ImageView]) -> None:
        """Begins to read what a filter may accept and was not read yet."""

    def search(
        self,
        chosen: Filter[ImageView],
        outcomes: Outcomes,
        stopped: Callable[[], bool],
        on_progress: Callable[[Rows], object],
    ) -> Rows:
        """The rows that a filter accepts. Runs in a thread.

        Args:
            chosen: The filter.
            outcomes: How the model answered.
            stopped: Returns whether the result is no longer wanted; then any result may be returned.
            on_progress: Called with the rows so far, while the search takes long.
        """
        ...

    def asked(self, path: Path) -> Sequence[ListedQuestion]:
        """The questions that are asked about an image."""
        ...

    def close(self) -> None:
        """Ends reading."""


class ListedSource:
    """Images that are all known from the beginning.

    Args:
        title: What they are.
        rows: Their rows.
        entries: Returns the images with their questions; called in a thread, when the first filter is used.
        asked: Returns the questions about an image.
        problem: Why there are none, as a sentence.
    """

    status = first_filter = ""

    def __init__(
        self,
        title: str,
        rows: PathRows,
        entries: Callable[[], Sequence[ImageEntry]],
        asked: Callable[[Path], Sequence[ListedQuestion]] = lambda _path: (),
        problem: str = "",
    ) -> None:
        self.title, self.rows, self.problem, self.asked = title, rows, problem, asked
        self._entries = entries

    def start(self, on_change: Callable[[], None]) -> None:
        """Nothing is to be read."""

    def require(self, chosen: Filter[ImageView]) -> None:
        """Nothing is to be read."""

    def search(
        self,
        chosen: Filter[ImageView],
        outcomes: Outcomes,
        stopped: Callable[[], bool],
        on_progress: Callable[[Rows], object],
    ) -> Rows:
        """The images that the filter accepts."""
        return self.rows.only(each.image for each in filtered_entries(self._entries(), chosen, outcomes, stopped))

    def close(self) -> None:
        """Nothing is being read."""


def of_entries(title: str, entries: Sequence[ImageEntry]) -> ListedSource:
    """Images that another screen opens on Ask."""
    by_path = {entry.image: entry for entry in entries}
    return ListedSource(
        title, entry_rows(entries), lambda: entries, lambda path: by_path[path].questions if path in by_path else ()
    )


def of_benchmark(benchmark: Benchmark, images: Sequence[Path]) -> ListedSource:
    """The benchmark's test images. Their questions are read when they are first needed."""

    @functools.cache
    def entries() -> Sequence[ImageEntry]:
        benchmark.load()
        return [benchmark.entry(path) for path in images]

    problem = "" if images else "the package easy_vqa is not installed"
    rows = PathRows(images, benchmark.note)
    return ListedSource("easy-VQA test images", rows, entries, benchmark.asked, problem)


def recent(paths: Sequence[Path]) -> ListedSource:
    """Images that a question was asked about lately, the latest first; they may no longer exist."""

    def entries() -> Sequence[ImageEntry]:
        from looptop.engine.vqa.images.entries import ImageEntry

        return [ImageEntry(path) for path in paths]

    rows = PathRows(paths, lambda path: f"in {path.parent}")
    return ListedSource(
        "Recent images", rows, entries, problem="" if paths else "you have not asked about any image yet"
    )


def filtered_entries(
    entries: Sequence[ImageEntry], chosen: Filter[ImageView], outcomes: Outcomes, stopped: Callable[[], bool]
) -> list[ImageEntry]:
    """The images that a filter accepts; only some of them if the search is stopped."""
    from looptop.engine.vqa.images.filtering import accepts

    kept = []
    for count, entry in enumerate(entries):
        if count % STOP_CHECK_IMAGES == 0 and stopped():
            break
        if accepts(chosen, entry, outcomes):
            kept.append(entry)
    return kept
