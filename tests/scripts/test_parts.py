"""Scripts that are made of parts, and what is written behind their names."""

from __future__ import annotations

import sys

import pytest

from scripts.command import chosen_parts

PARTS = {"one": 1, "two": 2}


def test_the_named_parts_are_chosen_and_all_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for words, chosen in (([], ["one", "two"]), (["two"], ["two"]), (["two", "one"], ["two", "one"])):
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        assert chosen_parts("scripts.bench", PARTS) == chosen


def test_any_other_name_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "one", "three"])
    with pytest.raises(SystemExit) as ended:
        chosen_parts("scripts.bench", PARTS)
    assert ended.value.code == 2
    assert "python -m scripts.bench: error: there is no part 'three'; choose from: one, two" in capsys.readouterr().err
