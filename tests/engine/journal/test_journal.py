"""The journal: everything written is read back, by any process at any time, from this file alone."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Hold
from looptop.engine.journal.reader import AnswerSample, Journal, JournalWriter
from looptop.engine.journal.records import RunState, RunSummary, accepted
from looptop.engine.journal.schema import VERSION, open_for_reading
from looptop.engine.machine.file_systems import is_on_network
from looptop.engine.runs.listing import took
from tests.support import eventually

SAMPLE = AnswerSample("7", "/images/7.png", "what shape is there?", "circle", "square", 0.25, 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def test_a_snapshot_is_of_one_moment(path: Path) -> None:
    writer, journal = JournalWriter(path), Journal(path)
    with journal.snapshot():
        assert journal.names() == []
    writer.metrics(1, {"loss": 2.0}, time=5.0)
    assert writer.flush()
    with journal.snapshot():
        version = journal.version()
        writer.metrics(2, {"loss": 1.0}, time=6.0)
        assert writer.flush()
        with journal.snapshot():
            assert [point.step for point in journal.values("loss")] == [1]
        assert journal.version() == version
        elsewhere: list[int] = []
        other = threading.Thread(target=lambda: elsewhere.extend(point.step for point in journal.values("loss")))
        other.start()
        other.join()
        assert elsewhere == [1, 2]
    assert [point.step for point in journal.values("loss")] == [1, 2]
    writer.close()


def test_a_missing_journal_reads_as_empty(path: Path) -> None:
    journal = Journal(path)
    assert journal.state() == (RunState.CREATED, "")
    assert (journal.facts(), journal.names(), journal.latest(), journal.events()) == ({}, [], {}, [])
    assert (journal.last("loss"), journal.values("loss"), journal.series("loss").steps) == (None, [], [])
    assert (journal.answer_samples(), journal.answer_steps(), journal.controls(), journal.version()) == ([], [], [], 0)
    assert not path.exists()


@pytest.mark.parametrize("network", [False, True], ids=["wal", "rollback journal"])
def test_all_that_is_written_is_read_back(path: Path, network: bool) -> None:
    writer = JournalWriter(path, network=network)
    writer.state(RunState.RUNNING)
    writer.facts(total_steps=100, device="cpu", sizes={"train": [1, 2]})
    writer.facts(total_steps=200)
    writer.metrics(1, {"loss": 2.0, "learning_rate": 1e-4}, time=5.0)
    writer.metrics(2, {"loss": 1}, time=6.0)
    writer.event("data", "a [b]word[/b]", step=1, level="warning")
    writer.answer_samples(2, [SAMPLE])
    writer.control_reply("c1", "pause", 2, accepted("paused", "paused after step 2"))
    writer.state(RunState.FAILED, "the reason")
    assert writer.flush()
    journal = Journal(path)
    assert journal.state() == (RunState.FAILED, "the reason")
    assert [change.state for change in journal.states()] == [RunState.RUNNING, RunState.FAILED]
    assert journal.facts() == {"total_steps": 200, "device": "cpu", "sizes": {"train": [1, 2]}}
    assert journal.names() == ["loss", "learning_rate"]
    assert [(point.step, point.value, point.time) for point in journal.values("loss")] == [(1, 2.0, 5.0), (2, 1.0, 6.0)]
    assert [point.step for point in journal.values("loss", after_step=1)] == [2]
    last = journal.last("loss")
    assert last is not None
    assert (last.step, last.value) == (2, 1.0)
    assert {name: point.step for name, point in journal.latest().items()} == {"loss": 2, "learning_rate": 1}
    (event,) = journal.events()
    assert (event.step, event.kind, event.level, event.text) == (1, "data", "warning", "a [b]word[/b]")
    assert journal.events(after=event.id) == []
    assert (journal.answer_samples(), journal.answer_samples(1), journal.answer_steps()) == ([SAMPLE], [], [2])
    assert [(c.id, c.kind, c.step, c.text) for c in journal.controls()] == [("c1", "pause", 2, "paused after step 2")]
    assert writer.close()
    assert journal.latest()["loss"].step == 2


def test_a_causes_sentence_is_made_when_it_is_read(path: Path) -> None:
    """What the writer said is shown only where the cause is of no kind that this version knows."""
    writer = JournalWriter(path)
    held, unknown = Hold(3, "scored"), '{"type": "hold", "step": 3, "reason": "invented later"}'
    writer.state(RunState.PAUSED, held)
    assert writer.close()
    journal = Journal(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE states SET reason = 'words of another version'")
        assert (journal.state(), journal.cause()) == ((RunState.PAUSED, "in batch 3, scored"), held)
        assert [change.reason for change in journal.states()] == ["in batch 3, scored"]
        connection.execute("UPDATE states SET cause = ?", (unknown,))
    assert (journal.state(), journal.cause()) == ((RunState.PAUSED, "words of another version"), None)


def test_not_a_number_and_infinity_survive(path: Path) -> None:
    writer = JournalWriter(path)
    for step, value in enumerate([1.0, math.nan, math.inf, -math.inf, 3.0]):
        writer.metrics(step, {"loss": value})
    writer.close()
    journal = Journal(path)
    assert [point.value for point in journal.values("loss")] == [1.0, None, math.inf, -math.inf, 3.0]
    assert journal.series("loss").mean == [1.0, None, math.inf, -math.inf, 3.0]
    thin = journal.series("loss", buckets=1)
    assert (thin.minimum, thin.maximum, thin.missing) == ([-math.inf], [math.inf], [1])


def test_a_value_that_is_not_a_number_is_left_out_with_an_event(path: Path) -> None:
    writer = JournalWriter(path)
    writer.metrics(3, {"loss": "high", "accuracy": 0.5})  # type: ignore[dict-item]
    writer.metrics(2**70, {"loss": 1.0})
    writer.metrics(4, {"loss": 0.5})
    writer.event("data", "file \udcff name")
    writer.close()
    journal = Journal(path)
    assert [(point.step, point.value) for point in journal.values("loss")] == [(4, 0.5)]
    assert [point.value for point in journal.values("accuracy")] == [0.5]
    warning, name = journal.events()
    assert "loss is not a number" in warning.text
    assert name.text == "file \\udcff name"


def test_rows_are_written_after_twenty_steps_or_a_second(path: Path) -> None:
    writer = JournalWriter(path, step_limit=20, seconds=1000.0)
    writer.flush()
    for step in range(19):
        writer.metrics(step, {"loss": 1.0})
    before = Journal(path).version()
    writer.metrics(19, {"loss": 1.0})
    eventually(lambda: Journal(path).version() > before)
    assert len(Journal(path).values("loss")) == 20
    other = JournalWriter(path.with_name("other.db"), step_limit=1000, seconds=0.2)
    other.metrics(1, {"loss": 1.0})
    eventually(lambda: Journal(other.path).values("loss"))
    writer.close()
    other.close()


def test_the_version_tells_whether_to_read_again(path: Path) -> None:
    writer = JournalWriter(path)
    writer.event("a", "b")
    writer.flush()
    before = Journal(path).version()
    assert Journal(path).version() == before
    writer.metrics(1, {"loss": 1.0})
    writer.flush()
    assert Journal(path).version() > before
    writer.close()


def test_nobody_else_can_read_any_of_its_files(path: Path) -> None:
    before = os.umask(0)
    try:
        writer = JournalWriter(path, network=False)
        writer.metrics(1, {"loss": 1.0})
        writer.flush()
        files = sorted(path.parent.glob("run.db*"))
        assert [file.name for file in files] == ["run.db", "run.db-shm", "run.db-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        writer.close()
    finally:
        os.umask(before)


def test_a_finished_journal_is_one_file_that_can_be_copied_and_read_where_nothing_can_be_written(path: Path) -> None:
    writer = JournalWriter(path)
    writer.metrics(1, {"loss": 0.5})
    writer.close()
    assert [file.name for file in path.parent.glob("run.db*")] == ["run.db"]
    copy = path.parent / "copy"
    copy.mkdir()
    shutil.copy(path, copy)
    copy.chmod(0o500)
    try:
        assert [point.value for point in Journal(copy / "run.db").values("loss")] == [0.5]
    finally:
        copy.chmod(0o700)


def test_a_journal_of_a_newer_looptop_is_refused_in_one_sentence(path: Path) -> None:
    JournalWriter(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    for act in (lambda: Journal(path).state(), lambda: JournalWriter(path)):
        with pytest.raises(LooptopError, match=r"newer looptop.*update looptop"):
            act()


def test_a_damaged_journal_is_refused_in_one_sentence(path: Path) -> None:
    path.write_bytes(b"this is no database, and long enough to look like one" * 100)
    for act in (lambda: Journal(path).latest(), lambda: JournalWriter(path)):
        with pytest.raises(LooptopError, match=r"journal .*run\.db"):
            act()


@pytest.mark.parametrize(
    ("kind", "network"), [("ext4", False), ("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("tmpfs", False)]
)
def test_a_network_file_system_is_known_by_its_mount(tmp_path: Path, kind: str, network: bool) -> None:
    folder = tmp_path.resolve()
    other = str(folder) + "-other"
    mounts = [("/", "ext4"), (str(folder), "ext4"), (str(folder), kind), (other, "nfs" if not network else "ext4")]
    assert is_on_network(tmp_path / "run.db", mounts) is network


def test_a_later_value_of_the_same_step_replaces(path: Path) -> None:
    writer = JournalWriter(path)
    for step in range(100):
        writer.metrics(step, {"loss": 1000.0 if step == 50 else 1.0})
    writer.flush()
    writer.metrics(50, {"loss": 2.0})
    writer.close()
    thin = Journal(path).series("loss", buckets=2)
    assert max(thin.maximum, key=lambda value: value or 0.0) == 2.0
    assert len(Journal(path).values("loss")) == 100


def test_resuming_drops_what_came_later_and_marks_its_events(path: Path) -> None:
    writer = JournalWriter(path)
    for step in range(61):
        writer.metrics(step, {"loss": float(step)})
        if step % 20 == 0:
            writer.event("note", f"at {step}", step=step)
            writer.answer_samples(step, [SAMPLE])
    writer.event("note", "of no step")
    writer.discard_after(30)
    writer.metrics(31, {"loss": -1.0})
    writer.close()
    journal = Journal(path)
    assert [point.step for point in journal.values("loss")] == list(range(32))
    assert journal.answer_steps() == [0, 20]
    assert {event.text: event.superseded for event in journal.events()} == {
        "at 0": False,
        "at 20": False,
        "at 40": True,
        "at 60": True,
        "of no step": False,
    }
    thin = journal.series("loss", buckets=1)
    assert (thin.minimum, thin.maximum) == ([-1.0], [30.0])


def test_resuming_from_nothing_drops_everything(path: Path) -> None:
    writer = JournalWriter(path)
    for step in range(100):
        writer.metrics(step, {"loss": float(step)})
    writer.discard_after(-1)
    writer.close()
    assert (Journal(path).names(), Journal(path).series("loss").steps) == ([], [])
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM buckets").fetchone() == (0,)
    connection.close()


def test_reading_leaves_no_file_open_and_no_transaction(path: Path) -> None:
    writer = JournalWriter(path, network=False)
    writer.metrics(1, {"loss": 1.0})
    writer.flush()
    before = len(list(Path("/dev/fd").iterdir()))
    journal = Journal(path)
    for _ in range(50):
        journal.latest()
        journal.series("loss")
        journal.events()
    # SQLite keeps one closed file for the next reader while the writer's is open (closing it would drop its locks).
    assert len(list(Path("/dev/fd").iterdir())) <= before + 1
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    other.close()
    writer.close()


def test_an_ended_journal_can_be_continued(path: Path) -> None:
    first = JournalWriter(path)
    first.metrics(1, {"loss": 1.0, "accuracy": 0.1})
    first.close()
    second = JournalWriter(path)
    second.metrics(2, {"accuracy": 0.2, "loss": 0.5})
    second.close()
    assert [point.value for point in Journal(path).values("loss")] == [1.0, 0.5]
    assert [point.value for point in Journal(path).values("accuracy")] == [0.1, 0.2]


def test_the_time_between_an_end_and_a_resume_does_not_count(path: Path) -> None:
    writer = JournalWriter(path)
    states = [RunState.RUNNING, RunState.PAUSED, RunState.STOPPED, RunState.RUNNING, RunState.FINISHED]
    for state, time in zip(states, (10.0, 20.0, 30.0, 1000.0, 1005.0), strict=True):
        writer.state(state, time=time)
    writer.close()
    outline = Journal(path).outline()
    assert (outline.started, outline.ended, outline.idle) == (10.0, 1005.0, 970.0)
    summary = RunSummary("vqa-1", "vqa", RunState.FINISHED, started=10.0, ended=1005.0, idle=970.0)
    assert took(summary) == 25.0


def test_the_time_after_a_process_was_killed_does_not_count(path: Path) -> None:
    writer = JournalWriter(path)
    writer.state(RunState.RUNNING, time=10.0)
    writer.state(RunState.PAUSED, time=15.0)
    writer.state(RunState.RUNNING, time=20.0)  # continued: there is no gap
    writer.event("checkpoint", "checkpoint-5", step=5, time=30.0)
    writer.event("alert", "of a step that is made again", step=8, time=40.0)
    writer.state(RunState.RUNNING, time=1000.0)
    writer.discard_after(5)
    writer.event("resume", "resumes from checkpoint-5", time=1000.5)
    writer.state(RunState.FINISHED, time=1020.0)
    writer.close()
    outline = Journal(path).outline()
    assert outline.idle == 970.0
    assert outline.started is not None and outline.ended is not None
    assert took(RunSummary("vqa-1", "vqa", RunState.FINISHED, started=10.0, ended=1020.0, idle=outline.idle)) == 40.0


def test_a_journal_that_is_deleted_while_it_is_opened_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "run.db"
    JournalWriter(db).close()
    monkeypatch.setattr(Path, "is_file", lambda path: path.unlink() is None)
    assert open_for_reading(db) is None
