"""Work that may take long, off the event loop, in threads that never keep the app from leaving.

`asyncio.to_thread` and Textual's thread workers use a pool that Python waits for at its end: one image on a dead
network drive would hold the app for ever. These threads are daemons: nobody waits for them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from textual.css.query import NoMatches

if TYPE_CHECKING:
    from textual.widget import Widget

Result = TypeVar("Result")


def in_thread(call: Callable[[], Result]) -> asyncio.Future[Result]:
    """Starts the call in a thread of its own; the future has its result, or what it raised."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = call()
        except BaseException as error:  # It belongs to whoever awaits the future.
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:  # The loop is closed: the app has left.
            return

    threading.Thread(target=run, name="looptop-work", daemon=True).start()
    return future


def while_it_stands(widget: Widget, what: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    """The work, for whom it is no error that the widget it is for was taken off the screen meanwhile.

    Args:
        widget: What the work is for.
        what: Work that finds its way among the widget's children.
    """

    async def go() -> None:
        try:
            await what
        except NoMatches:
            # What is taken down is not displayed any more, and loses its children one by one.
            if widget.display and widget.is_attached:
                raise

    return go()
