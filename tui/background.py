"""Background work: slow calls in threads that never keep the app from quitting, and reports of their errors.

`asyncio.to_thread` and Textual's thread workers use a pool that Python waits for when it exits: one image on a dead
network drive would block the app forever. These threads are daemons, which Python does not wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from textual.app import ScreenStackError
from textual.css.query import NoMatches
from textual.dom import NoScreen
from textual.widget import MountError

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import append_private
from looptop.engine.home import home
from looptop.engine.text import visible

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget
    from textual.worker import Worker

Result = TypeVar("Result")

GONE_ERRORS = (NoMatches, NoScreen, ScreenStackError, MountError)
"""What code raises that works on with widgets, or with a screen, that are not mounted any more, or never will be."""

LOG = "app.log"
"""A file in the home for errors of looptop itself, and for everything that is printed while the app draws."""


def in_thread(call: Callable[[], Result]) -> asyncio.Future[Result]:
    """Starts the call in a thread of its own; the future has its result, or what it raised."""
    future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    deliver = for_threads(settle)

    def run() -> None:
        result, failure = None, None
        try:
            result = call()
        except BaseException as error:  # Awaiting the future raises it.
            failure = error
        deliver(result, failure)

    threading.Thread(target=run, name="looptop-work", daemon=True).start()
    return future


def for_threads(call: Callable[..., object]) -> Callable[..., None]:
    """A function that any thread may call: it calls `call` in the event loop, if that still runs.

    The call gets the context of now, in which Textual knows the app. Without it a timer that the call starts would end
    with an error at its first tick, and widgets that it mounts would lack the app.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    def deliver(*arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: the app has quit.
            loop.call_soon_threadsafe(call, *arguments, context=context)

    return deliver


def work(node: Widget | App[Any], coroutine: Coroutine[Any, Any, None], group: str, *, exclusive: bool = False) -> None:
    """Runs a coroutine as a worker of the node.

    A failure because the node was removed from the screen is ignored. Any other exception is an error in looptop: it is
    reported (`report`) and ends this work, not the app.

    Args:
        node: The widget or app that the work is for.
        coroutine: What to do.
        group: The name of a group of workers.
        exclusive: Whether to cancel the running workers of this group first.
    """
    app = node.app

    async def go() -> None:
        try:
            await coroutine
        except Exception as error:
            # A node that is being removed is no longer displayed, and loses its children one by one.
            if not isinstance(error, GONE_ERRORS) or (node.display and node.is_attached):
                report(app, error)

    worker: Worker[None] = node.run_worker(go, group=group, exclusive=exclusive, exit_on_error=False)
    if worker._task is not None:
        # If it is cancelled before it starts, nothing has awaited the coroutine, and Python would warn of that. The
        # task is private, but in public only a message to the node tells of a worker's end, and the node may be gone.
        worker._task.add_done_callback(lambda _task: coroutine.close())


def fetch(
    node: Widget | App[Any],
    call: Callable[[], Result],
    then: Callable[[Result], object],
    on_error: Callable[[LooptopError], object],
) -> asyncio.Future[None]:
    """Makes a call in a thread, then passes what it returned on in the app's thread.

    Args:
        node: The widget or app that the call is for.
        call: Reads or writes files.
        then: Called with the result.
        on_error: Called with the error, if one of the two raises a LooptopError.

    Returns:
        A future that is done when all of that is.
    """
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def go() -> None:
        try:
            then(await in_thread(call))
        except LooptopError as error:
            on_error(error)
        finally:
            if not done.done():
                done.set_result(None)

    work(node, go(), "fetch")
    return done


def report(app: App[Any], error: BaseException) -> None:
    """Writes the traceback to the log and shows a notice that names the log; call it in the app's thread."""
    log = home() / LOG
    entry = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {''.join(traceback.format_exception(error))}\n"
    with contextlib.suppress(OSError), append_private(log) as file:
        file.write(entry.encode("utf-8", "backslashreplace"))
    if app.is_running:
        sentence = f"an error in looptop itself ({type(error).__name__}); please report what {visible(log)} says"
        app.notify(sentence, severity="error", timeout=30, markup=False)


@contextlib.contextmanager
def threads_report(receive: Callable[[BaseException], object]) -> Iterator[None]:
    """Passes on exceptions of threads, which Python would print where nobody sees them while the app draws."""

    def caught(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            receive(arguments.exc_value)

    before, threading.excepthook = threading.excepthook, caught
    try:
        yield
    finally:
        threading.excepthook = before
