"""A run's folder can come from anywhere: links in it are not followed, and pipes and devices are not read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from looptop.engine.cli.main import main
from looptop.engine.errors import LooptopError
from looptop.engine.files import lock
from looptop.engine.files.lock import RunLock
from looptop.engine.files.private import UnsafeFileError, open_regular, read_regular, touch_private, write_private
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.models.names import result_of
from looptop.engine.runs import checkpoint, control
from looptop.engine.runs.about import read_about
from looptop.engine.runs.context import append_to_log
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.listing import Summaries
from looptop.engine.runs.notify import Notifier
from looptop.engine.startup.host import relaunch
from looptop.engine.startup.run import resume
from tests.factories.runs import Steps, config

Capture = pytest.CaptureFixture[str]

FILES = ["config.toml", "about.toml", "run.lock", "log.txt", "run.db", "run.db-wal", "run.db-shm", "run.db-journal"]
FOLDERS = ["controls", "checkpoints", "model", ".new-model"]


@pytest.fixture
def folder() -> RunFolder:
    """A run that was stopped."""
    run = RunFolder.create("vqa", config())
    journal = JournalWriter(run.db)
    journal.state(RunState.RUNNING)
    journal.metrics(1, {"loss": 1.0})
    journal.state(RunState.STOPPED, "stopped on request")
    journal.close()
    run.log.write_text("it said this\n")
    with RunLock(run.lock).acquire(heartbeat=False):
        pass
    return run


def replace(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)


COMMANDS = """
import contextlib, io, json, sys
from looptop.engine.cli.main import main
ended = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    ended.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(ended))
"""


def commands(*each: list[str]) -> list[tuple[int, str, str]]:
    """Runs commands in a process of their own, for two minutes at most: exit code, output, errors."""
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(each)], capture_output=True, text=True, timeout=120, check=True
    )
    return [tuple(one) for one in json.loads(ended.stdout)]


def as_it_was(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)


# Links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_resume_refuses_a_link_and_does_not_touch_its_target(
    name: str, folder: RunFolder, tmp_path: Path, capsys: Capture
) -> None:
    """Review: log.txt -> ~/.bashrc was made 0600 and written to, run.db -> a file became a database."""
    victim = tmp_path / "victim"
    original = folder.path / name
    victim.write_bytes(original.read_bytes() if original.exists() and name.endswith(".toml") else b"")
    victim.chmod(0o644)
    before = as_it_was(victim)
    replace(original, lambda path: path.symlink_to(victim))
    for go_on in (lambda: relaunch(folder.id), lambda: resume(folder.id, Steps(1))):
        with pytest.raises(LooptopError, match=rf"{name} is a link"):
            go_on()
        assert as_it_was(victim) == before
    assert main(["resume", folder.id]) == 2
    _, err = capsys.readouterr()
    assert err.startswith("looptop: ") and f"{name} is a link" in err and err.count("\n") == 1
    assert as_it_was(victim) == before


@pytest.mark.parametrize("name", FOLDERS)
def test_resume_refuses_a_folder_that_is_a_link(name: str, folder: RunFolder, tmp_path: Path) -> None:
    """Review: controls -> any folder, and every *.json in it was deleted."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "package.json").write_text("{}")
    replace(folder.path / name, lambda path: path.symlink_to(victim))
    for go_on in (lambda: relaunch(folder.id), lambda: resume(folder.id, Steps(1))):
        with pytest.raises(LooptopError, match=rf"{name} is a link"):
            go_on()
    assert [path.name for path in victim.iterdir()] == ["package.json"]


def test_a_copy_is_of_its_own_kind_whatever_its_folder_is_called(
    folder: RunFolder, tmp_path: Path, capsys: Capture
) -> None:
    for name in ("best", "ppo-1"):
        copy = RunFolder.find(str(shutil.copytree(folder.path, tmp_path / name)))
        assert (copy.kind, copy.summary().kind) == ("vqa", "vqa")
        assert main(["show", str(copy.path)]) == 0
        assert "accuracy" in capsys.readouterr().out
        copy.config_file.unlink()
    assert [RunFolder(tmp_path / name).kind for name in ("best", "ppo-1")] == ["", "ppo"]


def test_a_run_that_was_renamed_by_hand_keeps_its_kind(folder: RunFolder) -> None:
    renamed = RunFolder(folder.path.rename(folder.path.with_name("ppo-7")))
    assert (renamed.kind, RunFolder.find("ppo-7").summary().kind) == ("vqa", "vqa")


def test_controls_are_neither_read_nor_written_through_a_link(folder: RunFolder, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "package.json").write_text("{}")
    replace(folder.controls, lambda path: path.symlink_to(victim))
    journal = JournalWriter(folder.db)
    Gate(folder, journal).discard_before(time.time())
    assert control.take(folder) == [] and control.waiting_files(folder) == []
    with RunLock(folder.lock).acquire(), pytest.raises(LooptopError, match="controls: it is a link"):
        control.send(folder, "stop")
    journal.close()
    assert [path.name for path in victim.iterdir()] == ["package.json"]


def test_a_control_that_is_a_link_or_a_pipe_is_skipped_with_an_event(folder: RunFolder, tmp_path: Path) -> None:
    victim = tmp_path / "victim.json"
    victim.write_bytes(msgspec.json.encode(control.Control("a", "stop", "cli", 0.0)))
    (folder.controls / "1-a.json").symlink_to(victim)
    os.mkfifo(folder.controls / "2-b.json")
    reports: list[str] = []
    assert control.take(folder, reports.append) == []
    assert len(reports) == 2 and "is a link" in reports[0] and "is not a regular file" in reports[1]
    assert victim.exists() and not list(folder.controls.iterdir())


def test_nothing_adds_to_a_log_that_is_a_link(folder: RunFolder, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    victim.chmod(0o644)
    before = as_it_was(victim)
    replace(folder.log, lambda path: path.symlink_to(victim))
    append_to_log(folder, "`touch here`")
    told = Notifier(folder.path)
    (folder.path / "about.toml").write_text(f"notify = 'echo told; touch {tmp_path}/told'\n")
    told.notify("finished")
    told.close()
    assert as_it_was(victim) == before and not (tmp_path / "told").exists()


def test_checkpoints_and_results_behind_links_do_not_count(folder: RunFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "checkpoint-7"
    elsewhere.mkdir()
    (elsewhere / "config.json").write_text("{}")
    checkpoint.seal(elsewhere)
    assert checkpoint.is_complete(elsewhere)
    (folder.checkpoints / "checkpoint-7").symlink_to(elsewhere)
    assert checkpoint.newest_complete(folder.checkpoints) is None
    shutil.copytree(elsewhere, folder.checkpoints / "checkpoint-8")
    assert checkpoint.newest_complete(folder.checkpoints) is not None
    (folder.checkpoints / "checkpoint-8/config.json").unlink()
    (folder.checkpoints / "checkpoint-8/config.json").symlink_to(elsewhere / "config.json")
    assert checkpoint.newest_complete(folder.checkpoints) is None
    folder.model.mkdir()
    (folder.model / "model.safetensors").symlink_to(tmp_path / "weights")
    with pytest.raises(LooptopError, match=r"model.safetensors is a link"):
        result_of(folder, lambda _: True)


@pytest.mark.parametrize("name", ["../../config.toml", "a\0b", "/etc/passwd"])
def test_a_manifest_with_strange_names_is_incomplete(name: str, folder: RunFolder) -> None:
    made = folder.checkpoints / "checkpoint-1"
    made.mkdir()
    size = 1 if "\0" in name else (made / name).stat().st_size
    (made / checkpoint.MANIFEST).write_text(json.dumps({"files": {name: size}}))
    assert not checkpoint.is_complete(made)


# Pipes, devices, large files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "link to zero"])
@pytest.mark.parametrize("name", FILES)
def test_lists_and_commands_survive_and_say_what_is_wrong(
    name: str, make: Callable[[Path], object], folder: RunFolder
) -> None:
    """Review: `show` and `runs` hung on a pipe, and read /dev/zero until memory was gone."""
    other = RunFolder.create("vqa", config())
    replace(folder.path / name, make)
    wrong = f"{name} is "
    names = ("show", "logs", "metrics", "resume", "attach")
    listed, *ended = commands(["runs", "--json"], *([name, folder.id] for name in names))
    assert listed[0] == 0, listed
    reasons = {run["id"]: run["reason"] for run in json.loads(listed[1])["runs"]}
    assert other.id in reasons and wrong in reasons[folder.id]
    for code, _, err in ended:
        assert code in (0, 1, 2) and "Traceback" not in err
        assert not code or (err.startswith("looptop: ") and err.count("\n") == 1)
    of = dict(zip(names, ended, strict=True))
    assert wrong in of["show"][1] + of["show"][2]
    assert of["resume"][0] == 2 and wrong in of["resume"][2]
    assert name != "log.txt" or wrong in of["logs"][2]
    assert wrong in next(run for run in Summaries().all() if run.id == folder.id).reason
    assert commands(["delete", folder.id, "--yes"], ["runs", "--json"])[0][0] == 0
    assert not folder.path.exists()


def test_large_files_are_refused(folder: RunFolder) -> None:
    for name in ("about.toml", "config.toml", "run.lock"):
        with (folder.path / name).open("ab") as file:
            file.truncate(2**40)  # it takes no room
    assert read_about(folder.path).title == ""
    assert lock.read_owner(folder.lock) is None
    with pytest.raises(LooptopError, match="configuration"):
        folder.settings()
    assert folder.summary().id == folder.id


@pytest.mark.parametrize("text", [b"\xff", b"[" * 100_000, b'{"host": "a", "pid": -1, "started": 0}'])
def test_a_lock_file_with_nonsense_has_no_owner(text: bytes, folder: RunFolder) -> None:
    folder.lock.write_bytes(text)
    assert lock.read_owner(folder.lock) is None
    assert folder.summary().state is RunState.STOPPED


def test_a_configuration_that_is_nested_too_deeply_is_damaged(folder: RunFolder) -> None:
    for text in ("a = " + "[" * 100_000, "a = " + "9" * 6000):
        folder.config_file.write_text(text)
        (folder.path / "about.toml").write_text(text)
        with pytest.raises(LooptopError, match="is damaged"):
            folder.config()
        assert read_about(folder.path).title == ""


# The journal -----------------------------------------------------------------------------------------------------


def test_a_rollback_journal_cannot_have_another_file_deleted(folder: RunFolder, tmp_path: Path) -> None:
    """SQLite deletes the super-journal that a hot journal names; a stranger's may name any file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"thesis\0")
    with contextlib.closing(sqlite3.connect(folder.db)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    hot = hot_journal(tmp_path, folder.db)
    name = os.fsencode(victim)
    end = (
        (0).to_bytes(4, "big")
        + name
        + len(name).to_bytes(4, "big")
        + (sum(name) % 2**32).to_bytes(4, "big")
        + bytes.fromhex("d9d505f920a163d7")
    )
    folder.db.with_name("run.db-journal").write_bytes(hot + end)
    with pytest.raises(LooptopError, match=r"run\.db-journal makes SQLite delete another file"):
        relaunch(folder.id)
    assert "makes SQLite delete another file" in folder.summary().reason
    assert victim.read_bytes() == b"thesis\0"


def hot_journal(folder: Path, db: Path) -> bytes:
    """The files that a writer leaves if it is killed in a transaction."""
    shutil.copy(db, folder / "copy.db")
    code = f"""
import os, sqlite3
connection = sqlite3.connect({str(folder / "copy.db")!r}, isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE big (text)")
connection.executemany("INSERT INTO big VALUES (?)", [("x" * 5000,)] * 100)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    shutil.copy(folder / "copy.db", db)
    return (folder / "copy.db-journal").read_bytes()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON states BEGIN DELETE FROM metrics; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE VIRTUAL TABLE f USING fts5(text)",
        "ALTER TABLE states ADD COLUMN g TEXT AS (upper(reason))",
        "CREATE TABLE g (a, b INTEGER generated always as(a + 1)STORED)",
        'CREATE TABLE "g\'" (a, [as] DEFAULT 0, b AS/**/(a))',
    ],
)
def test_a_journal_with_programs_in_it_is_not_opened(statement: str, folder: RunFolder) -> None:
    with contextlib.closing(sqlite3.connect(folder.db)) as connection:
        connection.execute(statement)
    assert "looptop did not create" in folder.summary().reason
    with pytest.raises(LooptopError, match="looptop did not create"):
        relaunch(folder.id)


@pytest.mark.parametrize("version", [-1, -(2**31)])
def test_a_journal_of_an_impossible_version_is_damaged_and_hides_no_other_run(
    version: int, folder: RunFolder, capsys: Capture
) -> None:
    other = RunFolder.create("vqa", config())
    with contextlib.closing(sqlite3.connect(folder.db)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    sentence = f"run.db is damaged: it has the version {version}, which no looptop writes; replace it"
    assert sentence in folder.summary().trouble
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out
    assert folder.id in listed and other.id in listed
    assert main(["resume", folder.id]) == 2
    assert sentence in capsys.readouterr().err


# The functions that open -----------------------------------------------------------------------------------------


def test_only_regular_files_of_this_user_are_opened(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    write_private(mine, b"one")
    assert read_regular(mine) == b"one"
    with pytest.raises(UnsafeFileError, match="more than 2 bytes"):
        read_regular(mine, 2)
    os.link(mine, tmp_path / "other name")
    with pytest.raises(UnsafeFileError, match="has another name"):
        write_private(mine, b"two")
    with pytest.raises(UnsafeFileError, match="has another name"):
        touch_private(mine)
    assert mine.read_bytes() == b"one"
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(mine)
    (tmp_path / "nothing").symlink_to(tmp_path / "made by nobody")
    for name in ("folder", "pipe", "link", "nothing"):
        with pytest.raises(UnsafeFileError):
            open_regular(tmp_path / name)
        with pytest.raises(OSError):
            write_private(tmp_path / name, b"")
    assert not (tmp_path / "made by nobody").exists()
    if os.geteuid() == 0:
        (tmp_path / "theirs").touch()
        os.chown(tmp_path / "theirs", 12345, 12345)
        with pytest.raises(UnsafeFileError, match="belongs to another user"):
            touch_private(tmp_path / "theirs")


def test_a_safe_run_is_resumed(folder: RunFolder) -> None:
    run = resume(folder.id, Steps(2))
    assert run.wait(60) is RunState.FINISHED
    assert "it said this" in folder.log.read_text()
