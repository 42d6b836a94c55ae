"""A run's journal as files that other programs can read."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from looptop.engine.cli import progress
from looptop.engine.cli.main import main
from looptop.engine.config import preset
from looptop.engine.interchange import run_tables as tables
from looptop.engine.interchange.export import export
from looptop.engine.interchange.importing import import_folder
from looptop.engine.journal.completions import Completion, write_completions
from looptop.engine.journal.reader import AnswerSample, Journal, JournalWriter
from looptop.engine.ppo.journal import (
    pack_tokens,
    write_batch,
    write_judgement,
    write_pieces,
    write_samples,
    write_tokens,
)
from looptop.engine.ppo.records import TOKEN_COLUMNS, BatchRecord, Mark, SampleRecord
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.breakdown import Outcome, breakdown_of, write_breakdown

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run() -> RunFolder:
    folder = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(folder.db)
    for step in range(1, 26):
        writer.metrics(step, {"loss": 1 / step, "odd, name": math.nan if step == 3 else step}, time=1000.0 + step)
    writer.event("data", 'a "quoted",\ntext', step=2, level="warning")
    writer.answer_samples(20, [AnswerSample("1", "1.png", "what?", "red", "blue", 0.5, 0.0)])
    outcomes = [Outcome("red", "red", "other", "color", 1.0), Outcome("no", "yes", "yes/no", "shape", 0.0)]
    write_breakdown(writer, 20, breakdown_of(outcomes))
    write_completions(writer, 4, [Completion("2+2=", "4", {"right": 1.0, "short": None}, 0.5)])
    assert writer.close()
    return folder


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_PER_PAGE", 10)


def points(run: RunFolder) -> list[tuple[str, int, float | None, float]]:
    journal = Journal(run.db)
    return [(name, each.step, each.value, each.time) for name in journal.names() for each in journal.values(name)]


def test_csv_holds_every_value_and_every_text(run: RunFolder, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert main(["export", "vqa-1", "--to", "csv", "--out", str(out), "--json"]) == 0
    names = [Path(file).name for file in json.loads(capsys.readouterr().out)["files"]]
    assert names == [
        "accuracy_by_type.csv",
        "answers.csv",
        "completions.csv",
        "confusion.csv",
        "events.csv",
        "metrics.csv",
    ]
    assert (out / "confusion.csv").read_text().splitlines() == [
        "step,truth,answer,questions",
        "20,red,red,1",
        "20,no,yes,1",
    ]
    assert "20,answer type,yes/no,1,0.0" in (out / "accuracy_by_type.csv").read_text().splitlines()
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = [
        (row["name"], int(row["step"]), None if row["value"] == "nan" else float(row["value"]), float(row["time"]))
        for row in rows
    ]
    assert read == points(run)
    with (out / "events.csv").open(newline="") as file:
        (event,) = csv.DictReader(file)
    assert (event["text"], event["level"], event["step"]) == ('a "quoted",\ntext', "warning", "2")
    with (out / "completions.csv").open(newline="") as file:
        (written,) = csv.DictReader(file)
    assert json.loads(written["rewards"]) == {"right": 1.0, "short": None}


def test_parquet_has_types(run: RunFolder, tmp_path: Path) -> None:
    from pyarrow import parquet

    out = tmp_path / "out"
    assert main(["export", "vqa-1", "--to", "parquet", "--out", str(out)]) == 0
    table = parquet.read_table(out / "metrics.parquet")
    assert [str(field.type) for field in table.schema] == ["string", "int64", "double", "double"]
    read = [tuple(row.values()) for row in table.to_pylist()]
    assert [(n, s, None if v != v else v, t) for n, s, v, t in read] == points(run)
    assert parquet.read_table(out / "answers.parquet").to_pylist()[0]["answer"] == "blue"


def test_json_lines(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["export", "vqa-1", "--to", "jsonl", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [tuple(row.values()) for row in rows] == points(run)


def test_tensorboard_files_come_back_as_the_same_run(run: RunFolder, tmp_path: Path) -> None:
    """The reader agrees with TensorBoard's own writer (see test_importing), so what it reads here is well written."""
    out = tmp_path / "out"
    assert main(["export", "vqa-1", "--to", "tensorboard", "--out", str(out)]) == 0
    back: list[RunFolder] = []
    words: list[str] = []
    assert import_folder(out, back.append, words.append)
    assert [word.partition("not imported: ")[2] for word in words] == ["texts (1); a run of looptop holds numbers only"]
    theirs = {(name, step): (value, time) for name, step, value, time in points(back[0])}
    assert len(theirs) == len(points(run))
    for name, step, value, time in points(run):
        read, read_time = theirs[name, step]
        assert read_time == time
        assert read is None if value is None else read == pytest.approx(value, rel=1e-6)


def test_nothing_is_overwritten_and_nothing_half_is_left(
    run: RunFolder, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    assert main(["export", "vqa-1", "--to", "csv", "--out", str(tmp_path / "there")]) == 2
    assert "exists already" in capsys.readouterr().err

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(__import__("looptop.engine.interchange.export", fromlist=["WRITERS"]).WRITERS, "csv", full)
    assert main(["export", "vqa-1", "--to", "csv", "--out", str(tmp_path / "new")]) == 2
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def ppo_run(batches: int) -> RunFolder:
    folder = RunFolder.create("ppo", preset("tiny", "ppo"))
    writer = JournalWriter(folder.db)
    for step in range(1, batches + 1):
        write_batch(writer, BatchRecord(step, "updated", 5.0, 1, {}, ()))
        write_samples(writer, step, [SampleRecord(0, 7, "query", "response", True, 2, reward=2.0, kl=0.5)])
        writer.metrics(step, {"objective/kl": 0.25 * step})
    assert writer.close()
    return folder


def test_an_export_shows_its_progress_on_stderr(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ppo_run(120)
    monkeypatch.setattr(progress.Progress.__init__, "__defaults__", (0.0,))
    for form in ("csv", "tensorboard"):
        assert main(["export", "ppo-1", "--to", form, "--out", str(tmp_path / form), "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["run"] == "ppo-1"
        assert ("ppo-1  writing samples  120 rows" in err) is (form == "csv")
        assert ("ppo-1  writing scalars  120 rows" in err) is (form == "tensorboard")
    seen: list[float] = []
    export(RunFolder.find("ppo-1"), "csv", tmp_path / "more", on_part=lambda _table, _rows, done: seen.append(done))
    assert seen == sorted(seen) and seen[0] > 0 and seen[-1] == 1


def test_only_some_tables_and_batches_are_written(tmp_path: Path, capsys: Capture) -> None:
    ppo_run(8)
    out = tmp_path / "out"
    words = ["export", "ppo-1", "--to", "csv", "--out"]
    assert main([*words, str(out), "--tables", "samples, batches", "--batches", "3:5"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["batches.csv", "samples.csv"]
    assert [row["batch"] for row in csv.DictReader((out / "samples.csv").open())] == ["3", "4", "5"]
    assert main([*words, str(tmp_path / "one"), "--batches", "8"]) == 0
    assert [row["batch"] for row in csv.DictReader((tmp_path / "one" / "batches.csv").open())] == ["8"]
    capsys.readouterr()
    for wrong, message in (
        (["--tables", "sample"], "this run has no table 'sample'; its tables are: metrics, events, batches"),
        (["--batches", "9:12"], "there is no batch from 9 to 12 in this run: its batches are 1 to 8"),
        (["--batches", "5:3"], "--batches is '5:3'; write the first and the last, for example 100:120"),
        (["--batches", "x"], "--batches is 'x'"),
        (["--batches", ""], "--batches is ''"),
    ):
        assert main([*words, str(tmp_path / "no"), *wrong]) == 2
        assert message in capsys.readouterr().err
    assert main(["export", "ppo-1", "--to", "tensorboard", "--out", str(tmp_path / "no"), "--tables", "metrics"]) == 2
    assert "to choose tables or batches, use another format" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_ppo_runs_batches_samples_and_tokens_are_written_whole(tmp_path: Path, form: str) -> None:
    import datasets

    folder = RunFolder.create("ppo", preset("tiny", "ppo"))
    writer = JournalWriter(folder.db)
    columns = [np.full(2, float(at), dtype="<f4").tobytes() for at in range(len(TOKEN_COLUMNS))]
    for step in (1, 2):
        write_batch(writer, BatchRecord(step, "updated", 5.0, 2, {}, (Mark("kl_high", "text"),)))
        rows = [
            SampleRecord(row, 7, "a, query", 'a "response"', True, 2, scores={"grammar": 1.5}, reward=2.0, kl=0.5)
            for row in (0, 1)
        ]
        write_samples(writer, step, rows)
        blob = pack_tokens(np.array([3, 4], dtype="<i4").tobytes(), b"\x01\x01", columns)
        write_tokens(writer, step, [(row, blob) for row in (0, 1)])
        writer.metrics(step, {"objective/kl": 0.25 * step})
    write_pieces(writer, {3: " the", 4: "line\nfeed"})
    write_judgement(writer, 2, 1, "reward", 9.0, "cli")
    assert writer.close()
    out = tmp_path / "out"
    assert main(["export", "ppo-1", "--to", form, "--out", str(out)]) == 0
    kind = "json" if form == "jsonl" else form
    read = {
        name: datasets.load_dataset(kind, data_files=str(out / f"{name}.{form}"), split="train")
        for name in ("batches", "samples", "tokens")
    }
    assert [(row["batch"], row["marks"], row["objective/kl"]) for row in read["batches"]] == [
        (1, "kl_high", 0.25),
        (2, "kl_high", 0.5),
    ]
    assert len(read["samples"]) == 4 and len(read["tokens"]) == 8
    last = read["samples"][3]
    assert (last["batch"], last["sample"], last["reward"], last["person_reward"]) == (2, 1, 2.0, 9.0)
    assert (last["query"], last["response"], last["score_grammar"]) == ("a, query", 'a "response"', 1.5)
    token = read["tokens"][7]
    assert (token["token"], token["id"], token["text"], token["logprob"], token["ratio"]) == (1, 4, "line\nfeed", 0, 8)
