"""Searches a source's images by a filter, in a thread. A newer search replaces the one before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from textual.widget import Widget

from looptop.tui.ask.image_rows import Rows
from looptop.tui.ask.sources import ImageSource
from looptop.tui.background import in_thread, work

if TYPE_CHECKING:
    from looptop.engine.filters.vocabulary import Filter
    from looptop.engine.vqa.image_filter import ImageView, Outcomes

KEY_PAUSE_SECONDS = 0.03
"""While keys come faster than this, nothing is searched."""


class ImageSearch:
    """The search of one panel.

    Args:
        node: The widget that the search is for.
        on_rows: Called in the app's thread with the rows found so far, and at the end with all of them.
    """

    def __init__(self, node: Widget, on_rows: Callable[[Rows], None]) -> None:
        self._node, self._on_rows = node, on_rows
        self._stopped = threading.Event()
        self._outcomes: tuple[str, Outcomes] | None = None
        self.is_running = False
        self.lacks_outcomes = False
        """Whether the last filter asked how the model answered, and no evaluation of the model is kept."""

    def start(self, source: ImageSource, chosen: Filter[ImageView], model: str) -> None:
        """Searches a source.

        Args:
            source: The source.
            chosen: The filter.
            model: The model whose answers the filter may ask about.
        """
        self.stop()
        self._stopped = threading.Event()
        self.is_running = True
        source.require(chosen)
        work(self._node, self._search(source, chosen, model, self._stopped), "image-search")

    def stop(self) -> None:
        """Ends the search; `on_rows` is not called any more."""
        self._stopped.set()
        self.is_running = False

    def forget_outcomes(self) -> None:
        """Reads how the model answered again at the next search: it may have been evaluated since."""
        self._outcomes = None

    async def _search(
        self, source: ImageSource, chosen: Filter[ImageView], model: str, stopped: threading.Event
    ) -> None:
        from looptop.engine.vqa.image_filter import needs_outcomes

        await asyncio.sleep(KEY_PAUSE_SECONDS)
        if stopped.is_set():
            return
        outcomes: Outcomes = {}
        self.lacks_outcomes = False
        if needs_outcomes(chosen):
            outcomes = await self.outcomes(model)
            self.lacks_outcomes = not outcomes
        loop = asyncio.get_running_loop()

        def on_progress(rows: Rows) -> None:
            loop.call_soon_threadsafe(self._take, rows, stopped)

        rows = await in_thread(partial(source.search, chosen, outcomes, stopped.is_set, on_progress))
        if not stopped.is_set():
            self.is_running = False
            self._take(rows, stopped)

    async def outcomes(self, model: str) -> Outcomes:
        """How a model answered; empty if no evaluation of it is kept."""
        from looptop.tui.ask.outcomes import outcomes_of

        if self._outcomes is None or self._outcomes[0] != model:
            self._outcomes = model, await in_thread(partial(outcomes_of, model))
        return self._outcomes[1]

    def _take(self, rows: Rows, stopped: threading.Event) -> None:
        if not stopped.is_set():
            self._on_rows(rows)
