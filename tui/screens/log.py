"""The log overlay: the end of a run's log, followed while it grows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.files.private import UnsafeFileError, open_regular
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Overlay
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar

MOST_BYTES = 64 * 1024
"""How many bytes of the log's end are shown."""


class Log(Overlay[None]):
    """The end of a log."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("log")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("log",)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._follow = True

    def compose(self) -> Iterable[Widget]:
        """One text, which can be scrolled."""
        box = VerticalScroll(Static(id="log-text"), classes="box -log")
        box.border_title = "Log"
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Starts to read the log again and again."""
        self.query_one(VerticalScroll).focus()
        work(self, self._read(), "log")

    async def _read(self) -> None:
        before = None
        while True:
            text = await in_thread(lambda: _tail(self._path))
            if text != before:
                before = text
                self.query_one("#log-text", Static).update(safe(text or "nothing was printed yet", keep_lines=True))
                if self._follow:
                    self.call_after_refresh(self.query_one(VerticalScroll).scroll_end, animate=False)
            await asyncio.sleep(1)

    def action_follow(self) -> None:
        """Follows the end, or stops following it."""
        self._follow = not self._follow
        box = self.query_one(VerticalScroll)
        box.border_title = "Log" if self._follow else "Log, not followed: f follows"
        if self._follow:
            box.scroll_end(animate=False)

    def action_close(self) -> None:
        """Closes the log."""
        self.dismiss(None)


def _tail(path: Path) -> str:
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_BYTES))
            data = file.read()
    except UnsafeFileError as error:
        return str(error)
    except OSError:
        return ""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    # A progress bar overwrites its line: only its last state is shown.
    lines = [line.rsplit("\r", 1)[-1] for line in text.split("\n")]
    return "\n".join(lines[1:] if len(data) == MOST_BYTES else lines)
