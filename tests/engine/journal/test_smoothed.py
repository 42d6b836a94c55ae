"""Exponential averages of a metric: as in TensorBoard, whatever the terminal's width and whatever comes later."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from looptop.engine.journal.reader import Journal, JournalWriter


def average(values: list[float | None], weight: float) -> list[float | None]:
    """The average as in TensorBoard's source."""
    last, count, out = 0.0, 0, list[float | None]()
    for value in values:
        if value is None or not math.isfinite(value):
            out.append(None)
            continue
        last = last * weight + (1 - weight) * value
        count += 1
        out.append(last / (1 - weight**count))
    return out


def written(path: Path, values: list[float], begin: int = 1) -> Journal:
    writer = JournalWriter(path)
    for step, value in enumerate(values, begin):
        writer.metrics(step, {"loss": value})
    writer.close()
    return Journal(path)


@pytest.mark.parametrize("weight", [0.6, 0.9, 0.97])
@pytest.mark.parametrize("columns", [1, 40, 117, 400, 5000])
def test_the_average_of_a_step_is_the_same_at_any_width(tmp_path: Path, weight: float, columns: int) -> None:
    noise = random.Random(1)
    values = [noise.gauss(3 - step / 2000, 1) for step in range(3000)]
    values[200] = math.nan
    wanted = average([*values], weight)
    journal = written(tmp_path / "run.db", values)
    averages = journal.smoothed("loss", journal.series("loss", columns), weight).smoothed
    assert averages[-1][0] == 3000 and len(averages) >= min(columns, 3000) * 0.4
    for step, value in averages:
        assert value == pytest.approx(wanted[step - 1], abs=1e-6), step


def test_the_first_value_is_the_average_of_itself_alone(tmp_path: Path) -> None:
    journal = written(tmp_path / "run.db", [9.0, 1.0, 1.0])
    assert journal.smoothed("loss", journal.series("loss"), 0.9).smoothed[0] == (1, 9.0)


def test_the_past_does_not_change_when_more_comes(tmp_path: Path) -> None:
    noise = random.Random(2)
    values = [noise.gauss(0, 1) for _ in range(2000)]
    journal = written(tmp_path / "run.db", values[:700])
    before = dict(journal.smoothed("loss", journal.series("loss", 90), 0.97).smoothed)
    written(tmp_path / "run.db", values[700:], 701)
    after = dict(journal.smoothed("loss", journal.series("loss", 5000), 0.97).smoothed)
    same = before.keys() & after.keys()
    assert len(same) > 40
    for step in same:
        assert after[step] == pytest.approx(before[step], abs=1e-6)


def test_a_window_uses_earlier_values_and_no_later_ones(tmp_path: Path) -> None:
    values = [100.0] * 50 + [0.0] * 50
    journal = written(tmp_path / "run.db", values)
    averages = journal.smoothed("loss", journal.series("loss", 30, 51, 60), 0.9, 60).smoothed
    assert [step for step, _ in averages] == list(range(51, 61))
    assert [value for _, value in averages] == pytest.approx(average([*values], 0.9)[50:60])


def test_there_is_no_average_without_values_or_weight(tmp_path: Path) -> None:
    journal = written(tmp_path / "run.db", [1.0])
    assert journal.smoothed("loss", journal.series("loss"), 0.0).smoothed == []
    assert journal.smoothed("other", journal.series("other"), 0.9).smoothed == []
    assert journal.smoothed("other", journal.series("loss"), 0.9).smoothed == []
