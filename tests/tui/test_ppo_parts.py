"""The pieces of the PPO screen that need no app: tables, histograms, shades, differences, words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.cells import cell_len

from looptop.engine.journal.causes import Cause, Hold, HoldReason, Stop, StopReason
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.records import SampleRecord
from looptop.engine.runs.folder import RunLock, RunState
from looptop.tui.plots.composing import RunCurves, compose_wall
from looptop.tui.plots.histogram import count_in_bins, ends_text
from looptop.tui.plots.view import View
from looptop.tui.ppo import text as words
from looptop.tui.ppo.columns import SampleRow, sorted_rows
from looptop.tui.ppo.differences import differing
from looptop.tui.ppo.sample_text import score_bars
from looptop.tui.ppo.shading import BLOCKS, DARK, LIGHT, NOTHING, Palette, Scale
from looptop.tui.ppo.snapshot import HoldPosition, PpoSnapshot, PpoWatcher, Reward
from looptop.tui.screens import curve_reader
from looptop.tui.screens.curve_reader import CurveRequest
from looptop.tui.text import short_number
from looptop.tui.train import text as train_text
from looptop.tui.train.snapshot import Snapshot
from looptop.tui.widgets.table import fitted
from tests.factories.small_ppo import small_run

figures = some.floats(allow_nan=True, allow_infinity=True)
SHADED = ("kl", "advantage", "ratio", "entropy", "probability")


@given(some.text(), some.integers(0, 40), some.booleans())
def test_a_cell_is_as_wide_as_wanted(text: str, width: int, left: bool) -> None:
    shown = fitted(text, width, left)
    assert cell_len(shown) == width
    assert "\x1b" not in shown and "\n" not in shown


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [("4.305", "4.305", "4.305"), ("-5.91e-7", "-5.8e-7", "-5.91e-7 -5.8e-7"), ("0", "12.50", "0          12.50")],
)
def test_a_histograms_ends_never_run_together(low: str, high: str, text: str) -> None:
    assert ends_text(low, high, 16) == text


@given(some.lists(figures, max_size=80), some.integers(1, 24))
def test_every_figure_lies_in_the_one_bar_that_counts_it(values: list[float], count: int) -> None:
    counts, ranges = count_in_bins(values, count)
    finite = [value for value in values if math.isfinite(value)]
    assert sum(counts) == len(finite)
    for number, wanted in zip(counts, ranges, strict=True):
        assert sum(wanted.holds(value) for value in finite) == number
    assert not any(wanted.holds(None) or wanted.holds(math.nan) for wanted in ranges)


@given(some.sampled_from(SHADED), some.lists(figures, min_size=1, max_size=30), some.sampled_from([DARK, LIGHT]))
def test_any_figure_has_a_shade_and_a_sign_that_agree(name: str, values: list[float], palette: Palette) -> None:
    scale = Scale.of(name, values)
    for value in values:
        shade = scale.shade(value, palette)
        level = scale.level(value)
        if level is None:
            assert shade.sign == "" and shade.background == ""
            continue
        assert len(shade.background) == len(shade.text) == 7 and -1 <= level <= 1
        if scale.kind in ("amount", "share"):
            assert shade.sign in BLOCKS and level >= 0
        elif shade.sign != NOTHING:
            assert ("+" in shade.sign) == (level > 0) and len(shade.sign) <= 3


@pytest.mark.parametrize("palette", [DARK, LIGHT])
@pytest.mark.parametrize("name", SHADED)
def test_shaded_words_can_be_read(name: str, palette: Palette) -> None:
    scale = Scale.of(name, [0.25, 1.0, 4.0])
    for value in scale.ramp(21):
        shade = scale.shade(value, palette)
        light, dark = sorted((_luminance(shade.background), _luminance(shade.text)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (value, shade)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_signs_grow_with_the_figure() -> None:
    scale = Scale.of("kl", [-3.0, 3.0])
    assert [scale.sign(value) for value in (-3, -1.5, -0.4, 0.0, 0.4, 1.5, 3)] == [
        "---",
        "--",
        "-",
        "·",
        "+",
        "++",
        "+++",
    ]
    ratio = Scale.of("ratio", [0.5, 1.0, 2.0])
    assert [ratio.sign(value) for value in (0.5, 1.0, 2.0)] == ["---", "·", "+++"]
    assert Scale.of("probability", [0.2]).sign(1.0) == "█"


@given(some.text(alphabet="ab \n", max_size=60), some.text(alphabet="ab \n", max_size=60))
def test_differences_leave_both_texts_whole(one: str, other: str) -> None:
    left, right = differing(one, other)
    assert "".join(piece.text for piece in left) == one
    assert "".join(piece.text for piece in right) == other
    same = [word for pieces in (left, right) for piece in pieces if not piece.differs for word in piece.text.split()]
    assert len(same) % 2 == 0


def test_what_differs_is_marked_word_by_word() -> None:
    left, right = differing("the hospital opened the line", "the old hospital opened a line")
    assert [piece.text.strip() for piece in left if piece.differs] == ["the"]
    assert [piece.text.strip() for piece in right if piece.differs] == ["old", "a"]
    assert not any(piece.differs for pieces in differing("x" * 50_000, "y " * 50_000) for piece in pieces)


@given(some.lists(some.one_of(some.none(), figures), max_size=20), some.booleans())
def test_samples_without_a_figure_come_last_either_way(rewards: list[float | None], largest: bool) -> None:
    rows = [SampleRow(SampleRecord(at, at, "q", "r", True, 1, reward=reward)) for at, reward in enumerate(rewards)]
    ordered = [row.record.reward for row in sorted_rows(rows, "reward", largest)]
    known = [value for value in ordered if value is not None and not math.isnan(value)]
    assert known == sorted(known, reverse=largest)
    assert all(value is None or math.isnan(value) for value in ordered[len(known) :])


@given(figures)
def test_a_figure_takes_at_most_seven_cells(value: float) -> None:
    for decimals in (1, 2, 3):
        assert 0 < len(short_number(value, decimals)) <= 7
    assert short_number(None) == "·" and short_number(-0.001) == "0.00"


def test_the_bars_of_a_reward_add_up_in_words() -> None:
    record = SampleRecord(0, 0, "q", "r", False, 9, scores={"grammar": 2.0, "neutral": -1.0}, reward=0.5)
    text = score_bars(SampleRow(record), [Reward("grammar", 1.0), Reward("neutral", 0.5)], 1.0, 80).plain
    lines = text.splitlines()
    assert [line.split()[0] for line in lines] == ["grammar", "neutral", "cut", "="]
    assert [line.split()[-1] for line in lines] == ["+2.00", "-0.50", "-1.00", "+0.50"]
    assert len({len(line) for line in lines}) == 1
    rated = score_bars(SampleRow(record, {"rating": 2.0}), [Reward("person", 3.0)], 0.0, 80).plain
    assert "person" in rated and "+6.00" in rated
    # A reward of a person's may have a function, too, whose score is among the sample's.
    own = score_bars(SampleRow(record, {"rating": 2.0}), [Reward("neutral", 3.0, person=True)], 0.0, 80).plain
    (line,) = (each for each in own.splitlines() if each.startswith("neutral"))
    assert "2.00 x 3" in line and "+6.00" in line and own.endswith("with the person's rating")


@pytest.mark.parametrize(
    ("cause", "held"),
    [
        (Hold(12, "scored", HoldReason.STAGE), HoldPosition(12, "scored", "", "stage reached")),
        (Hold(12, "", HoldReason.STEP), HoldPosition(12, "updated", "", "stepped")),
        (Hold(7), HoldPosition(7, "updated", "")),
        (
            Hold(3, "compared", HoldReason.BREAKPOINT, "breakpoint kl > 8: kl is 9"),
            HoldPosition(3, "compared", "breakpoint kl > 8: kl is 9"),
        ),
        (Hold(1, "compared", HoldReason.RATING, "waits for ratings"), HoldPosition(1, "compared", "waits for ratings")),
        (Hold(0), None),
        (Hold(3, "", HoldReason.DISK, "the checkpoint could not be written"), None),
        (Stop(StopReason.REQUEST, 3), None),
        (None, None),
    ],
)
def test_where_a_run_is_held_is_read_from_its_cause(cause: Cause | None, held: HoldPosition | None) -> None:
    assert PpoSnapshot("ppo-1", RunState.PAUSED, 1, cause=cause).held == held


NAMES = ("env/reward_mean", "objective/kl", "nothing")


def test_a_watcher_reads_nothing_anew_that_has_not_changed() -> None:
    run = small_run(5)
    watcher = PpoWatcher(run)
    request = CurveRequest(NAMES, 40, View())
    first = watcher.poll(request)
    assert watcher.poll(request) is first
    assert set(first.runs[0].series) == {"env/reward_mean", "objective/kl"}
    assert (first.first, first.last, first.count, first.state) == (1, 5, 5, RunState.FINISHED)
    wider = watcher.poll(CurveRequest(NAMES, 60, View()))
    assert wider.runs[0].series["objective/kl"].steps == [1, 2, 3, 4, 5]


def test_a_live_chart_has_room_to_grow_and_a_finished_one_is_full() -> None:
    def last(batches: int, total: int, live: bool) -> float:
        run = RunCurves("ppo-1", first=1, last=batches, live=live, total=total)
        return compose_wall([], [run], View()).whole.last

    assert [last(batches, 100_000, True) for batches in (3, 12, 226, 1_000, 1_001)] == [3, 20, 300, 1_000, 2_000]
    assert (last(226, 240, True), last(226, 240, False)) == (240, 226)


def test_a_curve_that_was_not_read_for_a_while_is_read_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(12, state=None)
    request = CurveRequest(("objective/kl",), 50, View())

    def last(watcher: PpoWatcher) -> int:
        return watcher.poll(request).runs[0].series["objective/kl"].steps[-1]

    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        watcher = PpoWatcher(run)
        watcher.poll(request)
        monkeypatch.setattr(curve_reader, "READ_INTERVAL_SECONDS", math.inf)
        writer.metrics(13, {"objective/kl": 5.0})
        assert writer.flush()
        assert last(watcher) == 12
        # Nothing more is written: the run computes for an hour, or is killed.
        monkeypatch.setattr(curve_reader, "READ_INTERVAL_SECONDS", 0.0)
        assert last(watcher) == 13
        writer.metrics(14, {"another": 5.0})
        assert writer.flush()
        assert last(watcher) == 13
        writer.close()


def test_both_training_screens_say_what_lies_between_the_steps() -> None:
    doing = {"progress": {"text": "evaluating\x1b[31m", "done": 7, "total": 93, "seconds_left": 123.0}}
    for facts in (doing, doing | {"total_steps": 10}):
        vqa = train_text.progress(Snapshot("vqa-1", RunState.RUNNING, facts=facts), 120).plain
        ppo = words.progress(PpoSnapshot("ppo-1", RunState.PAUSED, 1, live=True, facts=facts), 120).plain
        for shown in (vqa, ppo):
            assert "evaluating␛[31m: 7 of 93, 2 min 3 s left" in shown
    ended = train_text.progress(Snapshot("vqa-1", RunState.STOPPED, facts=doing | {"total_steps": 10}), 120).plain
    assert "evaluating" not in ended
