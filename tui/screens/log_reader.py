"""Reads a run's growing log, each time only what was added, as entries with their levels."""

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
MAX_BYTES = 16 * 2**20
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
        self._file_identity = (-1, -1)
        """Device and inode of the file that was read."""
        self._offset = 0
        """The offset of the first byte that was not read as a whole line."""
        self._traceback_level = ""
        """The level of the last whole line, if it is a traceback's or continues one."""
        self._entries: list[Entry] = []
        self.left_out = 0
        """Bytes at the log's beginning that are not shown."""
        self._max_bytes = FIRST_BYTES
        self.trouble = ""
        """Why the log cannot be read; empty if it can."""

    @property
    def is_whole(self) -> bool:
        """Whether all that is read at most was read."""
        return self._max_bytes == MAX_BYTES or not self.left_out

    def poll(self) -> Sequence[Entry]:
        """All entries so far; an equal list if nothing was added. The first call reads only the last ones."""
        if not self.is_whole and self._file_identity != (-1, -1):
            self._max_bytes, self._file_identity = MAX_BYTES, (-1, -1)
        try:
            with os.fdopen(open_regular(self._path), "rb") as file:
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) != self._file_identity or status.st_size < self._offset:
                    self._file_identity, self._entries, self._traceback_level = (status.st_dev, status.st_ino), [], ""
                    self._offset = self.left_out = max(0, status.st_size - self._max_bytes)
                    if self.left_out:
                        file.seek(self.left_out)
                        self._offset = self.left_out = self.left_out + len(file.readline(MAX_BYTES))
                file.seek(self._offset)
                rest = b""
                while chunk := file.read(CHUNK):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._offset += len(line) + 1
                        self._entries.append(self._entry(line))
        except UnsafeFileError as error:
            self.trouble = str(error)
            return ()
        except OSError:
            return ()
        self.trouble = ""
        # A line that is not complete yet is shown, and read again later.
        level = self._traceback_level
        entries = [*self._entries, self._entry(rest)] if rest else list(self._entries)
        self._traceback_level = level
        return entries

    def _entry(self, line: bytes) -> Entry:
        # A progress bar overwrites its line: only its last state is shown.
        text = line.removesuffix(b"\r").rsplit(b"\r", 1)[-1].decode("utf-8", "replace").replace("\t", "    ")
        stamp = _STAMP.match(text)
        body = text[stamp.end() :] if stamp else text
        level = _LEVEL.match(body)
        if body.startswith(_TRACEBACK):
            self._traceback_level = "error"
            return Entry(visible(text), "error")
        if self._traceback_level and not stamp and not level:
            # A traceback goes on with indented lines and ends with the line of its exception.
            kind = self._traceback_level
            if text and not text.startswith(" "):
                self._traceback_level = ""
            return Entry(visible(text), kind, continued=True)
        self._traceback_level = ""
        if level:
            return Entry(visible(text), "warning" if level[1].lower() == "warning" else "error")
        return Entry(visible(text), "warning" if _WARNING in body and not stamp else "info")
