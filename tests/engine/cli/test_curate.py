"""`looptop curate` lists training questions and edits them; exports hold them, and what is exported trains again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config.vqa import DataConfig
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.engine.vqa.curation.edits import record_edit
from looptop.engine.vqa.curation.inherited import count_inheritable, edits_to_inherit
from looptop.engine.vqa.curation.journal import CurationJournal
from looptop.engine.vqa.data.load import load_data
from tests.factories.curated_runs import curated_run
from tests.factories.vqa_runs import make_run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return curated_run(tmp_path)


def printed(capsys: Capture, *words: str) -> str:
    assert main(["curate", *words]) == 0
    return capsys.readouterr().out


def ids(capsys: Capture, *words: str) -> list[str]:
    shown: list[dict[str, Any]] = json.loads(printed(capsys, *words, "--json"))["shown"]
    return [each["question_id"] for each in shown]


def test_the_hardest_come_first_and_filters_choose(run: RunFolder, capsys: Capture) -> None:
    text = printed(capsys, run.id)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["q2", "q1", "q0", "q3", "q4"]
    assert lines[1].split()[:5] == ["q2", "4", "3.4", "%", "0.016"] and "pink" in lines[1]
    assert lines[5].split()[:4] == ["q4", "-", "-", "-"]
    assert lines[-1] == "5 of 5 questions; 2 epochs"
    assert ids(capsys, run.id, "--sort", "confidence") == ["q2", "q1", "q0", "q3", "q4"]
    assert ids(capsys, run.id, "--sort", "variability", "--limit", "1") == ["q0"]
    assert ids(capsys, run.id, "loss<1", "-answer:teal") == ["q1", "q0"]
    assert "2 of 2 questions; 5 in all" in printed(capsys, run.id, "confidence>60%", "loss<0.3")
    one = json.loads(printed(capsys, run.id, "id:q4", "--json"))
    assert one["shown"][0]["loss"] is None and one["shown"][0]["confidences"] == [None, None]
    assert (one["questions"], one["accepted"], one["epochs"]) == (5, 1, [1, 2])


def test_a_run_that_is_not_live_is_edited_at_once(run: RunFolder, capsys: Capture) -> None:
    assert "q2: its answer is sky blue, once the run is resumed" in printed(
        capsys, run.id, "--relabel", "q2", "sky blue"
    )
    assert "q1: it is left out of training" in printed(capsys, run.id, "--drop", "q1")
    text = printed(capsys, run.id, "edited")
    assert (
        "pink" in text and "→ sky blue" in text and "left out" in text and "1 with another answer, 1 left out" in text
    )
    assert ids(capsys, run.id, "dropped") == ["q1"]
    assert count_inheritable(run) == 2
    inherited = edits_to_inherit(run)
    assert inherited is not None
    assert [(each.question_id, each.kind, each.answer) for each in inherited.edits] == [
        ("q1", "drop", ""),
        ("q2", "relabel", "sky blue"),
    ]
    assert "as in the data" in printed(capsys, run.id, "--undo", "q1")
    assert ids(capsys, run.id, "edited") == ["q2"]
    assert [edit.by for edit in CurationJournal(run.db).edits()] == ["cli"] * 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--drop", "q9"], "no training question has the id 'q9'"),
        (["--relabel", "q1", " "], "must not be empty"),
        (["--drop", "q1", "teal"], "a filter ('teal') has no effect beside an edit"),
        (["--limit", "0"], "--limit is 0"),
        (["lost>2"], "no figure 'lost'"),
        (["--sort", "size"], "invalid choice"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: RunFolder, capsys: Capture, words: list[str], sentence: str) -> None:
    try:
        code: Any = main(["curate", run.id, *words])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    out, err = capsys.readouterr()
    assert sentence in err and err.count("\n") == 1 and not out
    assert CurationJournal(run.db).edits() == []


def test_a_live_run_must_be_paused(tmp_path: Path, capsys: Capture) -> None:
    live = curated_run(tmp_path, state=None)
    with RunLock(live.lock, live.id):
        assert main(["curate", live.id, "--drop", "q1"]) == 2
    assert f"pause it first: `looptop pause {live.id}`" in capsys.readouterr().err
    assert list(live.controls.iterdir()) == []


def test_a_run_without_questions_says_so(capsys: Capture) -> None:
    older = make_run(state=RunState.FINISHED)
    assert main(["curate", older.id]) == 2
    assert "has not recorded its training questions" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_exported_is_a_table_to_train_on(run: RunFolder, tmp_path: Path, form: str) -> None:
    record_edit(run, 2, "relabel", "blue, dark")
    record_edit(run, 3, "drop")
    out = tmp_path / "better"
    assert main(["export", run.id, "--to", form, "--tables", "curated_questions", "--out", str(out)]) == 0
    data = load_data(DataConfig(source=str(out)))
    rows = [row for split in (data.train, data.validation) for row in split]
    read = sorted((row["question_id"], Path(row["image"]).name, row["question"], row["answer"]) for row in rows)
    assert read == [
        ("q0", "0-red.png", "what colour is shape 0?", "red"),
        ("q1", "1-green.png", "what colour is shape 1?", "green"),
        ("q2", "2-blue.png", "what colour is shape 2?", "blue, dark"),
        ("q4", "4-black.png", "what colour is shape 4?", "black"),
    ]
    assert not len(data.problems)


def test_the_exported_tables_hold_figures_and_edits(run: RunFolder, tmp_path: Path) -> None:
    record_edit(run, 2, "relabel", "blue")
    record_edit(run, 3, "drop")
    out = tmp_path / "out"
    assert main(["export", run.id, "--to", "csv", "--out", str(out)]) == 0
    with (out / "training_questions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["question_id"], row["answer"], row["edited_answer"], row["dropped"]) for row in rows[2:4]] == [
        ("q2", "pink", "blue", "False"),
        ("q3", "teal", "", "True"),
    ]
    assert float(rows[2]["last_loss"]) == 4.0
    assert rows[4]["mean_confidence"] == "nan"
    with (out / "question_losses.csv").open(newline="") as file:
        losses = list(csv.DictReader(file))
    assert [(each["epoch"], each["question_id"]) for each in losses] == [
        (str(epoch), f"q{row}") for epoch in (1, 2) for row in range(4)
    ]
    assert float(losses[2]["confidence"]) == pytest.approx(0.0498, abs=1e-4)
