"""Images as the real program sends them to a terminal, by the bytes that arrive."""

from __future__ import annotations

import time

from tests.factories.image_terminal import ImageTerminal
from tests.support import eventually
from tests.terminal.tty import Tty

FULL = r"0\.png · the image"
KITTY = "\x1bP>|kitty(0.35.2)\x1b\\\x1b_Gi=31;OK\x1b\\\x1b[6;18;9t\x1b[?62;c"


def images_of(written: bytes | bytearray) -> ImageTerminal:
    """What the terminal shows, by what was written to it."""
    terminal = ImageTerminal()
    terminal.write(bytes(written).decode("utf-8", "ignore"))
    return terminal


def wait_for_images(tty: Tty, count: int) -> None:
    end = time.monotonic() + 40
    while len(images_of(tty.raw).images) != count:
        assert time.monotonic() < end and tty.alive(), f"still {len(images_of(tty.raw).images)} images"
        tty.pump()


def lies_on_half_blocks(tty: Tty) -> bool:
    """Whether the terminal shows one image, exactly over half blocks."""
    images = list(images_of(tty.raw).images.values())
    if len(images) != 1:
        return False
    line = tty.text().splitlines()[images[0].row]
    start, end = images[0].column, images[0].column + images[0].columns
    return line[start:end] == "▄" * (end - start) and "▄" not in line[end:] and line[start - 1] == " "


def answer_when_asked(tty: Tty, replies: str) -> None:
    end = time.monotonic() + 40
    while b"\x1b[c" not in tty.raw:
        assert time.monotonic() < end and tty.alive()
        tty.pump()
    tty.send(replies)


def test_a_terminal_that_says_so_gets_images_and_keeps_none() -> None:
    with Tty() as tty:
        answer_when_asked(tty, KITTY)
        tty.until(FULL)
        eventually(lambda: tty.pump() and lies_on_half_blocks(tty), limit=40)
        tty.send("a")
        tty.until("leave field")
        tty.send("\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.35.2)\x1b\\why")  # a late answer, and typing
        tty.until("why")
        assert "OK" not in tty.text() and "kitty" not in tty.text()
        tty.send("\x1b")
        tty.until("a ask  v view")
        tty.send("z")
        tty.until("64x64 pixels")
        wait_for_images(tty, 1)
        tty.send("\x03")
        assert tty.until_gone() == 0
        assert tty.restored()
        assert not images_of(tty.raw).images
        left = bytes(tty.raw).rpartition(b"\x1b[?1049l")[0]
        assert b"a=d" in left and not images_of(left).images, "they go before the screen does"


def test_any_other_terminal_gets_none() -> None:
    with Tty() as tty:
        answer_when_asked(tty, "\x1bP>|VTE(7600)\x1b\\\x1b[6;18;9t\x1b[?65;1;9c")
        tty.until(FULL)
        tty.send("z")
        tty.until("64x64 pixels")
        tty.send("+\x1b")
        tty.until(FULL)
        assert b"a=T" not in tty.raw and b"\x1bP" not in tty.raw and b"]1337" not in tty.raw
        tty.send("\x03")
        assert tty.until_gone() == 0
