"""Runs the app on the terminal: what has to hold around it, whatever ends it."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from looptop.engine.home import home
from looptop.engine.text import visible
from looptop.tui.app import LooptopApp
from looptop.tui.background import LOG, report, threads_report
from looptop.tui.terminal import driver as terminal

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder


def run_app(attach: RunFolder | None = None) -> int:
    """Runs the app on the terminal.

    Args:
        attach: The run to open on.

    Returns:
        The exit code: 0, or 1 if the app itself failed (its log says how).
    """
    gc.disable()  # until the first paint: nothing that is made before it can be freed
    log = home() / LOG
    with terminal.terminal(log) as screen:
        app = LooptopApp(drawn_on=screen, attach=attach)

        def leave() -> None:
            screen.leave()
            if app._loop is not None:
                app._loop.call_soon_threadsafe(app.quit_from_outside)

        def failed(error: BaseException) -> None:
            if app._loop is not None:
                app._loop.call_soon_threadsafe(report, app, error)

        with terminal.signals(leave), threads_report(failed):
            farewell = app.run()
    if app.return_code:
        sys.stderr.write(f"looptop: the app failed; please report what {visible(log)} says. Runs continue.\n")
        return 1
    if farewell and not screen.gone:
        sys.stdout.write(farewell + "\n")
    return 0
