"""Reads a run's log again and again: only what was added, as entries with their levels."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from looptop.engine.files.private import UnsafeFileError, open_regular
from looptop.engine.text import visible
from looptop.tui.widgets.entries import Entry

FIRST_BYTES = 256 * 1024
"""How many bytes of the log's end are read at first, so that the newest entries are shown at once."""
MOST_BYTES = 16 * 2**20
"""How many bytes of the log's end are read at most."""
CHUNK = 256 * 1024
"""Bytes between two times at which other threads can run."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d+)? ")
_LEVEL = re.compile(r"(warning|error|critical)\b[: ]", re.IGNORECASE)
_WARNING = "Warning: "
"""In the lines of Python's warnings."""
_TRACEBACK = "Traceback (most recent call last)"


class LogReader:
    """The end of a log. May be called from any thread, but from one at a time.

    Args:
        path: The log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = (-1, -1)
        """Device and inode of the file that was read."""
        self._next = 0
        """The offset of the first byte that was not read as a whole line."""
        self._last = ""
        """The level of the last whole line, if it is a traceback's or continues one."""
        self._entries: list[Entry] = []
        self.left_out = 0
        """Bytes at the log's beginning that are not shown."""
        self._most = FIRST_BYTES
        self.trouble = ""
        """Why the log cannot be read; empty if it can."""

    @property
    def is_whole(self) -> bool:
        """Whether all that is read at most was read."""
        return self._most == MOST_BYTES or not self.left_out

    def poll(self) -> Sequence[Entry]:
        """All entries so far; an equal list if nothing was added. The first call reads only the last ones."""
        if not self.is_whole and self._file != (-1, -1):
            self._most, self._file = MOST_BYTES, (-1, -1)
        try:
            with os.fdopen(open_regular(self._path), "rb") as file:
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) != self._file or status.st_size < self._next:
                    self._file, self._entries, self._last = (status.st_dev, status.st_ino), [], ""
                    self._next = self.left_out = max(0, status.st_size - self._most)
                    if self.left_out:
                        file.seek(self.left_out)
                        self._next = self.left_out = self.left_out + len(file.readline(MOST_BYTES))
                file.seek(self._next)
                rest = b""
                while chunk := file.read(CHUNK):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._next += len(line) + 1
                        self._entries.append(self._entry(line))
        except UnsafeFileError as error:
            self.trouble = str(error)
            return ()
        except OSError:
            return ()
        self.trouble = ""
        # A line that is not complete yet is shown, and read again later.
        last = self._last
        entries = [*self._entries, self._entry(rest)] if rest else list(self._entries)
        self._last = last
        return entries

    def _entry(self, line: bytes) -> Entry:
        # A progress bar overwrites its line: only its last state is shown.
        text = line.removesuffix(b"\r").rsplit(b"\r", 1)[-1].decode("utf-8", "replace").replace("\t", "    ")
        stamp = _STAMP.match(text)
        body = text[stamp.end() :] if stamp else text
        level = _LEVEL.match(body)
        if body.startswith(_TRACEBACK):
            self._last = "error"
            return Entry(visible(text), "error")
        if self._last and not stamp and not level:
            # A traceback goes on with indented lines and ends with the line of its exception.
            kind, self._last = self._last, self._last if text.startswith(" ") or not text else ""
            return Entry(visible(text), kind, continued=True)
        self._last = ""
        if level:
            return Entry(visible(text), "warning" if level[1].lower() == "warning" else "error")
        return Entry(visible(text), "warning" if _WARNING in body and not stamp else "info")
