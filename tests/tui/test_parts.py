"""The pieces that need no app: paths, the tables of actions, style sheets, plots, numbers."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from looptop.engine.errors import LooptopError
from looptop.tui import actions
from looptop.tui.ask.easy_vqa import Benchmark
from looptop.tui.paths import is_path_text, typed_path
from looptop.tui.plots import plot
from looptop.tui.plots.curves import FIRST, SECOND, Axes, Curve, thinned
from looptop.tui.plots.plot import draw
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


def test_a_plot_has_the_size_it_is_given() -> None:
    curve = Curve(FIRST, range(500), [1 / (1 + step) for step in range(500)])
    for width, height in ((40, 8), (120, 30), (16, 4)):
        lines = draw([curve], Axes(0, 500), width, height)
        assert len(lines) == height
        assert {sum(len(run.text) for run in line) for line in lines} == {width}


@given(some.lists(some.floats(allow_nan=True, allow_infinity=True), max_size=40), some.booleans())
@example([5e-324], False)
def test_no_value_breaks_a_plot(values: list[float], log: bool) -> None:
    curves = [Curve(FIRST, range(len(values)), values), Curve(SECOND, range(len(values)), values, dots=True)]
    lines = draw(curves, Axes(0, max(len(values), 1), log=log), 50, 10)
    assert len(lines) in (0, 10)


@given(
    some.lists(some.tuples(some.integers(0, 10_000), some.integers(-50, 50)), min_size=1, max_size=60).map(sorted),
    some.integers(1, 200),
)
def test_a_line_is_thinned_to_what_can_be_told_apart(points: list[tuple[int, int]], places: int) -> None:
    steps, values = [float(step) for step, _ in points], [float(value) for _, value in points]
    found = thinned(Curve(FIRST, steps, values), 0, 10_000, places)

    def by_place(curve: Curve) -> dict[int, list[float]]:
        out: dict[int, list[float]] = {}
        for step, value in zip(curve.steps, curve.values, strict=True):
            out.setdefault(int(step * (places / 10_000)), []).append(value)
        return out

    kept, there = by_place(found), by_place(Curve(FIRST, steps, values))
    assert list(kept) == list(there)
    for place, all_of_them in there.items():
        some_of_them = kept[place]
        assert (some_of_them[0], some_of_them[-1]) == (all_of_them[0], all_of_them[-1])
        assert (min(some_of_them), max(some_of_them)) == (min(all_of_them), max(all_of_them))
        assert len(some_of_them) <= 4
    assert list(found.steps) == sorted(found.steps)


@given(some.lists(some.floats(-5, 5), min_size=2, max_size=300))
def test_the_beginning_of_a_long_run_looks_as_if_every_point_were_drawn(values: list[float]) -> None:
    curve, axes = Curve(FIRST, [float(step) for step in range(len(values))], values), Axes(0, 10_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot, "thinned", lambda curve, *_: curve)
        every_point = draw([curve], axes, 60, 12)
    assert draw([curve], axes, 60, 12) == every_point


ends = some.floats(-1e12, 1e12) | some.integers(-3, 3).map(float) | some.floats(-1e-9, 1e-9)


@given(ends, ends, some.integers(4, 40))
@example(-0.0199, -0.0201, 9)
@example(6.0, 6.0, 9)
@example(0.631, 3.2, 9)
@example(1_000_001.0, 1_000_002.0, 20)
@example(501.0, 1201.0, 8)
def test_every_axis_has_labels_that_differ(one: float, other: float, height: int) -> None:
    lines = draw([Curve(FIRST, (1.0, 10.0), (one, other))], Axes(1, 10), 70, height)
    beside = [text for line in lines if "┤" in (text := "".join(run.text for run in line))]
    words = [text.split("┤")[0].strip() for text in beside]
    assert len(words) >= 2 and len(set(words)) == len(words) and all(words)
    numbers = [float(word) for word in words]
    assert numbers == sorted(numbers, reverse=True)
    if one == other:
        assert any(math.isclose(each, one, rel_tol=0.02, abs_tol=1e-29) for each in numbers)


@given(some.integers(0, 10**7), some.integers(1, 10**7), some.integers(20, 200))
@example(501, 700, 32)
def test_every_axis_of_steps_has_two_labels(first: int, count: int, width: int) -> None:
    lines = draw([Curve(FIRST, (first, first + count), (0.0, 1.0))], Axes(first, first + count), width, 10)
    words = "".join(run.text for run in lines[-1]).split() if lines else []
    assert not lines or width < 40 or len(set(words)) >= 2


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
    said = safe("vqa-1 failed: no such file as [b]" + "x" * 100)
    assert reason(said, 200) == said
    cut = reason(said, 60)
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
