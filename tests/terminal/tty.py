"""The real program on a pseudo-terminal, its screen read by pyte."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pyte

from tests import warm

LIMIT = 40.0
MAIN = "from looptop.tui.entry import main; raise SystemExit(main())"
PROGRAM = [sys.executable, "-c", MAIN]
WARM = "import tests.warm; tests.warm.install()\n"
"""Lines with which the app's processes are forked from one that has loaded torch (`tests.warm`)."""
WARM_PROGRAM = [sys.executable, "-c", WARM + MAIN]

COLD = """
import looptop.tui.ask.client as client
ask = client.AnswerClient.ask
client.AnswerClient.ask = lambda self, model, image="", question="": ask(self, model, image, question) if image else 0
"""
"""Lines that keep the app from loading a model before it is asked: a process with torch in it, which most tests end
before it has answered anything. A question still starts it."""
COLD_PROGRAM = [sys.executable, "-c", WARM + COLD + MAIN]

# pyte takes these for text; terminals do not.
_UNKNOWN = re.compile(r"\x1b\[[<>=?][0-9;:]*[a-zA-Z$]*|\x1b_.*?\x1b\\|\x1bP.*?\x1b\\|\x1b\].*?(\x07|\x1b\\)")
_OPEN = re.compile(r"\x1b(?:[_P\]][^\x1b\x07]*\x1b?)?$")
"""A string whose end has not come, such as an image's."""


class Tty:
    """A program, and what stands on its terminal.

    Args:
        argv: The program and its arguments; by default the app, which loads a model only when it is asked something.
        cols: Width of the terminal.
        rows: Its height.
    """

    def __init__(self, argv: list[str] | None = None, cols: int = 120, rows: int = 40) -> None:
        self.screen = pyte.Screen(cols, rows)
        self.raw = bytearray()
        self.code: int | None = None
        self._stream = pyte.Stream(self.screen)
        self._held = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        words = argv or COLD_PROGRAM
        if any(word.startswith(WARM) for word in words):
            warm.start_server()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            environment = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            os.execvpe(words[0], words, environment)
        self.before = termios.tcgetattr(self.fd)

    def __enter__(self) -> Tty:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alive():
            psutil.Process(self.pid).kill()
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self.fd >= 0:
            os.close(self.fd)

    def alive(self) -> bool:
        """Whether the program still runs."""
        if self.code is not None:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.code = os.waitstatus_to_exitcode(status)
        return not pid

    def pump(self, seconds: float = 0.02) -> bool:
        """Reads what comes, of which a read gives a part only; says whether something may still come."""
        data = self.read(seconds)
        if data:
            self.feed(data)
        return data is not None

    def read(self, seconds: float) -> bytes | None:
        """What comes, not shown yet; empty where nothing did, None where nothing will."""
        readable, _, _ = select.select([self.fd], [], [], seconds)
        if not readable:
            return b""
        try:
            return os.read(self.fd, 65536)
        except OSError:  # all is read, and nobody has the terminal open
            return None

    def feed(self, data: bytes) -> None:
        """Shows what the program wrote."""
        self.raw += data
        text = self._held + self._decode.decode(data)
        self._held = match[0] if (match := _OPEN.search(text)) else ""
        text = text.removesuffix(self._held)
        text = _UNKNOWN.sub(lambda match: match[0] if match[0][-1] in "hl" else "", text)
        self._stream.feed(text)

    def text(self) -> str:
        """The screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def send(self, keys: str) -> None:
        """Types."""
        os.write(self.fd, keys.encode())

    def until(self, pattern: str, limit: float = LIMIT) -> None:
        """Waits until the screen holds something."""
        end = time.monotonic() + limit
        while not re.search(pattern, self.text()):
            over = time.monotonic() > end or not self.alive()
            self.pump()  # also what a program wrote last, before it ended
            if over and not re.search(pattern, self.text()):
                raise AssertionError(f"no {pattern!r} on the screen (alive: {self.alive()}):\n{self.text()}")

    def until_gone(self, limit: float = 20.0) -> int:
        """Waits until the program has ended, and gives its exit code."""
        end = time.monotonic() + limit
        while self.alive():
            if self.fd >= 0:
                self.pump()
            if time.monotonic() > end:
                raise AssertionError(f"the program still runs:\n{self.text()}")
        while self.fd >= 0 and self.pump():
            if time.monotonic() > end:
                raise AssertionError(f"the program has ended, but something holds its terminal:\n{self.text()}")
        assert self.code is not None
        return self.code

    def hang_up(self) -> None:
        """Closes the terminal, as a closed window does."""
        os.close(self.fd)
        self.fd = -1

    def restored(self) -> bool:
        """Whether the terminal is as it was: cooked, the main screen, a visible cursor, no mouse."""
        now: list[Any] = termios.tcgetattr(self.fd)
        modes = {mode: bytes(self.raw).rfind(f"\x1b[?{mode}h".encode()) for mode in (1049, 1000, 1003, 2004)}
        off = {mode: bytes(self.raw).rfind(f"\x1b[?{mode}l".encode()) for mode in modes}
        shown = bytes(self.raw).rfind(b"\x1b[?25h") > bytes(self.raw).rfind(b"\x1b[?25l")
        return now[:4] == self.before[:4] and all(off[mode] > at for mode, at in modes.items()) and shown

    def libraries(self) -> str:
        """The files that the program's own process has mapped."""
        return Path(f"/proc/{self.pid}/maps").read_text()
