"""The terminal driver, and how the app releases the terminal.

It mends four faults of Textual's driver: output that a library prints to file descriptors 1 and 2 spoils the screen;
SIGHUP and SIGTERM kill the process with the terminal still in raw mode; an input that has ended is polled at full
speed; and a terminal that no longer reads keeps the program from exiting.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import selectors
import signal
import struct
import sys
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from looptop.engine.files.private import open_regular
from looptop.tui.terminal.compact_output import CompactOutput, erases_in_colour
from looptop.tui.terminal.graphics import QUERIES, GraphicsReplies
from looptop.tui.terminal.replies import Replies

if TYPE_CHECKING:
    from textual.app import App

    from looptop.tui.terminal.graphics_layer import GraphicsLayer

EXIT_WRITE_SECONDS = 2.0
"""Seconds that an app that is quitting waits for a terminal that does not read."""

ESCAPE_SECONDS = 0.015
"""Seconds after which a lone ESC counts as the key; a terminal sends a whole sequence together. Textual's value is 0.1
s, or ESCDELAY (in milliseconds), which also overrides this one."""

REPLY_BEGINNINGS = tuple("[]P_X^")
"""After ESC, these may be the beginning of a reply whose rest is late, so that nobody has pressed esc."""

EXIT_CHECK_SECONDS = 0.1
"""Seconds between two checks whether the app is quitting."""


class TerminalFile(io.TextIOBase):
    """The terminal as a file to draw on. It never raises, and stops waiting for the terminal when the app quits."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._fd = descriptor
        self._deadline: float | None = None
        self._compact = CompactOutput(erases_in_colour(os.environ.get("TERM", "")))
        self.gone = False
        """Whether the terminal has been closed."""
        self.written = 0
        """Characters that have been written, or dropped since the terminal is gone."""

    def fileno(self) -> int:
        """The terminal's descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def leave(self, patience: float = EXIT_WRITE_SECONDS) -> None:
        """From now on, spends at most `patience` seconds on writing."""
        self._deadline = time.monotonic() + patience

    def write(self, text: str) -> int:
        """Writes all of it, unless the terminal is gone."""
        data = memoryview(self._compact.compress(text).encode("utf-8", "replace"))
        with selectors.SelectSelector() as selector:
            selector.register(self._fd, selectors.EVENT_WRITE)
            while data and not self.gone:
                if self._deadline is not None and time.monotonic() > self._deadline:
                    break
                try:
                    if selector.select(0.2):
                        data = data[os.write(self._fd, data[:4096]) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self.gone = True
        self.written += len(text)
        return len(text)

    def forget_colours(self) -> None:
        """Forgets the terminal's colours, because another program has drawn on it."""
        self._compact = CompactOutput(erases_in_colour(os.environ.get("TERM", "")))
        self.write("\x1b[m")

    def flush(self) -> None:
        """Does nothing, since nothing is buffered."""


_screen: TerminalFile | None = None
"""The file for the driver inside `terminal()`; it is global since Textual makes the driver and passes no arguments."""


class Keys(XTermParser):
    """Textual's parser with four changes: ESC and a digit are alt and that digit, not a letter of a Mac keyboard; ESC
    and another character are these two keys; a lone ESC counts as the key sooner; replies of the terminal are no keys.

    A terminal sends the same for alt and a letter as for esc and a letter that arrive together, on a slow link. No key
    of the app is alt with a letter. Only ESC with `b` or `f` stays what many terminals send for alt and an arrow key:
    a step by a word in a field.
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._replies = Replies(0.0 if "ESCDELAY" in os.environ else ESCAPE_SECONDS)

    def feed(self, data: str) -> Iterable[Message]:
        """Yields the events of the input."""
        if self._replies.is_key:  # A busy CPU may have delayed `tick`.
            yield from self.tick()
        data = self._replies.without(data)
        if data:
            yield from super().feed(data)

    def tick(self) -> Iterable[Message]:
        """Yields the events of input that was held back long enough."""
        if held := self._replies.expired():
            yield from super().feed(held)
            if held == "\x1b" and self._timeout_time is not None:
                self._timeout_time = 0.0  # It has waited long enough.
        yield from super().tick()

    @property
    def patience(self) -> float:
        """Seconds after which `tick` must be called if no more input comes."""
        soonest = min(self._replies.deadline, float("inf") if self._timeout_time is None else self._timeout_time)
        return max(0.0, min(EXIT_CHECK_SECONDS, soonest - time.monotonic()))

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if len(sequence) == 2 and sequence[0] == "\x1b" and sequence[1] in "123456789":
            return [events.Key(f"alt+{sequence[1]}", None)]
        if alt and sequence not in REPLY_BEGINNINGS:
            return [events.Key("escape", "\x1b"), *super()._sequence_to_key_events(sequence)]
        return super()._sequence_to_key_events(sequence, alt)


class Driver(LinuxDriver):
    """Textual's driver, writing to a `TerminalFile`; the app quits when the input ends."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._sent = 0
        if _screen is not None:
            self._file = _screen  # type: ignore[assignment]

    def write(self, data: str) -> None:
        """Writes to the terminal, in a thread."""
        self._sent += len(data)
        super().write(data)

    @property
    def backlog(self) -> int:
        """Characters that wait for the terminal."""
        return self._sent - self._file.written if isinstance(self._file, TerminalFile) else 0

    @property
    def _layer(self) -> GraphicsLayer | None:
        return getattr(self._app, "graphics", None)

    def start_application_mode(self) -> None:
        """Takes the terminal, and asks which graphics it draws; what a terminal may print of that, the first frame
        covers.
        """
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.write(QUERIES)

    def _get_terminal_size(self) -> tuple[int, int]:
        # Textual asks descriptor 1, which is the log while the app runs.
        try:
            width, height = os.get_terminal_size(self._file.fileno() if self._file else 1)
        except OSError:
            width, height = 0, 0
        return width or 80, height or 24

    def stop_application_mode(self) -> None:
        """Gives the terminal back, without images on it."""
        if self._layer is not None:
            self._layer.remove()
        super().stop_application_mode()

    def _cell(self) -> tuple[int, int] | None:
        """Width and height of a cell in pixels, as the system knows them."""
        try:
            window = fcntl.ioctl(self._file.fileno() if self._file else 1, termios.TIOCGWINSZ, bytes(8))
        except OSError:
            return None
        rows, columns, width, height = struct.unpack("HHHH", window)
        return (width // columns, height // rows) if rows and columns and width >= columns and height >= rows else None

    def resume_application_mode(self) -> None:
        """Takes the terminal back from the shell, and redraws the whole screen."""
        super().resume_application_mode()
        draw = getattr(self._app, "draw_anew", None)
        if draw is not None:
            self._loop.call_soon_threadsafe(draw)

    def run_input_thread(self) -> None:
        """Reads keys until the app quits. Quits the app if the input ends."""
        parser = Keys(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        replies = GraphicsReplies(self._cell())
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(parser.patience):
                    try:
                        data = os.read(self.fileno, 4096)
                    except OSError:
                        data = b""
                    if not data:
                        quit_app = getattr(self._app, "quit_from_outside", None)
                        if quit_app is not None:
                            self._loop.call_soon_threadsafe(quit_app)
                        return
                    text = decode(data)
                    if (graphics := replies.hear(text)) is not None and self._layer is not None:
                        self._loop.call_soon_threadsafe(self._layer.use, graphics)
                    for event in parser.feed(text):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)


@contextlib.contextmanager
def terminal(log: Path) -> Iterator[TerminalFile]:
    """Gives the terminal to the driver alone. While the block runs, all other output goes into the log, if possible."""
    global _screen
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    screen = TerminalFile(_open(kept))
    try:
        sink = open_regular(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    except OSError:  # a home that cannot be written to
        sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.close(sink)
    _screen = screen
    try:
        yield screen
    finally:
        _screen = None
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        for target, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, target)
            os.close(descriptor)


def _open(kept: list[int]) -> int:
    """Opens the terminal again, if allowed, so that non-blocking writes do not make reads non-blocking too."""
    drawn = kept[0] if os.isatty(kept[0]) else kept[1]
    try:
        return os.open(os.ttyname(drawn), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return os.dup(drawn)


def output_of_other_programs() -> int | None:
    """A new descriptor of the terminal for a program that the app leaves it to; None outside of `terminal()`.

    Descriptors 1 and 2, which a child inherits, are the log. The app's own descriptor is non-blocking, which most
    programs do not expect.
    """
    if _screen is None:
        return None
    return os.open(os.ttyname(_screen.fileno()), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


@contextlib.contextmanager
def signals(leave: Callable[[], None]) -> Iterator[None]:
    """Calls `leave` on SIGHUP, SIGTERM and SIGINT, even while the event loop waits for the terminal."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        leave()

    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
