"""Killed processes, full disks, locks and hanging readers do not disturb training, and next to nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config import preset
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import AnswerSample, RunState
from looptop.engine.runs.folder import RunFolder
from tests.engine.runs.kills import kill_at
from tests.factories.processes import python, read_line
from tests.support import eventually


@pytest.mark.parametrize(
    ("seconds", "pace"), [(0.0, 0.0), (0.35, 0.0), (1.4, 0.0), (0.6, 0.001), (1.0, 0.004), (1.5, 0.03)], ids=str
)
def test_after_kill_9_at_most_a_second_or_twenty_steps_are_missing(tmp_path: Path, seconds: float, pace: float) -> None:
    """Kills at a few moments; `make kills` tries two hundred random ones."""
    kill_at(tmp_path, seconds, pace)


FILL_THE_DISK = """
    import sys
    from pathlib import Path
    from looptop.engine.journal.reader import JournalWriter

    path, mode = Path(sys.argv[1]), sys.argv[2]
    writer = JournalWriter(path)
    writer.metrics(0, {"loss": 0.0})
    assert writer.flush()
    if mode == "limit":
        import resource
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        free = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    else:
        ballast = path.with_name("ballast")
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1024))
            except OSError:
                pass
        free = ballast.unlink
    for step in range(1, 3001):
        writer.metrics(step, {"loss": float(step), "accuracy": 0.5})
    written = writer.flush(timeout=1.0)
    print("full" if not written else "written", flush=True)
    free()
    print(writer.flush(timeout=60.0), flush=True)
    print(writer.close(), flush=True)
"""


@pytest.fixture(params=["disk", "limit"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A small disk if one can be mounted; otherwise, and always once, a limit on the size of files."""
    if request.param == "disk":
        small = tmp_path / "small"
        small.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(small)], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            request.addfinalizer(lambda: subprocess.run(["umount", "-l", str(small)], check=True))
            return "disk", small / "run.db"
    return "limit", tmp_path / "run.db"


def test_a_full_disk_loses_nothing(full: tuple[str, Path]) -> None:
    mode, path = full
    process = python(FILL_THE_DISK, path, mode)
    assert read_line(process) == "full"
    assert read_line(process) == "True"
    assert read_line(process) == "True"
    assert process.wait() == 0
    values = Journal(path).values("loss")
    assert [point.step for point in values] == list(range(3001))
    assert len(Journal(path).values("accuracy")) == 3000
    warnings = [event.text for event in Journal(path).events() if event.level == "warning"]
    assert len(warnings) == 1
    assert "could not be written for" in warnings[0]


def test_somebody_elses_lock_never_holds_up_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = JournalWriter(tmp_path / "run.db", network=False)
    writer.metrics(0, {"loss": 0.0})
    assert writer.flush()
    other = sqlite3.connect(writer.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def train() -> None:
        for step in range(1, 2001):
            writer.metrics(step, {"loss": 1.0})
        writer.event("note", "said while it was locked")

    # Each attempt at the locked file takes a second, and a batch of 20 steps is one attempt.
    training = threading.Thread(target=train, daemon=True)
    training.start()
    training.join(60)
    assert not training.is_alive()
    assert not writer.flush(timeout=1.5)
    # The attempt that began while it trained is over: the next one has all that was said.
    eventually(lambda: "the journal cannot be written" in caplog.text)
    assert len(Journal(writer.path).values("loss")) == 1
    other.execute("ROLLBACK")
    other.close()
    assert writer.flush(timeout=60)
    assert len(Journal(writer.path).values("loss")) == 2001
    assert [event.level for event in Journal(writer.path).events()] == ["info", "warning"]
    assert writer.close()


def test_a_reader_that_hangs_in_a_transaction_keeps_nothing_from_being_written(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.db", network=False)
    writer.metrics(0, {"loss": 0.0})
    assert writer.flush()
    code = """
        import sqlite3, sys, time
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM metrics").fetchall()
        print("reading", flush=True)
        time.sleep(1000)
    """
    reader = python(code, writer.path)
    assert read_line(reader) == "reading"
    os.kill(reader.pid, signal.SIGSTOP)
    try:
        for step in range(1, 500):
            writer.metrics(step, {"loss": 1.0})
        assert writer.flush()
        assert len(Journal(writer.path).values("loss")) == 500
        assert writer.close()
        # The run can also be resumed.
        again = JournalWriter(writer.path, network=False)
        again.metrics(500, {"loss": 1.0})
        assert again.close()
    finally:
        os.kill(reader.pid, signal.SIGCONT)
        reader.kill()
        reader.wait()
    assert len(Journal(writer.path).values("loss")) == 501


def test_a_journal_that_can_never_be_written_does_not_keep_a_run_from_ending(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.db", network=False)
    assert writer.flush()
    other = sqlite3.connect(writer.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer.metrics(1, {"loss": 1.0})
    assert not writer.close(timeout=0.2)
    other.execute("ROLLBACK")
    other.close()


def test_a_row_that_no_table_accepts_is_dropped_and_later_rows_are_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = JournalWriter(tmp_path / "run.db")
    with contextlib.closing(sqlite3.connect(writer.path)) as other:
        other.execute("DROP TABLE answer_samples")
        other.execute("DROP TABLE facts")
    writer.facts(total_steps=3)
    writer.rows("INSERT INTO nowhere VALUES (?)", [(1,)])
    writer.rows("INSERT INTO ppo_pieces VALUES (?, ?)", [("no number", "text")])
    writer.rows("INSERT INTO ppo_pieces VALUES (?, ?)", [(7, "text")])
    writer.answer_samples(1, [AnswerSample("1", "a.png", "what?", "red", "red", 1.0, 1.0)])
    writer.metrics(1, {"loss": 0.5})
    writer.event("data", "the last thing that was said")
    assert writer.flush()
    assert writer.rejected_count == 4
    assert writer.close()
    read = Journal(writer.path)
    assert [event.text for event in read.events()] == ["the last thing that was said"]
    assert [point.value for point in read.values("loss")] == [0.5]
    told = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(told) == 2 and told[1] == "the journal left out 4 entries that no table accepts"


def test_a_rejected_entry_does_not_hide_that_the_journal_could_not_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = JournalWriter(tmp_path / "run.db")
    assert writer.flush()
    with contextlib.closing(sqlite3.connect(writer.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer.rows("INSERT INTO nowhere VALUES (?)", [(1,)])
        writer.event("data", "written while it was locked")
        eventually(lambda: "the journal cannot be written" in caplog.text)
        other.execute("ROLLBACK")
    assert writer.close()
    assert writer.rejected_count == 1
    first, second = (event.text for event in Journal(writer.path).events())
    assert first.startswith("the journal could not be written for")
    assert second == "written while it was locked"


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_reader_recovers_the_journal_of_a_killed_run(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "run.db"
    JournalWriter(path, network=mode == "DELETE").close()
    code = """
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA journal_mode = " + sys.argv[2])
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("INSERT INTO facts VALUES ('kept', '1')")
        connection.execute("BEGIN")
        for number in range(20000):
            connection.execute("INSERT INTO events (time, kind, level, text) VALUES (0, '', '', ?)", ("x" * 100,))
        os.kill(os.getpid(), 9)
    """
    assert python(code, path, mode).wait() == -signal.SIGKILL
    assert len(list(path.parent.glob("run.db-*"))) > 0
    assert Journal(path).facts() == {"kept": 1}
    assert Journal(path).events() == []


def test_a_state_of_a_newer_looptop_is_one_sentence_and_hides_no_other_run(capsys: pytest.CaptureFixture[str]) -> None:
    newer, known = RunFolder.create("vqa", preset("tiny")), RunFolder.create("vqa", preset("tiny"))
    for run in (newer, known):
        with contextlib.closing(JournalWriter(run.db)) as writer:
            writer.state(RunState.FINISHED)
    with contextlib.closing(sqlite3.connect(newer.db)) as connection, connection:
        connection.execute("UPDATE states SET state = 'hibernating'")
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out
    assert known.id in listed and "finished" in listed and newer.id in listed
    assert main(["resume", newer.id]) == 2
    assert "the journal holds the unknown state 'hibernating': a newer looptop" in capsys.readouterr().err
