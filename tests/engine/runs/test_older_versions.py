"""Runs of older versions, stored in `tests/versions`: this version opens, resumes, exports and copies them.

`version1` holds a VQA run that was stopped after step 41, a PPO run that was stopped in batch 2 with an edited reward,
a rating and a breakpoint, and a run of somebody's own Trainer. Their models and data are in the same folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config import override
from looptop.engine.journal.causes import Stop, StopReason
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.journal.schema import VERSION
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import resume, start
from tests.versions import RUNS, unpack

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(home: Path, tmp_path: Path) -> dict[str, RunFolder]:
    """The runs of version 1, in this test's home."""
    return unpack(home, tmp_path)


def version_of(run: RunFolder) -> int:
    with contextlib.closing(sqlite3.connect(run.db)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def digest(run: RunFolder) -> str:
    return hashlib.sha256(run.db.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", RUNS)
def test_reading_does_not_change_them(name: str, runs: dict[str, RunFolder], capsys: Capture) -> None:
    run = runs[name]
    before = digest(run)
    for words in (["show", name], ["show", name, "--json"], ["metrics", name], ["logs", name], ["runs"]):
        assert main(words) == 0, words
        capsys.readouterr()
    journal = Journal(run.db)
    assert journal.events() is not None and journal.states()
    assert journal.cause() is None and journal.state()[0] is run.state()
    assert all(reply.ok is None and reply.message for reply in journal.controls())
    assert (digest(run), version_of(run)) == (before, 1)


def test_old_answers_to_controls_are_shown_unchanged(runs: dict[str, RunFolder]) -> None:
    assert [reply.text for reply in Journal(runs["ppo-1"].db).controls()] == [
        "holds the run before an update when kl > -100",
        "the breakpoint kl > -100 is gone",
        "goes on until scored",
        "holds the run before an update when kl > 100",
        "batch 2, sample 1: its reward is 2, and the update uses that",
        "batch 2, sample 0: rated +1",
    ]


def test_a_vqa_run_is_resumed(runs: dict[str, RunFolder]) -> None:
    run = resume("vqa-1")
    assert run.wait() is RunState.FINISHED, run.reason
    assert [point.step for point in run.journal.values("loss")] == list(range(1, 201))
    assert version_of(run.folder) == VERSION


def test_a_ppo_run_is_resumed_with_its_judgements(runs: dict[str, RunFolder]) -> None:
    run = resume("ppo-1")
    assert run.wait() is RunState.FINISHED, run.reason
    journal = PpoJournal(run.folder.db)
    assert [batch.step for batch in journal.batches()] == list(range(1, 7))
    assert journal.breakpoints() == ["kl > 100"]
    assert {(each.step, each.row, each.kind, each.value) for each in journal.judgements()} == {
        (2, 1, "reward", 2.0),
        (2, 0, "rating", 1.0),
    }
    assert version_of(run.folder) == VERSION


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "tensorboard"])
@pytest.mark.parametrize("name", RUNS)
def test_they_are_exported(name: str, form: str, runs: dict[str, RunFolder], tmp_path: Path) -> None:
    assert main(["export", name, "--to", form, "--out", str(tmp_path / "out")]) == 0
    assert any(file.stat().st_size for file in [tmp_path / "out", *(tmp_path / "out").rglob("*")] if file.is_file())


@pytest.mark.parametrize("name", ["vqa-1", "ppo-1"])
def test_a_run_like_them_is_started(name: str, runs: dict[str, RunFolder]) -> None:
    run = start(override(runs[name].config(), ["max_steps=1"]))
    assert run.wait() is RunState.FINISHED, run.reason


def test_the_command_makes_a_run_like_theirs(runs: dict[str, RunFolder], capsys: Capture) -> None:
    assert main(["train", "--like", "vqa-1", "--set", "training.max_steps=1"]) == 0
    assert "vqa-2 finished" in capsys.readouterr().out
    assert main(["train", "--like", "trainer-1"]) == 2
    assert "trainer-1 is a run of another program" in capsys.readouterr().err


def test_a_ppo_run_of_theirs_is_compared(runs: dict[str, RunFolder], capsys: Capture) -> None:
    assert main(["compare", "ppo-1", "--n", "2"]) == 0
    assert "reward" in capsys.readouterr().out


def test_a_journal_is_brought_up_to_date_once_and_keeps_all(runs: dict[str, RunFolder]) -> None:
    run = runs["trainer-1"]
    before = Journal(run.db)
    held = (before.states(), before.events(), before.latest(), before.facts(), before.controls())
    for _ in range(2):
        writer = JournalWriter(run.db)
        writer.close()
        after = Journal(run.db)
        assert (after.states(), after.events(), after.latest(), after.facts(), after.controls()) == held
        assert version_of(run) == VERSION
    writer = JournalWriter(run.db)
    writer.state(RunState.STOPPED, Stop(StopReason.REQUEST, 12))
    writer.close()
    assert Journal(run.db).cause() == Stop(StopReason.REQUEST, 12)
    assert Journal(run.db).state()[1] == "stopped on request, without a checkpoint of step 12"
