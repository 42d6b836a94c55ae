"""What a terminal sends, as keys."""

from __future__ import annotations

import pytest
from textual.events import Key
from textual.message import Message

from looptop.tui import terminal
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
