"""Runs whose files are damaged, edited or from a stranger: they are listed and shown, and never hide other runs."""

from __future__ import annotations

import contextlib
import json
import math
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.cli.output import duration, moment, percent
from looptop.engine.config import preset
from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import AnswerSample, Point, RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from tests.factories import damage
from tests.support import examples

Capture = pytest.CaptureFixture[str]

NO_TIMES = (float("inf"), float("-inf"), 1e300, -5.0, 1e13, "yesterday", b"\xff")


def finished_run() -> RunFolder:
    run = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(run.db)
    writer.facts(total_steps=4, parameters=12345, device="cpu")
    writer.state(RunState.RUNNING, time=1_700_000_000)
    writer.metrics(4, {"loss": 0.5}, 1_700_000_010)
    writer.event("note", "something happened", time=1_700_000_020)
    writer.state(RunState.FINISHED, time=1_700_000_060)
    writer.close()
    return run


def change(run: RunFolder, sql: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(run.db)) as connection:
        connection.execute(sql, values)
        connection.commit()


@pytest.mark.parametrize("time", NO_TIMES)
def test_an_invalid_time_is_a_question_mark(time: object, capsys: Capture) -> None:
    run = finished_run()
    for table in ("states", "events", "metrics"):
        change(run, f"UPDATE {table} SET time = ?", time)
    assert (run.summary().started, run.summary().ended) == (None, None)
    assert main(["show", run.id]) == 0
    assert "?  something happened" in capsys.readouterr().out
    assert main(["show", run.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"][0]["time"] is None
    assert main(["runs"]) == 0
    assert run.id in capsys.readouterr().out


def test_facts_of_the_wrong_type_are_left_out() -> None:
    run = finished_run()
    writer = JournalWriter(run.db)
    writer.facts(
        total_steps="many",
        parameters=[1],
        result={"accuracy": "x"},
        left_out=3,
        n_train=-1,
        device="cpu",
        rewards=[{"name": "a"}],
    )
    writer.close()
    change(run, "INSERT INTO facts VALUES ('broken', '[1,')")
    assert Journal(run.db).facts() == {"device": "cpu"}
    assert Journal(finished_run().db).facts() == {"total_steps": 4, "parameters": 12345, "device": "cpu"}
    assert run.summary().total_steps is None
    assert main(["show", run.id]) == 0


@pytest.mark.parametrize("text", [b"\xc3", b'{"host": "\xff"}', b"[" * 5000, b'{"host": 1}', b"\x00"])
def test_an_unreadable_lock_file_is_reported_for_its_run_only(text: bytes, capsys: Capture) -> None:
    run, other = finished_run(), finished_run()
    run.lock.write_bytes(text)
    assert main(["runs", "--json"]) == 0
    listed = {each["id"]: each for each in json.loads(capsys.readouterr().out)["runs"]}
    assert "run.lock is damaged" in listed[run.id]["trouble"]
    assert listed[other.id]["trouble"] == ""
    for words in (["runs"], ["show", run.id]):
        assert main(words) == 0
        assert "run.lock is damaged" in capsys.readouterr().out
    assert run.summary().state is RunState.FINISHED
    with RunLock(run.lock, run.id):  # whoever takes the lock writes the file anew
        pass
    assert run.summary().trouble == ""


DEEP = "a = " + "[" * 5000
LONG = "a = " + "9" * 6000


@pytest.mark.parametrize("text", [b"\xff\xfe", DEEP.encode(), LONG.encode(), b"a = ", bytes(40)])
@pytest.mark.parametrize("name", ["config.toml", "about.toml", "run.db"])
def test_each_damaged_file_is_reported_on_the_row_of_its_run(name: str, text: bytes, capsys: Capture) -> None:
    run, other = finished_run(), finished_run()
    (run.path / name).write_bytes(text)
    assert main(["runs"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert name in lines[run.id] or (name == "run.db" and "journal" in lines[run.id])
    assert "!" not in lines[other.id]
    assert main(["show", run.id]) == (2 if name == "run.db" else 0)


def test_a_very_long_answer_does_not_pad_the_others(capsys: Capture) -> None:
    run = finished_run()
    writer = JournalWriter(run.db)
    short = AnswerSample("1", "a.png", "what?", "red", "blue", 0.5, 0.0)
    long = AnswerSample("2", "b.png", "what?", "x" * 1_000_000, "y" * 1_000_000, 0.5, 0.0)
    writer.answer_samples(4, [short] * 20 + [long])
    writer.close()
    assert main(["show", run.id]) == 0
    out = capsys.readouterr().out
    assert len(out) < 20_000
    assert "…" in out


def test_impossible_times_are_still_shown() -> None:
    for value in (float("nan"), float("inf"), float("-inf"), 1e300, -1e300):
        assert moment(value) == "?"
        assert len(duration(value)) < 8
        assert len(percent(value)) < 20
    assert moment(None) == "-"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "tensorboard"])
def test_a_damaged_run_is_exported_as_far_as_it_goes(form: str, tmp_path: Path) -> None:
    run = damage.sample_run()
    change(run, "UPDATE ppo_batches SET step = ? WHERE step = 3", 2**62)
    change(run, "UPDATE ppo_samples SET scores = '{\"r\": \"x\"}', kl = 'text', query = 5 WHERE step = 2")
    change(run, "UPDATE events SET time = ?, text = 7", float("inf"))
    change(run, "UPDATE states SET time = 'now'")
    change(run, "UPDATE answer_samples SET confidence = 'high', truth = 3")
    assert main(["export", run.id, "--to", form, "--out", str(tmp_path / "out")]) == 0


def without_types(run: RunFolder, table: str) -> None:
    """Makes a table anew whose columns take any value as it is."""
    names = ", ".join(column for of, column in damage.columns(run.db) if of == table)
    change(run, f"ALTER TABLE {table} RENAME TO typed")
    change(run, f"CREATE TABLE {table} ({names})")
    change(run, f"INSERT INTO {table} SELECT {names} FROM typed")
    change(run, "DROP TABLE typed")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "tensorboard"])
def test_batches_whose_steps_are_no_numbers_are_left_out(form: str, tmp_path: Path) -> None:
    run = damage.sample_run()
    without_types(run, "ppo_batches")
    change(run, "ALTER TABLE ppo_batches ADD COLUMN more")
    journal = PpoJournal(run.db)
    steps = journal.batch_steps()
    for step in (b"\xff", "two", 1.5, None):
        change(run, "INSERT INTO ppo_batches (step, place, time, samples) VALUES (?, 'updated', 1, 4)", step)
    assert journal.batch_steps() == [batch.step for batch in journal.batches()] == steps
    assert journal.last_batch() is None and journal.batch_ends() == (0, 0)
    assert damage.check_readers(run) == []
    assert main(["export", run.id, "--to", form, "--out", str(tmp_path / "out")]) == 0


def test_the_last_value_until_a_step_is_decoded_like_all_others() -> None:
    run = finished_run()
    without_types(run, "metrics")
    journal = Journal(run.db)
    assert journal.last_until("loss", 5) == journal.last("loss") == Point(4, 0.5, 1_700_000_010)
    change(run, "UPDATE metrics SET value = ?, time = 'now'", b"\xff")
    point = journal.last_until("loss", 5)
    assert point is not None and point.value is None and math.isnan(point.time)
    change(run, "UPDATE metrics SET step = 1.5")
    assert journal.last_until("loss", 5) is None
    assert journal.last_until("\ud800", 5) is None


@pytest.mark.slow  # It damages a run over and over.
def test_any_value_in_any_column_is_a_result_or_a_sentence() -> None:
    run = damage.sample_run()
    whole = run.path.with_name(".whole")
    shutil.copytree(run.path, whole)
    rng = random.Random(7)
    for number, (table, column) in enumerate(damage.columns(run.db)):
        for value in rng.sample(damage.VALUES, examples(1, len(damage.VALUES))):
            if damage.put(run.db, table, column, value):
                commands = damage.COMMANDS[number % len(damage.COMMANDS) :][:1]
                assert damage.check_readers(run) + damage.check_commands(run, commands) == [], (table, column, value)
            shutil.copy(whole / "run.db", run.db)


@pytest.mark.slow  # It damages a run over and over.
@pytest.mark.parametrize("name", ["run.db", "config.toml", "about.toml", "run.lock"])
def test_changed_bytes_of_any_file_are_a_result_or_a_sentence(name: str) -> None:
    run = damage.sample_run()
    path: Path = run.path / name
    if not path.exists():
        path.write_bytes(b'title = "a title"\nnote = "b"\n')
    whole = path.read_bytes()
    rng = random.Random(11)
    for number in range(examples(12, 500)):
        path.write_bytes(whole)
        damage.flip(path, rng)
        commands = damage.COMMANDS[number % len(damage.COMMANDS) :][:1]
        assert damage.check_readers(run) + damage.check_commands(run, commands) == [], number


def test_a_damaged_schema_that_sqlite_quotes_is_a_sentence() -> None:
    run = finished_run()
    data = run.db.read_bytes()
    at = data.find(b"CREATE TABLE changes") + 21
    run.db.write_bytes(data[:at] + b"@V\xd4K\xc0\x92" + data[at + 6 :])
    for opens in (Journal(run.db).state, lambda: JournalWriter(run.db)):
        with pytest.raises(LooptopError, match=r"journal \S+run.db") as caught:
            opens()
        assert "\n" not in str(caught.value)
    assert damage.check_readers(run) + damage.check_commands(run) == []
