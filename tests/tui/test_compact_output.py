"""What is said to the terminal in fewer bytes looks the same on it."""

from __future__ import annotations

import subprocess
import sys

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.tui.terminal.compact_output import CompactOutput

# pyte knows these; dim and blinking it does not, and they are written as they are asked for like the rest.
SGR = st.sampled_from(
    ["", "0", "1", "3", "4", "7", "9", "22", "23", "24", "27", "29", "31", "39", "42", "49", "97", "104", "38;5;200",
     "48;5;17", "38;2;1;2;3", "48;2;16;20;26", "1;38;2;9;8;7;48;2;3;3;3", "0;1;4"]
)  # fmt: skip
PIECES = st.one_of(
    SGR.map(lambda codes: f"\x1b[{codes}m"),
    st.text("ab ─⣿", min_size=1, max_size=6),
    st.text(" ", min_size=1, max_size=6),
    st.integers(12, 20).map(lambda count: f"\x1b[{count % 6 + 1}H" + " " * count),
    st.sampled_from(["\r\n", "\x1b[3;5H", "\x1b[H", "\x1b[K", "\x1b[2J", "\x1b[?25l", "\x1b[2C"]),
)


def screen(pieces: list[str]) -> pyte.Screen:
    shown = pyte.Screen(24, 8)
    stream = pyte.Stream(shown)
    stream.feed("\x1b[?7l")  # as the app does: no line wraps
    for piece in pieces:
        stream.feed(piece)
    return shown


def cells(shown: pyte.Screen) -> list[list[tuple[object, ...]]]:
    """What can be seen: of a blank, neither its foreground nor whether it is bold or in italics."""

    def seen(char: pyte.screens.Char) -> tuple[object, ...]:
        if char.data == " " and not (char.underscore or char.strikethrough or char.reverse):
            return (" ", char.bg)
        return tuple(char)

    return [[seen(shown.buffer[y][x]) for x in range(shown.columns)] for y in range(shown.lines)]


@given(st.lists(st.lists(PIECES, min_size=1, max_size=8).map("".join), max_size=6), st.booleans())
def test_the_screen_looks_the_same_however_the_writes_are_cut(writes: list[str], erases: bool) -> None:
    output = CompactOutput(erases)
    shorter = [output.compress(text) for text in writes]
    plain, compressed = screen(writes), screen(shorter)
    assert cells(compressed) == cells(plain)
    assert (compressed.cursor.x, compressed.cursor.y) == (plain.cursor.x, plain.cursor.y)


def test_colours_are_sent_once() -> None:
    segment = "\x1b[38;2;86;180;233;48;2;16;20;26mword\x1b[0m"
    blank = "\x1b[38;2;1;1;1;48;2;16;20;26m    \x1b[0m"
    assert CompactOutput().compress(3 * (segment + blank)) == "\x1b[38;2;86;180;233;48;2;16;20;26m" + 3 * "word    "


def test_many_blanks_are_one_sequence_where_the_terminal_erases_in_colour() -> None:
    line = "\x1b[48;2;1;2;3mab" + 150 * " " + "\r\n"
    assert CompactOutput(can_erase=True).compress(line) == "\x1b[48;2;1;2;3mab\x1b[149X\x1b[149C \r\n"
    assert CompactOutput(can_erase=False).compress(line) == line
    assert CompactOutput(can_erase=True).compress("\x1b[4m" + 20 * " ") == "\x1b[4m" + 20 * " "
    assert CompactOutput(can_erase=True).compress("\x1b]0;a" + 20 * " " + "\x07") == "\x1b]0;a" + 20 * " " + "\x07"


@pytest.mark.parametrize(("term", "erases"), [("xterm-256color", True), ("screen", False), ("no-such-terminal", False)])
def test_terminfo_tells_which_terminal_does(term: str, erases: bool) -> None:
    words = f"from looptop.tui.terminal.compact_output import erases_in_colour; print(erases_in_colour({term!r}))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(erases)


def test_what_it_does_not_know_passes_and_finds_the_colours_as_they_should_be() -> None:
    output = CompactOutput()
    assert output.compress("\x1b[31mred") == "\x1b[31mred"
    assert output.compress("\x1b[0m") == ""
    assert output.compress("\x1b[?1049l") == "\x1b[39m\x1b[?1049l"
    assert output.compress("\x1b]0;title\x07\x1b_Gi=1;AAAA\x1b\\") == "\x1b]0;title\x07\x1b_Gi=1;AAAA\x1b\\"
