"""Images of a run's data, with its questions. A helper process reads them, one split at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted
from looptop.tui.ask.sources.base import ListedQuestion, filtered_entries
from looptop.tui.ask.sources.rows import PathRows, Rows, entry_rows
from looptop.tui.helper_client import HelperClient, HelperProcess

if TYPE_CHECKING:
    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.helpers.data_images import DataImagesReply, DataImagesRequest
    from looptop.engine.runs.folder import RunFolder
    from looptop.engine.vqa.images.entries import ImageEntry
    from looptop.engine.vqa.images.filtering import ImageView, Outcomes

DataImagesHelper: TypeAlias = "HelperProcess[DataImagesRequest, DataImagesReply]"
"""The process that reads the data, as the source uses it."""


FIRST_SECONDS = 2
"""The seconds of waiting from which on they are shown."""


class RunSource:
    """The images of a run's data: those of its validation split, and of other splits once a filter asks for them.

    Args:
        run: A VQA run.
    """

    first_filter = "split:validation"

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.title = f"data of {run.id}"
        self.rows: Rows = PathRows()
        self.problem = ""
        self._client: HelperClient[DataImagesRequest, DataImagesReply] = HelperClient(self._take, _make_process)
        self._on_change: Callable[[], None] = lambda: None
        self._entries: dict[tuple[str, Path], ImageEntry] = {}
        self._asked: dict[Path, ImageEntry] = {}
        self._requested: dict[str, int] = {}
        """The id of each requested split's request."""
        self._splits: tuple[str, ...] = ()
        """The splits that the data has; empty before that is known."""
        self._wanted: Filter[ImageView] | None = None
        self._reading_since: float | None = None
        """When it began to read; None if nothing is being read."""
        self._done_rows = 0

    @property
    def status(self) -> str:
        """What is being read, and for how long; empty if nothing is."""
        if self._reading_since is None:
            return ""
        done = f" {counted(self._done_rows, 'question')}," if self._done_rows else ""
        seconds = int(time.monotonic() - self._reading_since)
        return f"reading…{done} {seconds} s so far" if seconds >= FIRST_SECONDS else f"reading…{done.rstrip(',')}"

    def start(self, on_change: Callable[[], None]) -> None:
        """Begins to read the validation split."""
        self._on_change = on_change
        self._request("validation")

    def require(self, chosen: Filter[ImageView]) -> None:
        """Begins to read the splits that the filter may accept."""
        from looptop.engine.vqa.images.filtering import possible_splits

        self._wanted = chosen
        for split in possible_splits(chosen, self._splits):
            self._request(split)

    def search(
        self,
        chosen: Filter[ImageView],
        outcomes: Outcomes,
        stopped: Callable[[], bool],
        on_progress: Callable[[Rows], object],
    ) -> Rows:
        """The images that the filter accepts, of those that were read."""
        return entry_rows(filtered_entries(list(self._entries.values()), chosen, outcomes, stopped))

    def asked(self, path: Path) -> Sequence[ListedQuestion]:
        """The questions that the data asks about an image."""
        entry = self._asked.get(path)
        return entry.questions if entry is not None else ()

    def close(self) -> None:
        """Ends the process."""
        self._client.close()

    def _request(self, split: str) -> None:
        from looptop.engine.helpers.data_images import DataImagesRequest

        if split in self._requested or self.problem:
            return
        if self._reading_since is None:
            self._reading_since = time.monotonic()
        try:
            self._requested[split] = self._client.send(
                lambda number: DataImagesRequest(id=number, run=self.run.path, split=split)
            )
        except LooptopError as error:
            self._reading_since, self.problem = None, str(error)

    def _take(self, reply: DataImagesReply) -> None:
        split = next((name for name, number in self._requested.items() if number == reply.id), "")
        if reply.error is not None:
            self._reading_since, self.problem = None, reply.error
        elif split:
            for each in reply.images:
                entry = each.to_image_entry(split)
                self._entries[split, entry.image] = entry
                self._asked.setdefault(entry.image, entry)
            self._done_rows = reply.done_rows
            if reply.done:
                self.rows = entry_rows(list(self._entries.values()))
                if reply.id == max(self._requested.values()):
                    self._reading_since = None
            if reply.splits and not self._splits:
                self._splits = reply.splits
                if self._wanted is not None:  # The filter came before the splits were known.
                    self.require(self._wanted)
        self._on_change()


def _make_process() -> DataImagesHelper:
    from looptop.engine.helpers.data_images import DataImagesProcess

    return DataImagesProcess()
