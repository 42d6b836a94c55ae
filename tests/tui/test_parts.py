"""The pieces that need no app: paths, the tables of actions, style sheets, plots, numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState, RunSummary
from looptop.tui import actions
from looptop.tui.ask.sources.easy_vqa import Benchmark
from looptop.tui.paths import is_path_text, may_be_paths, pasted_paths, typed_path
from looptop.tui.run_text import run_list_lines
from looptop.tui.text import bar, cell, duration, number, reason, safe

STYLES = Path(actions.__file__).parents[1] / "styles"
ID = re.compile(r"#[a-z][a-z-]+(?=[^;{}]*\{)")


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("/a/b.png", "/a/b.png"),
        ("  '/a/my b.png' ", "/a/my b.png"),
        ('"/a/my b.png"', "/a/my b.png"),
        ("/a/my\\ b.png", "/a/my b.png"),
        ("file:///a/my%20b.png", "/a/my b.png"),
        ("file://localhost/a/b.png", "/a/b.png"),
        ("/a/it's.png", "/a/it's.png"),
        ("/a/[b].png\n", "/a/[b].png"),
        ("/a/b\0.png", "/a/b.png"),
    ],
)
def test_paths_as_people_write_them(typed: str, path: str) -> None:
    assert typed_path(typed) == Path(path)


@pytest.mark.parametrize("typed", ["", "   ", "https://x.org/a.png", "file://elsewhere/a.png"])
def test_what_is_no_path_is_one_sentence(typed: str) -> None:
    with pytest.raises(LooptopError):
        typed_path(typed)


def test_home_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").touch()
    assert typed_path("~/a.png") == tmp_path / "a.png"
    assert is_path_text("~/a.png")
    assert not is_path_text("~/b.png")
    assert not is_path_text("what is ~/a.png?")


PARTS = ["/", "/tmp", "~", "./", "file:", "'", '"', "\\", " ", "\n", "\0", "what?"]


@given(some.lists(some.sampled_from(PARTS)).map("".join))
@example("\\/tmp /tmp")
@example("\\ /tmp /tmp")
def test_only_what_begins_like_a_path_has_paths(text: str) -> None:
    assert may_be_paths(text) or not pasted_paths(text)


@given(some.text())
def test_any_paste_is_taken_or_not_and_never_an_error(text: str) -> None:
    assert is_path_text(text) in (True, False)


@given(some.text(), some.integers(1, 60))
def test_a_cell_is_as_wide_as_wanted_and_holds_no_control(text: str, width: int) -> None:
    shown = cell(text, width)
    assert shown.cell_length == width
    assert not any(unicodedata.category(char) in ("Cc", "Cf") for char in shown.plain)


def test_markup_is_text() -> None:
    assert safe("[b]x[/b]").plain == "[b]x[/b]"
    assert safe("a\x1b[31m\nb").plain == "a␛[31m␊b"


def test_every_key_has_one_meaning_in_a_context() -> None:
    for context in actions.KEY_CONTEXTS:
        keys = Counter(key for action in actions.actions_of([context]) for key in action.keys.split(","))
        assert [key for key, count in keys.items() if count > 1] == []


def test_every_action_is_in_a_known_context_and_says_what_it_does() -> None:
    assert set(actions.ACTIONS) <= set(actions.KEY_CONTEXTS)
    for action in actions.actions_of(actions.KEY_CONTEXTS):
        assert action.label
        assert action.help.endswith(".") or not action.footer or action.help == ""


def test_numbers_and_durations_are_short() -> None:
    assert [number(x) for x in (0.0, 1.0, 12345.6, 0.00001, 0.1234567, float("nan"))] == [
        "0", "1", "12,346", "1.0e-5", "0.1235", "nan",
    ]  # fmt: skip
    assert [duration(x) for x in (3.2, 65, 7300, float("inf"))] == ["3 s", "1 min 5 s", "2 h 1 min", "unknown"]
    assert [bar(x, 4) for x in (0, 0.5, 1, 2)] == ["", "██", "████", "████"]


def test_the_benchmark_says_the_same_at_its_beginning_and_in_all() -> None:
    first, whole = Benchmark.find(), Benchmark.find()
    whole.load()
    images = first.images()
    assert len(images) == 1000
    assert sum(len(whole.asked(image)) for image in images) == 9673
    for image in images[:30]:
        assert first.asked(image) == whole.asked(image)
    assert first.note(images[0]) == "red triangle"


def test_a_reason_that_does_not_fit_says_where_all_of_it_is() -> None:
    sentence = safe("vqa-1 failed: no such file as [b]" + "x" * 100)
    assert reason(sentence, 200) == sentence
    cut = reason(sentence, 60)
    assert cut.cell_length == 60
    assert cut.plain.startswith("vqa-1 failed: no such") and cut.plain.endswith("…  l: all of it, in the log")


def rules(name: str) -> str:
    """A style sheet without its comments."""
    return re.sub(r"/\*.*?\*/", "", (STYLES / f"{name}.tcss").read_text("utf-8"), flags=re.DOTALL)


def test_every_type_in_the_style_sheets_is_a_class() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in STYLES.parent.rglob("*.py"))
    known = {*re.findall(r"^class (\w+)", sources, re.MULTILINE), "OptionList", "Screen", "Static", "Toast"}
    for sheet in STYLES.glob("*.tcss"):
        assert set(re.findall(r"(?<![\w.#$-])[A-Z]\w+", rules(sheet.stem))) <= known, sheet.name


def test_no_id_is_styled_by_two_screens() -> None:
    # A style sheet stays in force when its screen is left.
    styled = Counter(
        each for name in ("ask", "train", "ppo", "runs", "charts") for each in set(ID.findall(rules(name)))
    )
    assert [each for each, count in styled.items() if count > 1] == []


def test_runs_of_a_list_stand_in_columns() -> None:
    runs = [
        RunSummary(id=name, kind="vqa", state=RunState.FINISHED, preset="tiny", alerts=alerts, step=9, total_steps=9)
        for name, alerts in (("vqa-1", 0), ("vqa-11", 12))
    ]
    lines = [line.plain for line in run_list_lines(runs)]
    assert "finished, with 12 alerts" in lines[1]
    assert len({line.index("tiny") for line in lines}) == len({line.index("9/9") for line in lines}) == 1
