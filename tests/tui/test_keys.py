"""What a terminal sends, as keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from textual.events import AppFocus, Key, MouseDown, Paste, Resize
from textual.message import Message

from looptop.tui.terminal import driver as terminal
from looptop.tui.terminal import replies
from looptop.tui.terminal.driver import Keys
from tests.support import eventually


def names(messages: object) -> list[str]:
    return [message.key for message in messages if isinstance(message, Key)]  # type: ignore[attr-defined]


def test_an_escape_alone_is_the_key_soon() -> None:
    keys, came = Keys(), list[Message]()
    assert names(keys.feed("\x1b")) == []
    assert keys.patience <= terminal.ESCAPE_SECONDS

    def ticked() -> bool:
        came.extend(keys.tick())
        return bool(came)

    eventually(ticked, limit=5.0)
    assert names(came) == ["escape"] and keys.patience == terminal.EXIT_CHECK_SECONDS


def test_an_escape_that_was_alone_is_not_taken_for_alt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ESCAPE_SECONDS", 1e-9)
    keys = Keys()
    assert names([*keys.feed("\x1b"), *keys.feed("o")]) == ["escape", "o"]


def test_a_sequence_that_comes_in_two_parts_is_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = terminal.ESCAPE_SECONDS
    monkeypatch.setattr(terminal, "ESCAPE_SECONDS", 60.0)
    keys = Keys()
    assert names(keys.feed("\x1b")) == []
    assert names(keys.feed("[")) == []
    assert keys.patience > alone, "the rest of a sequence is waited for longer"
    assert names(keys.feed("A")) == ["up"]
    assert names(keys.feed("\x1b3")) == ["alt+3"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("\x1bx", ["escape", "x"]),
        ("\x1bxy", ["escape", "x", "y"]),
        ("\x1bA", ["escape", "A"]),
        ("\x1b/", ["escape", "slash"]),
        ("\x1b ", ["escape", "space"]),
        ("\x1b\r", ["escape", "enter"]),
        ("\x1b\x1bx", ["escape", "escape", "x"]),
        ("\x1b3", ["alt+3"]),
        ("\x1b[A", ["up"]),
        ("\x1bf", ["ctrl+right"]),  # alt and the right arrow of many terminals
    ],
)
def test_an_escape_and_a_key_that_arrive_together_are_two_keys(data: str, expected: list[str]) -> None:
    assert names(typed(Keys(), data)) == expected


def test_a_person_may_say_how_long_an_escape_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCDELAY", "100")  # as Textual has it already
    keys = Keys()
    assert names(keys.feed("\x1b")) == []
    assert keys.patience > terminal.ESCAPE_SECONDS


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
    "\x1b]l a title\x1b\\",
    "\x1b]L an icon\x1b\\",
    "\x1b^a private message\x1b\\",
    "\x1bXany string\x1b\\",
    "\x9d11;rgb:1/2/3\x9c",
    "\x9dl a title\x9c",
    "\x90>|tmux 3.4\x9c",
    "\x9fGi=31;OK\x9c",
    "\x98any string\x1b\\",
    "\x9ea private message\x9c",
    "\x9b?62;4c",
    "\x9b0n",
]


def typed(keys: Keys, *parts: str) -> list[Message]:
    came = list[Message]()
    for part in parts:
        came += keys.feed(part)

    def quiet() -> bool:
        came.extend(keys.tick())
        return keys.patience == terminal.EXIT_CHECK_SECONDS

    eventually(quiet, limit=5.0)
    return came


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_of_the_terminal_is_no_typing(reply: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ESCAPE_SECONDS", 60.0)
    assert names(typed(Keys(), f"a{reply}b")) == ["a", "b"]
    # A slow link cuts it anywhere.
    for cut in range(1, len(reply)):
        assert names(typed(Keys(), "a" + reply[:cut], reply[cut:] + "b")) == ["a", "b"], cut
    assert names(typed(Keys(), *("a", *[reply[:2], *reply[2:]], "b"))) == ["a", "b"]


@pytest.mark.parametrize("reply", REPLIES[:10])
def test_a_reply_whose_escape_came_alone_types_nothing(reply: str) -> None:
    keys, came = Keys(), list[Message]()
    came += keys.feed("\x1b")
    eventually(lambda: (came.extend(keys.tick()), came)[1], limit=5.0)
    came += keys.feed(reply[1:])
    assert names(came) == ["escape"]


PIECES = [
    ("\x1b[?62;", "4;22c"),
    ("\x1b]11;rgb:3030/34", "34/4646\x1b\\"),
    ("\x1bP>|tmux", " 3.4\x1b\\"),
    ("\x9b", "?62;4;22c"),
    ("\x9d", "11;rgb:1/2/3\x9c"),
]


@pytest.mark.parametrize("longest", [0.0, 3600.0])
@pytest.mark.parametrize("pieces", PIECES)
def test_a_reply_with_a_pause_in_it_is_no_typing(
    pieces: tuple[str, str], longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "HOLD_SECONDS", 0.0)
    monkeypatch.setattr(replies, "MAX_PAUSE_SECONDS", longest)
    keys, came = Keys(), list[Message]()
    for piece in pieces:
        came += [*keys.feed(piece), *keys.tick()]
    assert names([*came, *typed(keys, "b")]) == ["b"]


def test_an_end_with_a_pause_in_it_is_no_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "HOLD_SECONDS", 0.0)
    keys = Keys()
    came = [*keys.feed("\x1b]11;rgb:1/2/3\x1b"), *keys.tick(), *keys.feed("\\b")]
    assert names(came) == ["b"]


@pytest.mark.parametrize(
    ("pieces", "key"),
    [
        (("\x1b]", "11;rgb:1/2/3\x07"), "right_square_bracket"),
        (("\x1b]", "l a title\x1b\\"), "right_square_bracket"),
        (("\x1bP", ">|tmux 3.4\x1b\\"), "alt+shift+p"),
        (("\x1b[", "?62;4;22c"), "left_square_bracket"),
    ],
)
def test_of_what_may_be_typed_only_the_rest_of_the_reply_is_dropped(pieces: tuple[str, str], key: str) -> None:
    keys = Keys()
    came = names(typed(keys, pieces[0]))
    assert came == names(typed(Keys(), pieces[0])) and came[-1] == key
    assert names(typed(keys, pieces[1] + "b")) == ["b"]


@pytest.mark.parametrize("text", ["\x1b]l", "\x1b]lab", "\x1bXab", "\x1b^ab", "\x1bPab", "\x1b_ab", "\x1b[", "\x1b[?"])
def test_typing_that_looks_like_the_beginning_of_a_reply_comes(text: str) -> None:
    def letters(keys: Keys, *parts: str) -> list[str | None]:
        return [message.character for message in typed(keys, *parts) if isinstance(message, Key)]

    assert letters(Keys(), text)[-1] == text[-1]
    assert letters(Keys(), *text)[-1] == text[-1]
    assert names(typed(Keys(), text, "\r"))[-1] == "enter"


def test_a_single_letter_behind_a_late_reply_is_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MAX_PAUSE_SECONDS", 0.0)
    for begun in ("\x1b[?62;", "\x1b]11;rgb:30"):
        keys = Keys()
        assert names([*keys.feed(begun), *keys.tick(), *keys.feed("c")]) == ["c"]
        assert names(keys.feed("hello")) == list("hello")
    monkeypatch.undo()
    assert names(Keys().feed("\x1b[?62;h")) == ["h"], "no reply ends so"


def test_a_pasted_text_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ESCAPE_SECONDS", 60.0)
    text = "a \x9d11;x and \x9b0n\nb"
    pasted = f"\x1b[200~{text}\x1b[201~"
    for cut in range(1, len(pasted)):
        came = typed(keys := Keys(), pasted[:cut], pasted[cut:])
        assert [message.text for message in came if isinstance(message, Paste)] == [text], cut
        assert names(typed(keys, "\x1b[?62;4cx")) == ["x"]


def test_what_is_typed_behind_a_reply_that_never_ends_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MAX_PAUSE_SECONDS", 0.0)
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
