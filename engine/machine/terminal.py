"""What the terminal can show: its size, its colours, and whether it draws pictures (it asks the terminal)."""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import time
import tty
from collections.abc import Mapping

from msgspec import Struct

GRAPHICS_QUERY = b"\x1b[>q\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
"""Asks for the terminal's name (XTVERSION), whether it draws kitty's graphics, and its attributes (DA1). Every terminal
answers the last one, and after the others."""

_REPLY_SECONDS = 1.0

_NO_TERMINALS = ("", "dumb", "unknown")
# FreeBSD's old console can move the cursor, but does not support UTF-8, which the app needs.
_NO_UNICODE = re.compile(r"cons\d")
_FAMILIES = re.compile(
    r"(alacritty|ansi|apple|aterm|contour|cygwin|dvtm|eterm|fbterm|foot|ghostty|gnome|hyper|iterm|kitty|konsole|linux"
    r"|mintty|mlterm|ms-terminal|nsterm|putty|rio|rxvt|screen|st|tabby|terminator|terminology|tmux|urxvt|vscode|vt\d+|vte"
    r"|warp|wezterm|xterm|zellij)(?![a-z])|.*-(16|88|256)color$|.*-(direct|truecolor)$"
)
"""Terminals that can move the cursor, even if terminfo does not know them here."""


class Terminal(Struct, frozen=True):
    """A terminal."""

    name: str
    """The value of TERM."""
    columns: int
    rows: int
    colours: str
    """`16 million`, `256`, `16` or `none`."""
    graphics: tuple[str, ...] | None
    """`kitty`, `iterm2`, `sixel`; None if it did not answer."""
    through: tuple[str, ...] = ()
    """What lies between: `ssh`, `tmux`, `screen`."""

    @property
    def large_enough(self) -> bool:
        """Whether it is large enough for whole screens of the app."""
        return self.columns >= 80 and self.rows >= 24


def can_draw(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal can show the app, that is, can move the cursor, by terminfo or by its name.

    Many hosts do not have the terminfo entry of the terminal that a person connects from by SSH. So a name that
    terminfo does not know is accepted if its family is known to move the cursor.
    """
    term = environment.get("TERM", "")
    if term.lower() in _NO_TERMINALS or _NO_UNICODE.match(term):
        return False
    moves = _moves_cursor(term)
    return bool(_FAMILIES.match(term.lower())) if moves is None else moves


def _moves_cursor(term: str) -> bool | None:
    """Whether a terminal moves the cursor by an ECMA-48 sequence, by terminfo; None if terminfo does not know it.

    Curses keeps the first terminal of a process, so this works for one terminal only.
    """
    try:
        import curses

        curses.setupterm(term, 2)
        return (curses.tigetstr("cup") or b"").startswith((b"\x1b[", b"\x9b"))
    except (ImportError, curses.error):
        return None


def inspect(descriptor: int, environment: Mapping[str, str] = os.environ) -> Terminal | None:
    """The terminal of a descriptor; None if it is not a terminal."""
    if not os.isatty(descriptor):
        return None
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return None
    through = [
        word for key, word in (("SSH_CONNECTION", "ssh"), ("TMUX", "tmux"), ("STY", "screen")) if environment.get(key)
    ]
    return Terminal(
        name=environment.get("TERM", ""),
        columns=size.columns,
        rows=size.lines,
        colours=colours(environment),
        graphics=_graphics(descriptor),
        through=tuple(through),
    )


def colours(environment: Mapping[str, str]) -> str:
    """How many colours the terminal has, by its environment."""
    term = environment.get("TERM", "dumb")
    if "NO_COLOR" in environment or term.lower() in _NO_TERMINALS:
        return "none"
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or term.endswith("-direct"):
        return "16 million"
    return "256" if "256color" in term or "kitty" in term else "16"


def parse_graphics(data: bytes) -> tuple[str, ...] | None:
    """The kinds of graphics in the terminal's replies; None if the last reply is missing."""
    attributes = re.search(rb"\x1b\[\?([\d;]*)c", data)
    if attributes is None:
        return None
    kinds = []
    if b"_Gi=31;OK" in data:
        kinds.append("kitty")
    if b"\x1bP>|iTerm2" in data:
        kinds.append("iterm2")
    if b"4" in attributes[1].split(b";")[1:]:
        kinds.append("sixel")
    return tuple(kinds)


def _graphics(descriptor: int) -> tuple[str, ...] | None:
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:
        return None
    data = b""
    try:
        tty.setcbreak(descriptor)
        os.write(descriptor, GRAPHICS_QUERY)
        end = time.monotonic() + _REPLY_SECONDS
        while parse_graphics(data) is None and (left := end - time.monotonic()) > 0:
            if select.select([descriptor], [], [], left)[0]:
                data += os.read(descriptor, 1024)
    except (OSError, termios.error):
        return None
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
    return parse_graphics(data)
