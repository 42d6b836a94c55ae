"""Curves that must be marked, and curves that must not."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine.config import preset
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo import health
from looptop.engine.ppo.health import History, Settings, failed_checks
from looptop.engine.ppo.journal import PpoJournal, write_batch
from looptop.engine.ppo.records import BatchRecord, Mark
from looptop.engine.runs.folder import RunFolder

SETTINGS = Settings(target=6.0, adaptive=True, max_new_tokens=48)
Curve = Callable[[int], float]


def well(step: int) -> dict[str, float]:
    """A batch of a run that learns as it should: reward up, KL held, everything else in its place, with noise."""
    noise = random.Random(step)
    done = min(1.0, step / 200)
    return {
        "objective/kl": 6 * done + noise.gauss(0, 0.3),
        "ppo/policy/ratio_max": 1.6 + abs(noise.gauss(0, 0.2)),
        "ppo/loss/value": 0.5 + 2 * math.exp(-step / 20) + noise.uniform(-0.1, 0.1),
        "ppo/val/explained_centred": 0.8 - 2 * math.exp(-step / 6),
        # TRL's counts a bias that all values share: it makes no mark.
        "ppo/val/var_explained": -3.0,
        "ppo/policy/entropy": 1.2 - 0.5 * done + noise.gauss(0, 0.03),
        "env/reward_mean": -0.2 + 4 * done + noise.gauss(0, 0.3),
        "env/reward_std": 3.5 - 1.5 * done,
        "env/length": 14 - 4 * done + noise.gauss(0, 0.3),
        "env/cut": 0.02,
        "env/distinct": 0.99 + noise.uniform(-0.01, 0.01),
        "quality/recall": 0.955 + noise.gauss(0, 0.01),
    }


def kinds(steps: int, **curves: Curve) -> set[str]:
    """The marks of the last batch of a run of so many, where these figures went otherwise."""
    names = {
        "kl": health.KL, "ratio": health.RATIO, "value_loss": health.VALUE_LOSS, "explained": health.EXPLAINED,
        "entropy": health.ENTROPY, "reward": health.REWARD, "length": health.LENGTH, "cut": health.CUT,
        "distinct": health.DISTINCT, "recall": "quality/recall", "clean": "quality/clean",
    }  # fmt: skip
    batches: list[Mapping[str, float]] = [
        well(step) | {names[name]: curve(step) for name, curve in curves.items()} for step in range(1, steps + 1)
    ]
    return {mark.kind for mark in failed_checks(course(batches), SETTINGS)}


def course(batches: Sequence[Mapping[str, float]]) -> History:
    return History(batches[-1], batches[-61:-1], batches[: min(10, len(batches) - 1)])


@pytest.mark.parametrize(("apart", "sure"), [(3.9, False), (4.1, True)])
def test_a_difference_of_four_standard_errors_is_sure(apart: float, sure: bool) -> None:
    """Variances 1 and 4 in groups of 5 and 10: the error is the square root of 1/5 + 4/10."""
    was = [{"recall": value} for value in (-1.0, -1.0, 0.0, 1.0, 1.0)]
    spread = math.sqrt(3.6)
    now = [{"recall": apart * math.sqrt(0.6) + sign * spread} for sign in (-1, 1) * 5]
    assert health._is_sure(was, now, "recall") is sure
    assert not health._is_sure(was[:4], now, "recall"), "too few batches"


@pytest.mark.parametrize("adaptive", [True, False])
def test_a_kl_that_is_high_says_what_to_do_about_its_coefficient(adaptive: bool) -> None:
    history = course([well(step) | {health.KL: 20.0} for step in range(1, 9)])
    mark = health.kl_high(history, dataclasses.replace(SETTINGS, adaptive=adaptive))
    assert mark is not None and ("let it adapt" in mark.text) is not adaptive


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 60, 120, 240, 500])
def test_a_run_that_learns_as_it_should_has_no_mark(steps: int) -> None:
    assert kinds(steps) == set()


@pytest.mark.parametrize(
    ("kind", "curves"),
    [
        ("kl_negative", {"kl": lambda step: -1.2}),
        ("kl_high", {"kl": lambda step: step / 8}),
        ("kl_high", {"kl": lambda step: 30.0 if step == 120 else 6.0}),
        ("reward_hacking", {"recall": lambda s: 0.955 - s / 300, "clean": lambda s: 0.6 - s / 300}),
        # Nothing is said any more, and that without a fault.
        ("reward_hacking", {"recall": lambda s: max(0.02, 0.955 - s / 110), "clean": lambda s: min(1.0, s / 110)}),
        ("ratio_jump", {"ratio": lambda step: 9.0 if step == 120 else 1.8}),
        ("ratio_jump", {"ratio": lambda step: 30.0}),
        ("value_loss_jump", {"value_loss": lambda step: 4.0 if step == 120 else 0.5}),
        ("unexplained", {"explained": lambda step: 0.3 if step < 90 else -0.4}),
        ("entropy_collapse", {"entropy": lambda step: 1.2 * math.exp(-step / 60)}),
        ("entropy_collapse", {"entropy": lambda step: 1.2 if step < 115 else 0.05}),
        ("length_drift", {"length": lambda step: 12 + step / 8}),
        ("length_drift", {"length": lambda step: max(2.0, 14 - step / 9)}),
        ("cut", {"cut": lambda step: 0.4}),
        ("same_response", {"distinct": lambda step: 1 / 32}),
        ("reward_hacking", {"recall": lambda step: max(0.02, 0.955 - step / 110)}),
        ("reward_hacking", {"distinct": lambda step: 0.99 - step / 240}),
        # Learned well for a thousand batches, then found the hole.
        ("reward_hacking", {"reward": lambda s: 4.0 if s < 90 else 7.0, "recall": lambda s: 0.95 if s < 90 else 0.5}),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_marked(kind: str, curves: dict[str, Curve]) -> None:
    assert kinds(120, **curves) == {kind}


@pytest.mark.parametrize(
    "curves",
    [
        {"kl": lambda step: -0.9},
        {"kl": lambda step: 14.0},
        {"ratio": lambda step: 4.0},
        {"ratio": lambda step: 2.9 if step == 120 else 1.0},
        {"value_loss": lambda step: 2.0 if step == 120 else 0.6},
        {"explained": lambda step: -0.5 if step % 15 else 0.1},
        {"explained": lambda step: math.nan},
        {"explained": lambda step: -0.1},
        {"kl": lambda step: 20.0 if step == 120 else 6.0},
        # One quality falls while others rise by more; or by no more than 32 samples' noise.
        {"recall": lambda step: 0.95 - step / 1200, "clean": lambda step: 0.3 + step / 240},
        {"recall": lambda step: 0.91 if step < 60 else 0.81, "clean": lambda step: 0.37 if step < 60 else 0.57},
        {"recall": lambda step: (0.93 if step < 60 else 0.86) + 0.12 * (step % 3 - 1)},
        {"entropy": lambda step: 1.2 - step / 240},
        {"length": lambda step: 14 + step / 20},
        {"cut": lambda step: 0.2},
        {"distinct": lambda step: 0.5},
        # Recall falls a little, reward does not rise; or recall falls by less than it varies.
        {"recall": lambda step: 0.955 - step / 300, "reward": lambda step: 0.0},
        {"recall": lambda step: 0.955 - step / 4000},
    ],
)
def test_what_is_usual_is_not(curves: dict[str, Curve]) -> None:
    assert kinds(120, **curves) == set()


def of(name: str, now: float, recent: Sequence[float] = (), first: Sequence[float] = ()) -> History:
    """A history of one figure."""
    return History({name: now}, [{name: each} for each in recent], [{name: each} for each in first])


def hacked(reward: float = 5.0, recall: float = 0.5, clean: float = 0.5, first: int = 5, lately: int = 10) -> History:
    """The reward was 0 with a deviation of 2, recall 1 and clean 0.5; nothing varies."""
    was = {health.REWARD: 0.0, health.SPREAD: 2.0, "quality/recall": 1.0, "quality/clean": 0.5}
    now = {health.REWARD: reward, health.SPREAD: 2.0, "quality/recall": recall, "quality/clean": clean}
    return History(now, [now] * (lately - 1), [was] * first)


@pytest.mark.parametrize(
    ("kind", "usual", "bad"),
    [
        ("kl_negative", of(health.KL, -1.0), of(health.KL, -1.01)),
        ("kl_high", of(health.KL, 24.0, [6.0] * 4), of(health.KL, 24.1, [6.0] * 4)),
        ("kl_high", of(health.KL, 14.3, [14.3] * 4), of(health.KL, 14.5, [14.5] * 4)),
        ("kl_high", of(health.KL, 20.0, [20, 20, 6, 6, 6]), of(health.KL, 6.0, [6, 20, 20, 20, 6])),
        ("ratio_jump", of(health.RATIO, 3.0, [0.5] * 5), of(health.RATIO, 3.1, [0.5] * 5)),
        ("ratio_jump", of(health.RATIO, 4.5, [1.5] * 5), of(health.RATIO, 4.6, [1.5] * 5)),
        ("ratio_jump", of(health.RATIO, 10.0, [9.0] * 5), of(health.RATIO, 10.1, [9.0] * 5)),
        ("ratio_jump", of(health.RATIO, 10.0, [0.5] * 4), of(health.RATIO, 10.1)),
        ("value_loss_jump", of(health.VALUE_LOSS, 4.0, [1.0] * 5), of(health.VALUE_LOSS, 4.1, [1.0] * 5)),
        ("value_loss_jump", of(health.VALUE_LOSS, 5.0, [1] * 5 + [5]), of(health.VALUE_LOSS, 5.1, [1] * 5 + [5])),
        ("value_loss_jump", of(health.VALUE_LOSS, 9.0, [1.0] * 4), of(health.VALUE_LOSS, 9.0, [1.0] * 5)),
        ("unexplained", of(health.EXPLAINED, -0.19, [-0.19] * 19), of(health.EXPLAINED, -0.2, [-0.2] * 19)),
        ("unexplained", of(health.EXPLAINED, -0.5, [-0.5] * 18), of(health.EXPLAINED, -0.5, [1] + [-0.5] * 19)),
        ("unexplained", of(health.EXPLAINED, -0.5, [0.0] + [-0.5] * 18), of(health.EXPLAINED, -0.5, [-0.5] * 19)),
        ("entropy_collapse", of(health.ENTROPY, 0.3, [0.3] * 2, [1] * 5), of(health.ENTROPY, 0.2, [0.29] * 2, [1] * 5)),
        ("entropy_collapse", of(health.ENTROPY, 0.1, [1] * 5), of(health.ENTROPY, 0.1, [1] * 5 + [0.1])),
        ("entropy_collapse", of(health.ENTROPY, -1.0, [-1.0] * 2, [0] * 5), of(health.ENTROPY, 0.0, [0, 0], [0.1] * 5)),
        ("length_drift", of(health.LENGTH, 17.5, (), [10] * 5), of(health.LENGTH, 17.6, (), [10] * 5)),
        ("length_drift", of(health.LENGTH, 5.0, (), [10] * 5), of(health.LENGTH, 4.9, (), [10] * 5)),
        ("length_drift", of(health.LENGTH, 3.9, (), [1] * 5), of(health.LENGTH, 4.0, (), [1] * 5)),
        ("length_drift", of(health.LENGTH, 40, [20, 10, 10, 10], [10] * 5), of(health.LENGTH, 40, [20] * 2, [10] * 5)),
        ("length_drift", of(health.LENGTH, 20.0, (), [0] * 5), of(health.LENGTH, 20.0, (), [10] * 5)),
        ("cut", of(health.CUT, 0.24), of(health.CUT, 0.25)),
        ("same_response", of(health.DISTINCT, 0.26), of(health.DISTINCT, 0.25)),
        ("reward_hacking", hacked(reward=1.0), hacked(reward=1.01)),
        ("reward_hacking", hacked(recall=0.951), hacked(recall=0.949)),
        ("reward_hacking", hacked(recall=0.9, clean=0.66), hacked(recall=0.9, clean=0.64)),
        ("reward_hacking", hacked(first=4), hacked(first=5)),
        ("reward_hacking", hacked(lately=9), hacked(lately=10)),
    ],
)
def test_a_mark_begins_at_its_threshold(kind: str, usual: History, bad: History) -> None:
    assert kind not in {mark.kind for mark in failed_checks(usual, SETTINGS)}
    assert kind in {mark.kind for mark in failed_checks(bad, SETTINGS)}


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (of(health.KL, 24.1, [6.0] * 4), "The mean KL is 24.10, 4.0 times its target of 6."),
        (of(health.KL, 6.0, [20.0] * 4), "The median KL of the last batches is 20.00, 3.3 times its target of 6."),
        (of(health.RATIO, 10.1), "probability is 10.1. One update"),
        (of(health.RATIO, 10.1, [2.0] * 5), "probability is 10.1, usually 2.00. One update"),
        (of(health.LENGTH, 30, (), [10] * 5), "30 tokens long and were 10. They get longer where the reward, unasked,"),
        (of(health.LENGTH, 3, (), [10] * 5), "3 tokens long and were 10. They get shorter where the reward, unasked,"),
    ],
)
def test_a_mark_says_what_its_figure_is_compared_with(history: History, words: str) -> None:
    (mark,) = failed_checks(history, SETTINGS)
    assert words in mark.text


def checked(figures: Sequence[Mapping[str, float]]) -> list[tuple[Mark, ...]]:
    """The marks of each batch of a run with these figures."""
    whole = health.Health(PpoJournal(RunFolder.create("ppo", {"kind": "ppo"}).db), SETTINGS)
    return [whole.check(step, each) for step, each in enumerate(figures, 1)]


def test_a_batch_is_compared_with_the_sixty_before_it() -> None:
    marks = checked([{health.VALUE_LOSS: loss} for loss in [100.0, *[1.0] * 59, 50.0, 60.0]])
    assert [step for step, each in enumerate(marks, 1) if each] == [62], "the first batch was as bad as the 61st"


@pytest.mark.parametrize(("entropy", "marked"), [(0.44, True), (0.46, False)])
def test_a_batch_is_compared_with_the_ten_first_ones(entropy: float, marked: bool) -> None:
    """Their median is 1.5: that of nine would be 2, that of eleven 1."""
    marks = checked([{health.ENTROPY: each} for each in [2.0] * 5 + [1.0] * 80 + [entropy] * 3])
    assert bool(marks[-1]) is marked


def test_an_episode_lasts_while_no_more_than_ten_batches_lie_between_its_marks() -> None:
    bad = (1, 11, 22)
    marks = checked([{health.CUT: 1.0 if step in bad else 0.0} for step in range(1, 23)])
    assert [marks[step - 1][0].since for step in bad] == [1, 1, 22]


def test_a_mark_says_what_was_seen_what_it_means_and_what_to_try() -> None:
    bad = {
        "kl": (health.KL, -3.0), "ratio": (health.RATIO, 50.0), "cut": (health.CUT, 1.0),
        "same": (health.DISTINCT, 0.0),
    }  # fmt: skip
    marks = failed_checks(History(dict(bad.values())), SETTINGS)
    assert len(marks) == 4
    for mark in marks:
        assert mark.text.count(". ") >= 2 and mark.text.endswith(".")
        assert mark.kind in health.LABELS
    assert any("-3.00" in mark.text for mark in marks)


numbers = some.one_of(some.none(), some.floats(allow_nan=True, allow_infinity=True))
batch = some.dictionaries(some.sampled_from([*health.FIGURES, "quality/recall"]), numbers)


@given(batch, some.lists(batch, max_size=70), some.lists(batch, max_size=10))
def test_any_figures_are_looked_at_without_an_error(
    now: dict[str, float | None], recent: list[dict[str, float | None]], first: list[dict[str, float | None]]
) -> None:
    for mark in failed_checks(History(now, recent, first), SETTINGS):
        assert mark.kind in health.LABELS and "nan" not in mark.text


def test_a_resumed_run_goes_on_from_what_the_journal_holds() -> None:
    run = RunFolder.create("ppo", {"kind": "ppo"})
    whole = health.Health(PpoJournal(run.db), SETTINGS)
    writer = JournalWriter(run.db)
    batches = [well(step) | {health.ENTROPY: 1.2 if step < 70 else 0.01} for step in range(1, 81)]
    marks = []
    for step, figures in enumerate(batches, 1):
        marks.append([mark.kind for mark in whole.check(step, figures)])
        writer.metrics(step, figures)
    writer.close()
    assert marks[69] == [] and marks[74] == ["entropy_collapse"]
    resumed = health.Health(PpoJournal(run.db), SETTINGS)
    assert [[mark.kind for mark in resumed.check(step, batches[step - 1])] for step in range(41, 81)] == marks[40:]


def recorded(name: str) -> list[dict[str, float]]:
    """The figures of every batch of a run of this preset, as it was trained: a column a metric."""
    columns = json.loads((Path(__file__).parent / "runs" / f"{name}.json").read_text())
    count = len(next(iter(columns.values())))
    return [{key: each[at] for key, each in columns.items() if each[at] is not None} for at in range(count)]


def marks_of(name: str) -> list[list[Mark]]:
    """The marks of every batch of it."""
    run = RunFolder.create("ppo", {"kind": "ppo"})
    config = preset(name.removesuffix("-2"), "ppo")
    assert isinstance(config, PpoRunConfig)
    whole = health.Health(PpoJournal(run.db), Settings.of(config))
    return [list(whole.check(step, figures)) for step, figures in enumerate(recorded(name), 1)]


@pytest.mark.parametrize("name", ["tiny", "tiny-2"])
def test_a_healthy_run_of_the_tiny_preset_has_marks_on_few_of_its_batches(name: str) -> None:
    marks = marks_of(name)
    assert len(marks) == 280
    marked = [step for step, each in enumerate(marks, 1) if each]
    assert len(marked) <= 0.05 * len(marks), marked
    assert {mark.kind for each in marks for mark in each} <= {"ratio_jump", "kl_high", "value_loss_jump"}


def test_a_run_that_cheats_its_reward_is_marked_early_and_as_one_episode() -> None:
    marks = marks_of("tiny-hackable")
    hacked = [mark for each in marks for mark in each if mark.kind == "reward_hacking"]
    assert len(hacked) > 100
    begins = [step for step, each in enumerate(marks, 1) for mark in each if mark.since == step]
    first = next(step for step, each in enumerate(marks, 1) if any(mark.kind == "reward_hacking" for mark in each))
    assert first <= 40 and {mark.since for mark in hacked} == {first}
    assert "recall fell from" in hacked[30].text and "clean fell from" in hacked[30].text
    assert len(begins) <= 5, "an episode begins once, however many batches it has"


def test_a_mark_that_comes_again_after_a_while_is_another_episode_and_a_resume_goes_on_with_it() -> None:
    run = RunFolder.create("ppo", {"kind": "ppo"})
    whole = health.Health(PpoJournal(run.db), SETTINGS)
    writer = JournalWriter(run.db)
    bad = {*range(30, 36), *range(40, 44), *range(70, 72)}
    batches = [well(step) | ({health.CUT: 0.9} if step in bad else {}) for step in range(1, 81)]
    since = []
    for step, figures in enumerate(batches, 1):
        marks = whole.check(step, figures)
        since.append([mark.since for mark in marks])
        writer.metrics(step, figures)
        write_batch(writer, BatchRecord(step, "updated", 1.0, 8, {}, marks))
    writer.close()
    assert [step for step, each in enumerate(since, 1) if each] == sorted(bad)
    assert [since[step - 1] for step in (30, 35, 40, 43, 70, 71)] == [[30], [30], [30], [30], [70], [70]]
    resumed = health.Health(PpoJournal(run.db), SETTINGS)
    assert [[mark.since for mark in resumed.check(step, batches[step - 1])] for step in range(42, 81)] == since[41:]


def test_a_journal_of_marks_without_episodes_is_read() -> None:
    old = msgspec.json.decode(b'[{"kind": "cut", "text": "It was cut."}]', type=tuple[Mark, ...])
    assert old == (Mark("cut", "It was cut."),) and old[0].begins(7)


def test_a_run_journals_the_marks_of_its_batches(tmp_path: Path) -> None:
    from looptop.engine.startup.run import start
    from tests.factories.ppo import ppo_config

    run = start(ppo_config(tmp_path, "max_steps=2", "max_new_tokens=2", "eval_steps=2"))
    run.wait()
    batches = PpoJournal(run.folder.db).batches()
    assert [batch.step for batch in batches] == [1, 2]
    assert all("cut" in [mark.kind for mark in batch.marks] for batch in batches)
    assert "2 tokens" in batches[0].marks[0].text


def test_a_run_with_one_answer_for_everything_ends_with_one_alert_for_the_episode(tmp_path: Path) -> None:
    from looptop.engine.startup.run import start
    from tests.factories.ppo import ppo_config

    run = start(ppo_config(tmp_path, "max_steps=3", "max_new_tokens=1", "top_k=1", "eval_steps=3"))
    run.wait()
    batches = PpoJournal(run.folder.db).batches()
    assert sum("same_response" in [mark.kind for mark in batch.marks] for batch in batches) > 1
    (alert,) = [event for event in Journal(run.folder.db).events() if event.kind == "alert"]
    assert alert.step == 1 and alert.text.startswith("batch 1: Only 25 % of the batch's responses differ")
    assert run.folder.summary().alerts == 1
