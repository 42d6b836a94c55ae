"""The folder of a run: complete from the start, never shared by two runs, private, and found by id or path."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.models.names import resolve
from looptop.engine.runs.folder import RunFolder, home
from tests.factories.processes import python
from tests.factories.runs import config


def test_ids_count_up_for_each_kind() -> None:
    made = [RunFolder.create(kind, config()).id for kind in ("vqa", "vqa", "ppo", "vqa")]
    assert made == ["vqa-1", "vqa-2", "ppo-1", "vqa-3"]
    assert RunFolder.find("vqa-2").config() == config()
    assert {folder.id for folder in RunFolder.all()} == set(made)


def test_the_newest_run_comes_first() -> None:
    for _ in range(11):
        RunFolder.create("vqa", config())
    for number, folder in enumerate(sorted(RunFolder.all(), key=lambda folder: int(folder.id[4:]))):
        os.utime(folder.config_file, (number, number))
    assert [folder.id for folder in RunFolder.all()][:3] == ["vqa-11", "vqa-10", "vqa-9"]


def test_runs_made_at_the_same_moment_never_share_a_folder() -> None:
    code = """
        from looptop.engine.config import preset
        from looptop.engine.runs.folder import RunFolder
        print(*[RunFolder.create("vqa", preset("tiny")).id for _ in range(20)])
    """
    processes = [python(code) for _ in range(3)]
    with ThreadPoolExecutor(4) as threads:
        mine = list(threads.map(lambda _: RunFolder.create("vqa", config()).id, range(40)))
    ids = mine + [run_id for process in processes for run_id in process.communicate()[0].split()]
    assert sorted(ids, key=lambda run_id: int(run_id[4:])) == [f"vqa-{number}" for number in range(1, 101)]
    assert not [path for path in (home() / "runs").iterdir() if path.name.startswith(".")]


def test_other_users_cannot_read_a_run() -> None:
    before = os.umask(0)
    try:
        shutil.rmtree(home())
        folder = RunFolder.create("vqa", config())
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [home(), folder.path.parent, folder.path]}
    assert set(modes.values()) == {0o700}
    assert stat.S_IMODE(folder.config_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.controls.stat().st_mode) == 0o700


def test_a_run_is_also_named_by_its_folder(tmp_path: Path) -> None:
    folder = RunFolder.create("vqa", config())
    copy = tmp_path / "from another machine"
    shutil.copytree(folder.path, copy)
    assert RunFolder.find(str(copy)).config() == config()
    with pytest.raises(LooptopError, match="is not a run's"):
        RunFolder.find(str(tmp_path))


@pytest.mark.parametrize("run_id", ["vqa-9", "nonsense", "../vqa-1", "", "vqa-1\x1b[2J"])
def test_an_unknown_run_is_refused_with_a_list_of_runs(run_id: str) -> None:
    with pytest.raises(LooptopError, match="there are no runs yet"):
        RunFolder.find(run_id)
    RunFolder.create("vqa", config())
    with pytest.raises(LooptopError, match="vqa-1") as caught:
        RunFolder.find(run_id)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("state", [RunState.CREATED, RunState.RUNNING, RunState.PAUSED])
def test_a_run_whose_process_ended_is_interrupted(state: RunState) -> None:
    folder = RunFolder.create("vqa", config())
    with RunLock(folder.lock):
        writer = JournalWriter(folder.db)
        writer.state(state)
        writer.close()
        assert folder.state() is state
        assert folder.summary().state is state
    assert folder.state() is RunState.INTERRUPTED
    assert folder.summary().state is RunState.INTERRUPTED


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.STOPPED, RunState.FAILED])
def test_a_run_that_ended_keeps_its_state(state: RunState) -> None:
    folder = RunFolder.create("vqa", config())
    writer = JournalWriter(folder.db)
    writer.state(state, "why")
    writer.close()
    assert (folder.state(), folder.summary().reason) == (state, "why")


def test_a_summary_holds_what_a_list_shows() -> None:
    folder = RunFolder.create("vqa", config())
    writer = JournalWriter(folder.db)
    writer.state(RunState.RUNNING)
    writer.facts(total_steps=300, device="CPU")
    writer.metrics(120, {"loss": 0.5, "epoch": 1.5})
    writer.metrics(100, {"eval_loss": 0.7, "eval_accuracy": 0.9})
    writer.state(RunState.FINISHED)
    writer.close()
    summary = folder.summary()
    assert (summary.id, summary.kind, summary.state, summary.preset) == ("vqa-1", "vqa", RunState.FINISHED, "tiny")
    assert (summary.step, summary.total_steps, summary.epoch, summary.device) == (120, 300, 1.5, "CPU")
    assert (summary.loss, summary.eval_loss, summary.eval_accuracy) == (0.5, 0.7, 0.9)
    assert summary.created is not None
    assert summary.started is not None
    assert summary.ended is not None
    assert summary.created <= summary.started <= summary.ended


def test_a_list_of_runs_shows_also_those_that_cannot_be_read() -> None:
    folder = RunFolder.create("vqa", config())
    JournalWriter(folder.db).close()
    connection = sqlite3.connect(folder.db)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    other = RunFolder.create("vqa", config())
    other.db.write_bytes(b"damaged" * 1000)
    other.config_file.write_bytes(b"\xff\xfe")
    reasons = {folder.id: folder.summary().reason for folder in RunFolder.all()}
    assert "newer looptop" in reasons["vqa-1"]
    assert "damaged" in reasons["vqa-2"]
    with pytest.raises(LooptopError, match="newer looptop"):
        folder.state()
    with pytest.raises(LooptopError, match="damaged"):
        other.config()


def test_a_home_that_cannot_be_made_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOOPTOP_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(LooptopError, match=r"cannot make the folder .*set LOOPTOP_HOME"):
        RunFolder.create("vqa", config())


def test_a_run_outside_the_home_is_not_taken_for_the_homes_run_of_the_same_id(tmp_path: Path) -> None:
    mine = RunFolder.create("ppo", {"kind": "ppo"})
    theirs = RunFolder(tmp_path / "a folder" / mine.id)
    shutil.copytree(mine.path, theirs.path)
    assert (theirs.id, mine.id) == ("ppo-1", "ppo-1")
    assert mine.name == mine.shell_name == mine.file_name == "ppo-1"
    assert theirs.name == str(theirs.path) and theirs.shell_name == f"'{theirs.path}'"
    assert theirs.file_name.startswith("ppo-1-") and theirs.file_name != mine.file_name
    for run in (mine, theirs):
        assert RunFolder.named(run.name) == RunFolder.find(run.name) == run
        run.model.mkdir()
        (run.model / "config.json").write_text('{"model_type": "t5"}')
        assert resolve(run.name) == str(run.model)
    assert RunFolder.named("google/flan-t5-small") is None and resolve("google/flan-t5-small") == "google/flan-t5-small"
    assert RunFolder.named(str(theirs.model)) is None and resolve(str(theirs.model)) == str(theirs.model)
