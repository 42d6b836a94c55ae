"""How charts are drawn: lines, axes, labels, windows, marks; without an app."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as some
from rich.cells import cell_len

from looptop.engine.journal.records import Series
from looptop.engine.journal.step_positions import StepPositions
from looptop.tui.charts.reader import ordered_metrics
from looptop.tui.plots.chart_data import AxisMark, ChartData, Entry, Level, WallData
from looptop.tui.plots.chart_lines import ChartLines, Marking, changed_cells
from looptop.tui.plots.chart_title import title_line
from looptop.tui.plots.composing import RunCurves, compose, compose_wall
from looptop.tui.plots.curves import AXIS, FAINT, FIRST, LEVEL, ROLES, SECOND, SIXTH, Curve, TextSpan, envelope
from looptop.tui.plots.drawing import Drawing, PlotArea, column_of, draw
from looptop.tui.plots.picture import PngCanvas, SvgCanvas, paint
from looptop.tui.plots.scales import axis_ticks, clock, end_labels, limits_and_ticks, tick_labels
from looptop.tui.plots.spec import ChartSpec, Line
from looptop.tui.plots.text_picture import text_picture
from looptop.tui.plots.view import Span, View, limited, neighbour, panned, rounded_up, zoomed
from looptop.tui.plots.wall_layout import MinChartSize, grid

values = some.floats(allow_nan=True, allow_infinity=True)
numbers = some.floats(-1e12, 1e12) | some.integers(-3, 3).map(float) | some.floats(-1e-9, 1e-9)


def area(width: int = 60, height: int = 14, first: float = 0, last: float = 100, **options: object) -> PlotArea:
    return PlotArea(width, height, Span(first, last), **options)  # type: ignore[arg-type]


def drawn(*curves: Curve, on: PlotArea | None = None, **options: object) -> Drawing:
    drawing = draw(ChartData(curves, **options), on or area())  # type: ignore[arg-type]
    assert drawing is not None
    return drawing


def text(line: list[TextSpan]) -> str:
    return "".join(run.text for run in line)


def cells(drawing: Drawing, *roles: int) -> list[list[str]]:
    """The columns of the curves, each as its cells from the top that have one of these roles, or a blank."""
    rows = []
    for line in drawing.lines[: drawing.height]:
        letters = [letter if run.role in roles else " " for run in line for letter in run.text]
        rows.append(letters[drawing.left : drawing.left + drawing.width])
    return [list(column) for column in zip(*rows, strict=True)]


@given(some.integers(1, 120), some.integers(1, 40), some.booleans())
def test_a_chart_has_the_size_it_is_given(width: int, height: int, named: bool) -> None:
    curves = [
        Curve(role, range(100), [role / (1 + step) for step in range(100)], name=f"run {role}" if named else "")
        for role in ROLES
    ]
    levels, marks = (Level(0.5, "a level"),), (AxisMark(50, "best"),)
    drawing = draw(ChartData(tuple(curves), levels, marks), area(width, height))
    if drawing is not None:
        assert len(drawing.lines) == height
        assert {len(text(line)) for line in drawing.lines} == {width}


@given(some.lists(values, max_size=40), some.booleans(), some.integers(10, 50), some.integers(1, 12))
@example([5e-324], False, 30, 3)
@example([5e-324, 1e308], True, 40, 10)
def test_no_value_breaks_a_chart(points: list[float], log: bool, width: int, height: int) -> None:
    curve = Curve(FIRST, range(len(points)), points, dots=True)
    drawing = draw(ChartData((curve,)), PlotArea(width, height, Span(0, max(len(points), 1)), log=log))
    if drawing is None:
        assert width < 30 or not any(math.isfinite(value) and (value > 0 or not log) for value in points)


@given(some.lists(some.floats(-1e6, 1e6), min_size=2, max_size=300))
def test_a_line_is_continuous(points: list[float]) -> None:
    drawing = drawn(Curve(FIRST, range(len(points)), points), on=area(last=len(points) - 1))
    rows = [{y for y, cell in enumerate(column) if cell != " "} for column in cells(drawing, FIRST)]
    assert all(rows)
    for left, right in pairwise(rows):
        assert min(abs(a - b) for a in left for b in right) <= 1
        for column in (left, right):
            assert column == set(range(min(column), max(column) + 1))


def test_a_gap_stays_a_gap() -> None:
    points = [1.0] * 40 + [math.nan] * 20 + [1.0] * 40
    columns = cells(drawn(Curve(FIRST, range(100), points), on=area(last=99)), FIRST)
    filled = [any(cell != " " for cell in column) for column in columns]
    begin, end = (round(step / 99 * len(columns)) for step in (41, 59))
    assert not any(filled[begin + 1 : end - 1]) and all(filled[: begin - 2]) and all(filled[end + 2 :])


def test_a_line_goes_on_to_the_edges_of_a_window() -> None:
    curve = Curve(FIRST, (0, 100), (0.0, 100.0))
    drawing = drawn(curve, on=area(first=40, last=60))
    assert all(any(cell != " " for cell in column) for column in cells(drawing, FIRST))
    written = [float(text(line).split("┤")[0]) for line in drawing.lines if "┤" in text(line)]
    assert min(written) >= 39 and max(written) <= 61, "the scale is that of the window"


def test_every_peak_of_a_crowded_column_is_drawn() -> None:
    points = [1000.0 if step == 12_345 else 1.0 for step in range(20_000)]
    top = drawn(Curve(FIRST, range(20_000), points), on=area(last=19_999)).lines[0]
    assert any(run.role == FIRST and run.text.strip() for run in top)


# Axes.


@given(numbers, numbers, some.integers(5, 40), some.booleans())
@example(-0.0199, -0.0201, 9, False)
@example(6.0, 6.0, 9, False)
@example(0.631, 3.2, 9, True)
@example(1_000_001.0, 1_000_002.0, 20, False)
@example(501.0, 1201.0, 8, False)
def test_every_axis_has_labels_that_differ(one: float, other: float, height: int, log: bool) -> None:
    assume(not log or (one > 1e-300 and other > 1e-300))
    drawing = drawn(Curve(FIRST, (1.0, 10.0), (one, other)), on=PlotArea(70, height, Span(1, 10), log=log))
    words = [word for line in drawing.lines[: drawing.height] if (word := text(line)[: drawing.left - 1].strip())]
    assert len(words) >= 2 and len(set(words)) == len(words)
    written = [float(word) for word in words if not word.startswith("+")]
    assert written == sorted(written, reverse=True)
    if one == other:
        assert any(math.isclose(each, one, rel_tol=0.1, abs_tol=1e-29) for each in written)


def test_there_are_three_labels_where_there_is_room() -> None:
    for height in (9, 14, 30):
        for low, high in ((0.05, 0.84), (0.0, 1.0), (3.2, 4.9), (-2.0, 7.0)):
            drawing = drawn(Curve(FIRST, (0, 100), (low, high)), on=area(36, height))
            assert sum("┤" in text(line) for line in drawing.lines) >= 3, (height, low, high)


@given(some.floats(1e-6, 1e6), some.floats(1.01, 1e6), some.integers(3, 12))
@example(0.4, 4.0, 5)
def test_ticks_of_a_logarithmic_scale_are_round_values(low: float, factor: float, count: int) -> None:
    _, _, ticks = limits_and_ticks(math.log10(low), math.log10(low * factor), count, True)
    written = tick_labels(ticks, True)
    assert len(set(written)) == len(written) >= 2
    if factor >= 10:
        for label in written:
            digits = f"{float(label):.6e}".split("e")[0].rstrip("0").replace(".", "")
            assert len(digits) == 1, written


@given(some.integers(0, 10**7), some.integers(1, 10**7), some.integers(40, 200), some.sampled_from(["step", "time"]))
@example(501, 700, 40, "step")
@example(3600, 2, 60, "time")
def test_every_horizontal_axis_has_two_labels(first: int, count: int, width: int, unit: str) -> None:
    on = PlotArea(width, 10, Span(first, first + count), unit=unit)  # type: ignore[arg-type]
    words = text(drawn(Curve(FIRST, (first, first + count), (0.0, 1.0)), on=on).lines[-1]).split()
    assert words[0] == unit
    assert len(set(words[1:])) >= 2 or count < 2 or width < 60


@given(some.floats(0, 1e3), some.floats(1e-3, 1e3), some.integers(2, 12))
def test_epochs_have_round_labels_that_say_where_they_are(first: float, width: float, count: int) -> None:
    ticks = axis_ticks(Span(first, first + width), "epoch", count)
    assert len(ticks) >= 2
    assert all(float(label.replace(",", "")) == pytest.approx(at, abs=1e-6 * width) for at, label in ticks)


def test_time_is_written_as_on_a_stopwatch() -> None:
    assert [clock(seconds) for seconds in (0, 45, 60, 90, 3600, 5400, 90_000)] == [
        "0s", "45s", "1m", "1m30s", "1h", "1h30m", "1d1h",
    ]  # fmt: skip
    assert [label for _, label in axis_ticks(Span(0, 200), "time", 4)] == ["0s", "1m", "2m", "3m"]


@given(some.floats(-1e9, 1e9), some.floats(-1e9, 1e9) | some.floats(-1e-9, 1e-9))
@example(-0.0201, 0.0002)
@example(-0.019992, 0.000001)
@example(1_000_001.0, 1.0)
def test_the_ends_of_a_low_chart_have_labels_that_differ(lowest: float, above: float) -> None:
    highest = lowest + abs(above)
    assume(highest - lowest > 4e-7 * max(abs(lowest), abs(highest)))
    low, high = end_labels(lowest, highest)
    assert low != high and low and high and max(len(low), len(high)) <= 6


@pytest.mark.parametrize(("value", "label"), [(0.05, "0.050"), (-0.016, "-0.016"), (6.0, "6.0"), (3e5, "3e5")])
@pytest.mark.parametrize("height", [1, 2, 3])
def test_what_never_changes_is_labelled_with_its_value(value: float, label: str, height: int) -> None:
    drawing = drawn(Curve(FIRST, (0, 100), (value, value)), on=area(30, height))
    assert label in [text(line)[:6].strip() for line in drawing.lines]


# What is drawn besides the curves.


def test_lines_to_compare_with_are_named_and_hide_no_curve() -> None:
    falling = Curve(FIRST, range(101), [1 - step / 101 for step in range(101)])
    drawing = drawn(falling, levels=(Level(0.84, "before training"), Level(0.67, "question only", percent=True)))
    whole = "\n".join(map(text, drawing.lines))
    assert "before training 0.84" in whole and "question only 67 %" in whole
    assert all(any(cell != " " for cell in column) for column in cells(drawing, FIRST))


def test_a_line_to_compare_with_does_not_press_the_curve_flat() -> None:
    small = Curve(FIRST, range(101), [0.001 * step for step in range(101)])
    drawing = drawn(small, levels=(Level(500.0, "before training"),))
    assert "before training" not in "\n".join(map(text, drawing.lines))


def test_evaluations_and_checkpoints_are_marked_on_the_axis() -> None:
    marks = tuple(AxisMark(step, kind) for step, kind in ((10, "evaluation"), (50, "checkpoint"), (90, "best")))  # type: ignore[arg-type]
    drawing = drawn(Curve(FIRST, (0, 100), (0.0, 1.0)), marks=marks)
    axis = text(drawing.lines[drawing.height])
    for step, sign in ((10, "○"), (50, "◆"), (90, "★")):
        at = column_of(step, Span(0, 100), drawing.width)
        assert at is not None and axis[drawing.left + at] == sign


def test_curves_are_told_apart_without_colours() -> None:
    def picture(role: int, colourless: bool) -> list[str]:
        on = area(80, colourless=colourless)
        curves = [
            Curve(role, range(101), [1.0] * 101),
            Curve(SIXTH, (0, 1), (0.0, 2.0)),
            Curve(FIRST, (0, 1), (0.0, 2.0)),
        ]
        return ["".join(column) for column in cells(drawn(*curves, on=on), role)[10:60]]

    assert len({tuple(picture(role, True)) for role in ROLES}) == len(ROLES), "each has dashes of its own"
    assert len({tuple(picture(role, False)) for role in ROLES}) == 1, "with colours, all are whole"


def test_names_are_at_the_ends_of_several_curves() -> None:
    curves = [
        Curve(role, (0, 100), (0.0, end), name=name) for role, end, name in ((FIRST, 1.0, "a"), (SECOND, 0.5, "b"))
    ]
    lines = list(map(text, drawn(*curves, on=area(80)).lines))
    rows = [next(y for y, line in enumerate(lines) if line.rstrip().endswith(name)) for name in "ab"]
    assert rows[0] < rows[1]


def test_names_from_outside_act_on_nothing_and_take_their_cells() -> None:
    spec = ChartSpec("scores", "scores", (Line("a", "evil\x1b[2J", FIRST), Line("b", "一二三四五六七八", SECOND)))
    chart = compose(spec, [RunCurves("ppo-1", {"a": series([1.0, 2.0]), "b": series([2.0, 1.0])})])
    drawing = draw(chart, area(80, last=3))
    assert drawing is not None
    assert {cell_len(text(line)) for line in drawing.lines} == {80}
    assert "\x1b" not in "".join(map(text, drawing.lines)) + "".join(entry.label for entry in chart.entries)


def test_only_the_cells_that_changed_are_drawn_again() -> None:
    before, after = [TextSpan("abcd", 1), TextSpan("ef", 2)], [TextSpan("ab", 1), TextSpan("xd", 1), TextSpan("ef", 2)]
    assert changed_cells(before, after) == (2, 3)
    assert changed_cells(before, [TextSpan("abcd", 1), TextSpan("ef", 3)]) == (4, 6)
    assert changed_cells([TextSpan("一x", 1)], [TextSpan("一y", 1)]) == (0, 3)


# Windows.

spans = some.tuples(some.floats(-1e6, 1e6), some.floats(1e-3, 1e6)).map(lambda each: Span(each[0], each[0] + each[1]))
shares = some.floats(0, 1)


@given(spans, shares, some.sampled_from([0.5, 0.8, 1.25, 2.0]))
def test_zooming_leaves_what_is_under_the_pointer_where_it_is(span: Span, share: float, factor: float) -> None:
    everything = Span(span.first - 1e9, span.last + 1e9)
    about = span.first + share * span.width
    window = zoomed(span, everything, about, factor, 0.0)
    assert window.width == pytest.approx(span.width * factor, rel=1e-6)
    assert (about - window.first) / window.width == pytest.approx(share, abs=1e-5)


@given(spans, shares, shares, some.floats(-1e6, 1e6), some.sampled_from([0.5, 2.0]))
def test_a_window_never_leaves_the_data(whole: Span, one: float, other: float, shift: float, factor: float) -> None:
    low, high = sorted((one, other))
    span = Span(whole.first + low * whole.width, whole.first + high * whole.width)
    room = 1e-6 * (abs(whole.first) + whole.width)
    for window in (
        zoomed(span, whole, span.first, factor, 0.0),
        panned(span, whole, shift),
        limited(Span(span.first + shift, span.last + shift), whole),
    ):
        assert window.first >= whole.first - room and window.last <= whole.last + room
    assert panned(span, whole, shift).width == pytest.approx(span.width, abs=room)


def test_a_window_keeps_its_steps_when_the_unit_changes() -> None:
    by_step = WallData(whole=Span(0, 100))
    by_time = WallData(whole=Span(0, 250), step_positions=StepPositions([0, 50, 100], [0.0, 50.0, 250.0]))
    window = by_step.window(Span(25, 75))
    assert window == Span(25, 75) and by_time.span(window) == Span(25, 150)
    assert by_time.window(by_time.span(window)) == window
    assert by_step.window(Span(0, 100)) is None and by_time.span(None) == Span(0, 250)


def test_the_cursor_goes_from_point_to_point_and_follows_the_newest() -> None:
    steps = [10, 20, 30]
    assert [neighbour(steps, at, 1) for at in (None, 5, 10, 15, 30, 99)] == [None, 10, 20, 20, None, None]
    assert [neighbour(steps, at, -1) for at in (None, 5, 10, 15, 30, 99)] == [20, 10, 10, 10, 20, 30]


@given(some.integers(1, 10**9))
def test_a_live_axis_ends_at_a_round_number(count: int) -> None:
    rounded = rounded_up(count)
    assert count <= rounded <= 2 * count and str(round(rounded)).rstrip("0") in ("1", "2", "3", "5", "7")


@given(some.integers(20, 300), some.integers(5, 80), some.integers(1, 40), some.integers(0, 39), some.booleans())
def test_every_chart_is_on_one_page_and_can_be_searched_for(
    width: int, height: int, count: int, chosen: int, large: bool
) -> None:
    chosen = min(chosen, count - 1)
    page = grid((width, height), count, chosen, MinChartSize(36, 9), large=large)
    assert page.first <= chosen < page.first + page.length <= count
    assert page.columns * page.width <= width and page.rows * page.height <= max(height, page.rows)
    for index in range(page.first, page.first + page.length):
        left, top = page.origin(index)
        assert page.index_at(left, top) == index


# What charts are made of.


def series(points: list[float], smoothed: list[float] | None = None) -> Series:
    steps = list(range(1, len(points) + 1))
    averages = list(zip(steps, smoothed, strict=True)) if smoothed else []
    return Series(steps, points, points, points, [0] * len(points), averages)  # type: ignore[arg-type]


LOSS = ChartSpec("loss", "Loss", (Line("loss", "train", FIRST), Line("eval_loss", "validation", SECOND, dots=True)))


def test_the_raw_curve_stays_visible_behind_the_smoothed_one() -> None:
    run = RunCurves("vqa-1", {"loss": series([1.0, 3.0] * 20, [2.0] * 40), "eval_loss": series([1.0, 2.0])})
    plain, smooth = compose(LOSS, [run]), compose(LOSS, [run], weight=0.6)
    assert [curve.role for curve in plain.curves] == [SECOND, FIRST] and not plain.smoothed
    assert [curve.role for curve in smooth.curves] == [SECOND, FAINT, FIRST] and smooth.smoothed == 0.6
    assert smooth.curves[1].values == plain.curves[1].values
    only_evaluations = ChartSpec("a", "a", (Line("eval_loss", "", FIRST, dots=True),))
    assert not compose(only_evaluations, [run], weight=0.6).smoothed


def test_runs_that_are_laid_over_have_one_colour_each_and_the_one_in_front_is_on_top() -> None:
    runs = [RunCurves(f"vqa-{at}", {"loss": series([1.0, 2.0])}) for at in (1, 2, 3)]
    spec = ChartSpec("loss", "loss", (Line("loss", "", FIRST),))
    assert [curve.role for curve in compose(spec, runs).curves] == [ROLES[2], SECOND, FIRST]
    assert [entry.label for entry in compose(spec, runs).entries] == ["vqa-1", "vqa-2", "vqa-3"]
    assert [curve.role for curve in compose(spec, runs, front=1).curves] == [FAINT, FAINT, FIRST]
    over = compose_wall([LOSS], runs, View()).charts["loss"]
    assert {curve.role for curve in over.curves} == {FIRST, *ROLES[2:4]}, "the second line has a colour, too"


def test_runs_are_laid_over_each_other_by_epoch() -> None:
    slow, fast = StepPositions([0, 100], [0.0, 1.0]), StepPositions([0, 50], [0.0, 1.0])
    loss = series([2.0, 1.0])
    runs = [
        RunCurves("vqa-1", {"loss": loss}, step_positions=slow, last=100),
        RunCurves("vqa-2", {"loss": loss}, step_positions=fast, last=100),
    ]
    data = compose_wall([LOSS], runs, View(unit="epoch"))
    assert data.whole == Span(0, 2.0), "the second run made two epochs"
    ends = [curve.xs[-1] for curve in data.charts["loss"].curves if curve.values]
    assert sorted(ends) == [pytest.approx(0.02), pytest.approx(0.04)]


def test_an_envelope_holds_both_ends_of_every_column_and_goes_on_from_the_nearer_one() -> None:
    wide = Series([10, 20, 30], [0.5, 5.0, 0.5], [0.0, 0.0, 0.5], [1.0, 9.0, 0.5], [0, 0, 0])
    assert envelope(wide) == ([10, 10, 20, 20, 30], [0.0, 1.0, 0.0, 9.0, 0.5])
    wide = Series([10, 20], [0.5, 5.0], [0.0, 0.5], [9.0, 8.0], [0, 0])
    assert envelope(wide) == ([10, 10, 20, 20], [0.0, 9.0, 8.0, 0.5])


def test_loss_and_what_evaluations_measure_come_first_and_their_speed_last() -> None:
    logged = ("eval_runtime", "eval_samples_per_second", "eval_loss", "eval_accuracy", "eval_f1", "grad_norm", "loss")
    assert ordered_metrics(logged) == (
        "loss", "eval_loss", "eval_accuracy", "eval_f1", "grad_norm", "eval_runtime", "eval_samples_per_second",
    )  # fmt: skip


# Pictures.


def chart() -> ChartData:
    curves = (
        Curve(FAINT, range(101), [1.2 / (1 + step) for step in range(101)]),
        Curve(FIRST, range(101), [1 / (1 + step) for step in range(101)], name="vqa-1"),
        Curve(SECOND, (0, 50, 100), (1.0, math.nan, 0.1), dots=True, name='<&"b'),
    )
    return ChartData(curves, (Level(0.84, "before training"),), (AxisMark(50, "best"),))


@pytest.mark.parametrize("log", [False, True])
def test_a_picture_is_drawn_from_the_data(log: bool) -> None:
    svg = paint(SvgCanvas(), "loss & <b>", chart(), Span(0, 100), "step", log=log, axis_name="step")
    root = ElementTree.fromstring(svg)
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "before training 0.84" in words and '<&"b' in words and "step" in words
    assert any(word and word.startswith("loss & <b>") for word in words)
    lines = [node.attrib["points"].count(" ") + 1 for node in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert lines.count(101) == 2, "every point, not one for each cell of a terminal"
    png = paint(PngCanvas(), "loss", chart(), Span(0, 100), "epoch", log=log, axis_name="step")
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("log", [False, True])
def test_a_chart_as_text_fits_into_a_mail(log: bool) -> None:
    entries = (Entry("train", FIRST, False, "1"), Entry("validation", SECOND, True, "1"))
    drawing = text_picture(
        "loss\x1b[2J", replace(chart(), entries=entries), Span(0, 100), "epoch", log=log, axis_name="step"
    )
    lines = drawing.splitlines()
    assert max(map(len, lines)) <= 100 and "\x1b" not in drawing
    assert lines[0].startswith("loss") and "by epoch" in lines[0] and ("logarithmic" in lines[0]) == log
    assert "  ━ train" in lines and "  ◦ validation" in lines and "  ┄ before training 0.84" in lines
    assert sum("◦" in line for line in lines) == 3, "two points and their name"
    assert "no values" in text_picture("loss", ChartData(), Span(0, 1), "step", log=log, axis_name="step")


def test_a_curve_without_a_name_is_as_far_from_the_others_in_the_title() -> None:
    entries = (Entry("train", FIRST, False, "0.5"), Entry("", SECOND, True, "0.7"))
    line = title_line("Loss", ChartData(entries=entries), View(), 60, chosen=False, named=True, colourless=True)
    assert text(line).rstrip() == " Loss   ━ train 0.5  ◦ 0.7"


def test_a_picture_of_nothing_is_empty() -> None:
    svg = paint(SvgCanvas(), "loss", ChartData(), Span(0, 1), "time", log=False, axis_name="step")
    assert b"polyline" not in svg and b"loss" in svg


def test_the_axis_has_its_own_role() -> None:
    drawing = drawn(Curve(FIRST, (0, 100), (0.0, 1.0)), levels=(Level(0.5, "x"),))
    assert {run.role for run in drawing.lines[-1]} == {AXIS}
    assert any(run.role == LEVEL for line in drawing.lines for run in line)


@pytest.mark.parametrize(
    ("points", "log", "words"),
    [
        ((), False, "nothing to draw yet"),
        ((math.nan, math.inf), False, "all values are NaN or infinite"),
        ((-2.0, math.nan), True, "no value above 0 to draw on this scale"),
    ],
)
def test_an_empty_chart_says_why(points: tuple[float, ...], log: bool, words: str) -> None:
    chart = ChartData((Curve(FIRST, range(len(points)), points),))
    marking = Marking(position=None, selection=None, chosen=False)
    lines = ChartLines().lines_of(
        ChartSpec("loss", "Loss", ()),
        chart,
        (60, 9),
        Span(0, 9),
        View(log=log),
        marking,
        colourless=False,
        axis_name="",
    )
    assert words in "\n".join(map(text, lines))


def test_32_bit_numbers_are_drawn_as_they_are() -> None:
    for ends, label in (((1e38, 3e38), "3.0e38"), ((1e-45, 1e-38), "1e-38")):
        drawing = drawn(Curve(FIRST, (0, 100), ends))
        assert label in "".join(map(text, drawing.lines))
