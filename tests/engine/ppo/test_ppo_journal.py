"""What is journalled of PPO is read back by anybody, goes when a resume goes back, and what a person said stays."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.journal import (
    PpoJournal,
    pack_tokens,
    write_batch,
    write_judgement,
    write_pieces,
    write_samples,
    write_tokens,
)
from looptop.engine.ppo.records import TOKEN_COLUMNS, BatchRecord, Mark, SampleRecord

NASTY = "a [b]word[/b] \x1b]0;x\x07 \udcff"
SAMPLE = SampleRecord(
    row=1, data_index=77, query="the query", response=NASTY, ended=False, length=3, query_cut=True,
    reference_response="theirs", scores={"grammar": 1.5, "odd": math.nan}, reward=2.0, kl=-0.5, advantage=None,
    entropy=0.25, ratio=1.125, quality={"recall": 1.0},
)  # fmt: skip


def blob(count: int, value: float) -> bytes:
    ids = np.arange(count, dtype="<i4").tobytes()
    counts = np.array([1] * (count - 1) + [0], dtype=np.uint8).tobytes()
    columns = [np.full(count, value + at, dtype="<f4").tobytes() for at in range(len(TOKEN_COLUMNS))]
    return pack_tokens(ids, counts, columns)


@pytest.fixture
def writer(tmp_path: Path) -> JournalWriter:
    return JournalWriter(tmp_path / "run.db")


def fill(writer: JournalWriter, steps: range) -> None:
    for step in steps:
        write_batch(writer, BatchRecord(step, "updated", 5.0, 2, {"generated": 0.5}, (Mark("kl", "too [far]"),)))
        write_samples(writer, step, [SampleRecord(0, 4, "q", "r", True, 2), SAMPLE])
        write_tokens(writer, step, [(0, blob(2, step)), (1, blob(3, step + 0.5))])
        writer.metrics(step, {"objective/kl": float(step)})
    write_pieces(writer, {0: " the", 1: NASTY})
    assert writer.flush()


def test_all_of_it_is_read_back(writer: JournalWriter) -> None:
    fill(writer, range(1, 4))
    journal = PpoJournal(writer.path)
    assert journal.batch_span() == (1, 3, 3)
    (batch,) = journal.batches(2, 2)
    assert batch == BatchRecord(2, "updated", 5.0, 2, {"generated": 0.5}, (Mark("kl", "too [far]"),))
    assert journal.batch(2) == batch and journal.last_batch() is not None and journal.batch(9) is None
    first, second = journal.samples(2)
    assert first == SampleRecord(0, 4, "q", "r", True, 2)
    assert math.isnan(second.scores.pop("odd"))
    assert second.scores == {"grammar": 1.5}
    assert second.response == NASTY.encode("utf-8", "backslashreplace").decode()
    assert (second.kl, second.advantage, second.quality) == (-0.5, None, {"recall": 1.0})
    tokens = journal.tokens(2, 1)
    assert tokens is not None
    assert tokens.ids == [0, 1, 2] and tokens.counts == [True, True, False]
    assert tokens.texts == [" the", NASTY.encode("utf-8", "backslashreplace").decode(), "<2>"]
    assert tokens.columns["logprob"] == [2.5] * 3 and tokens.columns["ratio"] == [2.5 + 8] * 3
    assert journal.tokens(2, 9) is None
    assert journal.figures(["objective/kl", "none"], 2, 3) == {2: {"objective/kl": 2.0}, 3: {"objective/kl": 3.0}}


def test_a_later_word_of_a_sample_replaces(writer: JournalWriter) -> None:
    fill(writer, range(1, 2))
    write_samples(writer, 1, [SampleRecord(0, 4, "q", "r", True, 2, reward=9.0)])
    write_batch(writer, BatchRecord(1, "scored", 6.0, 2, {}))
    writer.flush()
    journal = PpoJournal(writer.path)
    assert [sample.reward for sample in journal.samples(1)] == [9.0, 2.0]
    assert journal.last_batch() == BatchRecord(1, "scored", 6.0, 2, {})


def test_a_resume_goes_back_and_keeps_judgements(writer: JournalWriter) -> None:
    fill(writer, range(1, 6))
    write_judgement(writer, 4, 0, "reward", 2.5, "app")
    write_judgement(writer, 4, 1, "rating", 1.0, "app")
    write_judgement(writer, 4, 1, "rating", None, "app")
    writer.discard_after(2)
    writer.flush()
    journal = PpoJournal(writer.path)
    assert journal.batch_span() == (1, 2, 2)
    assert journal.samples(3) == [] and journal.tokens(3, 0) is None and journal.tokens(2, 1) is not None
    (kept,) = journal.judgements()
    assert (kept.step, kept.row, kept.kind, kept.value, kept.by) == (4, 0, "reward", 2.5, "app")
    assert journal.judgements(3) == []


def test_a_missing_journal_reads_as_empty(tmp_path: Path) -> None:
    journal = PpoJournal(tmp_path / "run.db")
    assert (journal.last_batch(), journal.batches(), journal.batch_span()) == (None, [], (0, 0, 0))
    assert (journal.samples(1), journal.sample(1, 0), journal.tokens(1, 0)) == ([], None, None)
    assert (journal.judgements(), journal.breakpoints(), journal.figures(["a"], 0, 9)) == ([], [], {})


def test_a_sample_takes_less_than_ten_kilobytes(writer: JournalWriter) -> None:
    """At the default settings: 48 tokens, an article of some hundred words."""
    sample = SampleRecord(
        0, 7, "word " * 120, "word " * 40, True, 48, scores={"grammar": 1.0, "neutral": 0.5}, reward=1.0, kl=1.0,
        quality={"recall": 1.0, "clean": 1.0, "distinct": 1.0},
    )  # fmt: skip
    for step in range(1, 33):
        rows = [SampleRecord(**{**_fields(sample), "row": row}) for row in range(32)]  # type: ignore[arg-type]
        write_samples(writer, step, rows)
        write_tokens(writer, step, [(row, blob(48, 1.0)) for row in range(32)])
    assert writer.close()
    assert writer.path.stat().st_size / (32 * 32) < 10_000


def _fields(sample: SampleRecord) -> dict[str, object]:
    return {name: getattr(sample, name) for name in sample.__struct_fields__}
