"""What a terminal sends, as keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from textual.events import AppFocus, Key, MouseDown, Paste, Resize
from textual.message import Message

from looptop.tui import replies, terminal
from looptop.tui.terminal import Keys
from tests.support import eventually


def names(messages: object) -> list[str]:
    return [message.key for message in messages if isinstance(message, Key)]  # type: ignore[attr-defined]


def test_an_escape_alone_is_the_key_soon() -> None:
    keys, came = Keys(), list[Message]()
    assert names(keys.feed("\x1b")) == []
    assert keys.patience <= terminal.ALONE

    def ticked() -> bool:
        came.extend(keys.tick())
        return bool(came)

    eventually(ticked, limit=5.0)
    assert names(came) == ["escape"] and keys.patience == terminal.LOOK


def test_a_sequence_that_comes_in_two_parts_is_one_key() -> None:
    keys = Keys()
    assert names(keys.feed("\x1b")) == []
    assert names(keys.feed("[")) == []
    assert keys.patience > terminal.ALONE, "the rest of a sequence is waited for longer"
    assert names(keys.feed("A")) == ["up"]
    assert names(keys.feed("\x1b3")) == ["alt+3"]


def test_a_person_may_say_how_long_an_escape_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCDELAY", "100")  # as Textual has it already
    keys = Keys()
    assert names(keys.feed("\x1b")) == []
    assert keys.patience > terminal.ALONE


REPLIES = [
    "\x1b]11;rgb:3030/3434/4646\x1b\\",
    "\x1b]10;rgb:ffff/ffff/ffff\x07",
    "\x1b]4;1;rgb:cccc/0000/0000\x1b\\",
    "\x1b]52;c;cXVpdA==\x07",
    "\x1bP>|tmux 3.4\x1b\\",
    "\x1bP1+r544e=787465726d\x1b\\",
    "\x1bP!|00000000\x1b\\",
    "\x1b_Gi=31;OK\x1b\\",
    "\x1b[?62;4c",
    "\x1b[>1;10;0c",
    "\x1b[0n",
    "\x1b[?997;1n",
    "\x1b[8;40;120t",
    "\x1b[?1u",
    "\x1b[?12;40R",
]


def typed(keys: Keys, *parts: str) -> list[Message]:
    came = list[Message]()
    for part in parts:
        came += keys.feed(part)

    def quiet() -> bool:
        came.extend(keys.tick())
        return keys.patience == terminal.LOOK

    eventually(quiet, limit=5.0)
    return came


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_of_the_terminal_is_no_typing(reply: str) -> None:
    assert names(typed(Keys(), f"a{reply}b")) == ["a", "b"]
    # A slow link cuts it anywhere, but right behind the ESC, which is then a key.
    for cut in range(2, len(reply)):
        assert names(typed(Keys(), "a" + reply[:cut], reply[cut:] + "b")) == ["a", "b"], cut
    assert names(typed(Keys(), *("a", *[reply[:2], *reply[2:]], "b"))) == ["a", "b"]


@pytest.mark.parametrize("reply", REPLIES[:10])
def test_a_reply_whose_escape_came_alone_types_nothing(reply: str) -> None:
    keys, came = Keys(), list[Message]()
    came += keys.feed("\x1b")
    eventually(lambda: (came.extend(keys.tick()), came)[1], limit=5.0)
    came += keys.feed(reply[1:])
    assert names(came) == ["escape"]


def test_what_is_typed_behind_a_reply_that_never_ends_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "LONGEST_PAUSE", 0.0)
    keys = Keys()
    assert names(keys.feed("\x1b]11;rgb:30")) == []
    eventually(lambda: "a" in names(keys.feed("a")), limit=5.0)
    monkeypatch.undo()
    assert names(Keys().feed("\x1b]11;rgb:30\r")) == ["enter"]
    assert names(Keys().feed("\x1b]11;rgb:30\x1b[A")) == ["up"]
    assert names(Keys().feed("\x1b]11;rgb:30\x03")) == ["ctrl+c"]


@given(some.text(some.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_text_is_typed_letter_by_letter(text: str) -> None:
    characters = [message.character for message in Keys().feed(text) if isinstance(message, Key)]
    assert characters == list(text)


@given(some.text(some.sampled_from("\x1b]P_G[?;0123c\\\x07\rab>"), max_size=40), some.lists(some.integers(0, 40)))
def test_no_input_is_an_error(text: str, cuts: list[int]) -> None:
    keys, before = Keys(), 0
    for cut in sorted(cuts):
        list(keys.feed(text[before:cut]))
        before = max(before, cut)


def test_keys_mouse_paste_and_sizes_come_as_before() -> None:
    keys = Keys()
    assert names(keys.feed("\x1b[A\x1bOP\x1b[1;5C\x1b[5~\x1b[Z")) == ["up", "f1", "ctrl+right", "pageup", "shift+tab"]
    assert names(typed(keys, "\x1b]")) == ["right_square_bracket"]
    kinds = [type(message) for message in keys.feed("\x1b[<0;3;4M\x1b[I\x1b[48;40;120;600;800t\x1b[200~a\nb\x1b[201~x")]
    assert kinds == [MouseDown, AppFocus, Resize, Paste, Key]
