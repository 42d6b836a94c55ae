"""Searches a source's images by a filter, in a thread. A newer search replaces the one before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widget import Widget

from looptop.tui.ask.sources.base import ImageSource
from looptop.tui.ask.sources.rows import Rows
from looptop.tui.background import for_threads, in_thread, work

if TYPE_CHECKING:
    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.vqa.images.filtering import ImageView, Outcomes

KEY_PAUSE_SECONDS = 0.03
"""While keys come faster than this, nothing is searched."""


class ImageSearch:
    """The search of one panel.

    Args:
        node: The widget that the search is for.
        on_rows: Called in the app's thread with the rows found so far, and at the end with all of them; and with the
            row that is to get the cursor, or None if it is to stay on its image.
    """

    def __init__(self, node: Widget, on_rows: Callable[[Rows, int | None], None]) -> None:
        self._node, self._on_rows = node, on_rows
        self._stopped = threading.Event()
        self._outcomes: tuple[str, Outcomes] | None = None
        self.is_running = False
        self.lacks_outcomes = False
        """Whether the last filter asked how the model answered, and no evaluation of the model is kept."""

    def start(
        self, source: ImageSource, chosen: Filter[ImageView], model: str, prefix: str, selected: Path | None
    ) -> None:
        """Searches a source.

        Args:
            source: The source.
            chosen: The filter.
            model: The model whose answers the filter may ask about.
            prefix: The first name that begins with it gets the cursor; empty for none.
            selected: The image that gets the cursor otherwise.
        """
        self.stop()
        self._stopped = threading.Event()
        self.is_running = True
        source.require(chosen)
        request = _SearchRequest(source, chosen, prefix, selected, self._stopped)
        work(self._node, self._search(request, model), "image-search")

    def stop(self) -> None:
        """Ends the search; `on_rows` is not called any more."""
        self._stopped.set()
        self.is_running = False

    def forget_outcomes(self) -> None:
        """Reads how the model answered again at the next search: it may have been evaluated since."""
        self._outcomes = None

    async def _search(self, request: _SearchRequest, model: str) -> None:
        from looptop.engine.vqa.images.filtering import needs_outcomes

        await asyncio.sleep(KEY_PAUSE_SECONDS)
        if request.stopped.is_set():
            return
        outcomes: Outcomes = {}
        self.lacks_outcomes = False
        if needs_outcomes(request.chosen):
            outcomes = await self.outcomes(model)
            self.lacks_outcomes = not outcomes
        show = for_threads(partial(self._take, request))
        rows, index = await in_thread(lambda: request.run(outcomes, show))
        if not request.stopped.is_set():
            self.is_running = False
            self._take(request, rows, index)

    async def outcomes(self, model: str) -> Outcomes:
        """How a model answered; empty if no evaluation of it is kept."""
        from looptop.tui.ask.images.outcomes import outcomes_of

        if self._outcomes is None or self._outcomes[0] != model:
            self._outcomes = model, await in_thread(partial(outcomes_of, model))
        return self._outcomes[1]

    def _take(self, request: _SearchRequest, rows: Rows, index: int | None) -> None:
        if not request.stopped.is_set():
            self._on_rows(rows, index)


class _SearchRequest:
    """One search. It also looks for the row that gets the cursor, which takes long among many."""

    def __init__(
        self,
        source: ImageSource,
        chosen: Filter[ImageView],
        prefix: str,
        selected: Path | None,
        stopped: threading.Event,
    ) -> None:
        self.source, self.chosen, self.stopped = source, chosen, stopped
        self._prefix, self._selected = prefix, selected

    def run(self, outcomes: Outcomes, on_progress: Callable[[Rows, int | None], object]) -> tuple[Rows, int | None]:
        """The rows that the filter accepts, and the one that gets the cursor. Runs in a thread."""
        rows = self.source.search(
            self.chosen, outcomes, self.stopped.is_set, lambda rows: on_progress(rows, self._index(rows))
        )
        return rows, self._index(rows)

    def _index(self, rows: Rows) -> int | None:
        """The row that gets the cursor. Once the cursor is there, a person may move it."""
        prefix, selected = self._prefix, self._selected
        index = rows.index_of_prefix(prefix) if prefix else None
        if index is not None:
            self._prefix = ""
        elif selected is not None:
            index = rows.index_of(selected)
        self._selected = None
        return index
