from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.files.exports import exports_folder
from looptop.engine.ppo.journal import PpoJournal, write_judgement
from looptop.engine.ppo.sample_export import write_batch_file
from tests.factories.synthetic_ppo import Maker, make_run


def test_a_batch_becomes_a_line_a_sample_with_its_tokens(home: Path) -> None:
    run = make_run(Maker(3, samples=4), before_the_end=lambda writer: write_judgement(writer, 2, 1, "rating", 1, "cli"))
    path = write_batch_file(run, 2)
    assert path == home / "exports" / "ppo-1-batch-2.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    samples = PpoJournal(run.db).samples(2)
    assert [line["row"] for line in lines] == [0, 1, 2, 3]
    assert [line["response"] for line in lines] == [sample.response for sample in samples]
    assert [line["judgements"] for line in lines] == [{}, {"rating": 1.0}, {}, {}]
    tokens = PpoJournal(run.db).tokens(2, 3)
    assert tokens is not None
    assert lines[3]["tokens"]["texts"] == tokens.texts
    assert lines[3]["tokens"]["return"] == tokens.columns["return"]


def test_what_is_not_known_yet_is_null() -> None:
    run = make_run(Maker(1, samples=2), state=None, last_stage="compared")
    line = json.loads(write_batch_file(run, 1).read_text().splitlines()[0])
    assert line["advantage"] is None and set(line["tokens"]["advantage"]) == {None}
    assert all(value is not None for value in line["tokens"]["kl"])


def test_a_missing_batch_is_one_sentence() -> None:
    run = make_run(Maker(1, samples=2))
    with pytest.raises(LooptopError, match="has no batch 7"):
        write_batch_file(run, 7)
    write_batch_file(run, 1).unlink()
    (exports_folder() / f"{run.file_name}-batch-1.jsonl").mkdir()
    with pytest.raises(LooptopError, match="cannot write"):
        write_batch_file(run, 1)
