"""Which graphics the terminal draws, and how: the terminal is asked when the app starts on it.

Nothing is sent to a terminal that has not said that it can draw it. In tmux and screen pictures stay half blocks: they
show sixels as walls of `+`, and lose what they hold of an image when they redraw.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from looptop.engine.machine.terminal import GRAPHICS_QUERY, parse_graphics

# The size of a cell in pixels, and the largest sixel image (XTSMGRAPHICS); the query that all answer comes last.
QUERIES = "\x1b[16t\x1b[?2;1;0S" + GRAPHICS_QUERY.decode()

MAX_REPLIES = 4096
"""Characters of input that are kept while the terminal's answers are awaited."""

DEFAULT_CELL = (10, 20)
LOCAL_BYTES = 2_000_000
REMOTE_BYTES = 300_000
"""The most that a picture costs over SSH."""

_CELL = re.compile(r"\x1b\[6;(\d+);(\d+)t")
_LARGEST = re.compile(r"\x1b\[\?2;0;(\d+);(\d+)S")
_MULTIPLEXER = re.compile(r"\x1bP>\|(?:tmux|screen)")


class Protocol(Enum):
    """A way to send an image to a terminal."""

    KITTY = "kitty"
    ITERM2 = "iterm2"
    SIXEL = "sixel"


class Graphics(NamedTuple):
    """How this terminal draws images."""

    protocol: Protocol
    cell: tuple[int, int]
    """Width and height of a cell in pixels."""
    most_bytes: int
    """The largest image that is sent."""
    largest: tuple[int, int] | None = None
    """The largest image in pixels, if the terminal says one."""


class GraphicsReplies:
    """Hears a terminal's answers to `QUERIES` among its input.

    Args:
        cell: The size of a cell in pixels, if the system knows it.
        environment: Of the app.
    """

    def __init__(self, cell: tuple[int, int] | None = None, environment: Mapping[str, str] = os.environ) -> None:
        self._heard = ""
        self._cell = cell
        self._environment = environment
        self.complete = False
        """Whether the last answer has come."""

    def hear(self, data: str) -> Graphics | None:
        """Takes input; returns how the terminal draws images once it has answered, if it does."""
        if self.complete:
            return None
        self._heard = (self._heard + data)[-MAX_REPLIES:]
        kinds = parse_graphics(self._heard.encode("utf-8", "replace"))
        if kinds is None:
            return None
        self.complete = True
        return self._graphics(kinds)

    def _graphics(self, kinds: tuple[str, ...]) -> Graphics | None:
        if self._environment.get("TMUX") or self._environment.get("STY") or _MULTIPLEXER.search(self._heard):
            return None
        protocol = next((each for each in Protocol if each.value in kinds), None)
        match = _CELL.search(self._heard)
        cell = (int(match[2]), int(match[1])) if match else self._cell
        if protocol is None or (protocol is Protocol.SIXEL and cell is None):
            return None  # A sixel image has no size in cells: without that of a cell it could cover text.
        most = REMOTE_BYTES if self._environment.get("SSH_CONNECTION") else LOCAL_BYTES
        largest = _LARGEST.search(self._heard) if protocol is Protocol.SIXEL else None
        size = (int(largest[1]), int(largest[2])) if largest else None
        return Graphics(protocol, cell if cell and min(cell) > 0 else DEFAULT_CELL, most, size)
