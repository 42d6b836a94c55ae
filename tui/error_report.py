"""Errors in looptop itself: a traceback in the app's log, one sentence on the screen, and the app goes on."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from looptop.engine.home import home
from looptop.engine.text import visible

if TYPE_CHECKING:
    from textual.app import App

LOG = "app.log"
"""Its name in the home: what is printed while the app draws goes there as well."""


def report(app: App[Any], error: BaseException) -> None:
    """Writes the traceback and says where it is; in the app's own thread."""
    log = home() / LOG
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {''.join(traceback.format_exception(error))}\n")
    if app.is_running:
        said = f"an error in looptop itself ({type(error).__name__}); please report what {visible(log)} says"
        app.notify(said, severity="error", timeout=30, markup=False)


@contextlib.contextmanager
def threads_report(to: Callable[[BaseException], object]) -> Iterator[None]:
    """Hands what a thread raises on, which Python would print where nobody sees it while the app draws."""

    def caught(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            to(arguments.exc_value)

    before, threading.excepthook = threading.excepthook, caught
    try:
        yield
    finally:
        threading.excepthook = before
