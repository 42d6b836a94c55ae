"""The figures of a batch, and when it is recorded."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from looptop.engine.ppo import batch_recorder
from looptop.engine.ppo.batch_recorder import (
    RecordedBatch,
    Recorder,
    batch_figures,
    explained_variance,
    piece,
    sample_columns,
)
from tests.factories.ppo import scored_batch


def figures(batch: RecordedBatch, *rows: int) -> dict[str, float]:
    """All figures; of some samples, if these are given."""
    return batch_figures(batch, [1.0, 2.0, 3.0, 9.0], rows or None)


@pytest.fixture
def batch() -> RecordedBatch:
    """Four samples that differ."""
    return scored_batch(
        responses=[[5, 6, 7, 1], [5, 1], [5, 1], [5, 6]],
        texts=["a b c", "a", "a", "a b"],
        ended=[True, True, True, False],
        queries_cut=[True, False, False, False],
        rewards=[1.0, 2.0, 3.0, 6.0],
        scores={"short": [0.0, 1.0, 1.0, 2.0]},
    )


def test_the_figures_of_a_batch_are_means_and_shares_of_its_samples(batch: RecordedBatch) -> None:
    assert figures(batch) == {
        "time/batch": 0.0,
        "env/reward_mean": 3.0,
        "env/reward_std": pytest.approx(math.sqrt(14 / 3)),
        "env/reward_used": 3.75,
        "env/length": 2.5,
        "env/cut": 0.25,
        "env/distinct": 0.75,
        "env/query_cut": 0.25,
        "scores/short": 1.0,
    }


def test_samples_that_were_left_out_count_in_no_figure(batch: RecordedBatch) -> None:
    assert figures(batch, 1, 2) == {
        "time/batch": 0.0,
        "env/reward_mean": 2.5,
        "env/reward_std": pytest.approx(math.sqrt(0.5)),
        "env/reward_used": 2.5,
        "env/length": 2.0,
        "env/cut": 0.0,
        "env/distinct": 0.5,
        "env/query_cut": 0.0,
        "scores/short": 1.0,
    }
    assert figures(batch, 0)["env/reward_std"] == 0
    assert batch_figures(batch, [], []) == {"time/batch": 0.0}


class Words:
    """A tokenizer with these tokens."""

    def convert_ids_to_tokens(self, number: int) -> str:
        return ["<s>", "\u2581tram", "\u0120bus", "\u010a"][number]


class Journal:
    """Keeps the rows that are written, by the table."""

    def __init__(self) -> None:
        self.rows_of: dict[str, list[Any]] = {}

    def rows(self, statement: str, rows: Any) -> None:
        self.rows_of.setdefault(statement.split()[4], []).append(list(rows))


def test_a_batch_on_its_way_is_recorded_once_a_second(batch: RecordedBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    journal: Any = Journal()
    recorder = Recorder(journal, Words())
    recorded = []
    for now in (100.0, 100.99, 101.0, 101.5, 102.0):
        monkeypatch.setattr(batch_recorder, "time", SimpleNamespace(monotonic=lambda now=now: now, time=time.time))
        recorder.write_when_due(batch)
        recorded.append(len(journal.rows_of["ppo_batches"]))
    assert recorded == [1, 1, 2, 2, 3]
    assert [len(rows) for rows in journal.rows_of["ppo_samples"]] == [4, 4, 4]


def test_the_text_of_a_token_is_written_once(batch: RecordedBatch) -> None:
    journal: Any = Journal()
    recorder = Recorder(journal, Words())
    recorder.write(batch)
    batch.progress.rollout.responses.ids[0].append(2)
    recorder.write(batch)
    recorder.write(batch)
    assert journal.rows_of["ppo_pieces"] == [[(1, " tram"), (5, "<5>"), (6, "<6>"), (7, "<7>")], [(2, " bus")]]


@pytest.mark.parametrize(("number", "text"), [(0, "<s>"), (1, " tram"), (2, " bus"), (3, "\n"), (4, "<4>")])
def test_a_token_is_shown_as_it_is_read(number: int, text: str) -> None:
    assert piece(Words(), number) == text


def with_columns(batch: RecordedBatch, **columns: list[list[float]]) -> RecordedBatch:
    """The batch with these columns, of two tokens a sample; the second of the last sample does not count."""
    batch._columns = {name: np.array(rows, dtype=np.float32) for name, rows in columns.items()}
    batch._mask = np.array([[True, True], [True, True], [True, True], [True, False]])
    return batch


RETURNS = [[1.0, 2.0], [3.0, 4.0], [math.nan, math.nan], [5.0, 99.0]]


@pytest.mark.parametrize(
    ("returns", "values", "expected"),
    [
        (RETURNS, [[3.0, 4.0], [5.0, 6.0], [0.0, 0.0], [7.0, 0.0]], 1.0),  # a bias that all share
        (RETURNS, [[0.0, 0.0], [0.0, 0.0], [9.0, 9.0], [0.0, 9.0]], 0.0),
        (RETURNS, [[-1.0, -2.0], [-3.0, -4.0], [0.0, 0.0], [-5.0, 0.0]], -3.0),
        ([[1.0, 1.0]] * 4, [[0.0, 1.0]] * 4, None),
        ([[1.0, math.inf]] * 4, [[0.0, 1.0]] * 4, None),
        ([[math.nan] * 2] * 3 + [[1.0, 2.0]], [[0.0, 1.0]] * 4, None),
        ([[math.nan] * 2] * 2 + [[1.0, 2.0], [math.nan] * 2], [[1.0, 2.0]] * 4, 1.0),
    ],
)
def test_explained_variance(
    batch: RecordedBatch, returns: list[list[float]], values: list[list[float]], expected: float | None
) -> None:
    assert explained_variance(batch) is None, "before the update"
    explained = explained_variance(with_columns(batch, **{"return": returns, "value": values}))
    assert explained == (None if expected is None else pytest.approx(expected))


def test_the_figures_of_samples_for_conditions(batch: RecordedBatch) -> None:
    nan = math.nan
    assert sample_columns(batch, []) == {"length": [4.0, 2.0, 2.0, 2.0], "short": [0.0, 1.0, 1.0, 2.0]}
    used = [1.0, 2.0, 3.0, 9.0]
    with_columns(
        batch,
        kl=[[1.0, 2.0], [nan, nan], [0.5, nan], [1.0, 9.0]],
        entropy=[[1.0, 2.0], [nan, nan], [1.0, 1.0], [1.0, 9.0]],
        advantage=[[1.0, 2.0], [nan, nan], [1.0, nan], [1.0, 9.0]],
        ratio=[[1.0, 2.0], [nan, nan], [0.5, nan], [1.5, 9.0]],
    )
    columns = sample_columns(batch, used, [3, 0, 1])
    assert columns.pop("kl")[:2] == [1.0, 3.0] and columns.pop("entropy")[:2] == [1.0, 1.5]
    assert columns == {
        "length": [2.0, 4.0, 2.0],
        "reward": [9.0, 1.0, 2.0],
        "short": [2.0, 0.0, 1.0],
        "advantage": [1.0, 1.5, 0.0],
        "ratio": [1.5, 2.0, 1.0],
    }
    assert math.isnan(sample_columns(batch, used)["kl"][1]), "not known"
