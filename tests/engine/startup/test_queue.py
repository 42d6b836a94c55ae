"""Runs that wait for another one: they hold their place, are seen, start by themselves, and can be stopped."""

from __future__ import annotations

import functools
import json
import shutil
import sys
from pathlib import Path

import pytest

from looptop.engine.cli import main as cli
from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import AFTER_FACT, RunFolder, RunLock
from looptop.engine.startup import host
from looptop.engine.startup.worker import RunThread
from tests.engine import fake_engine
from tests.factories.processes import process_of
from tests.factories.runs import Steps, config
from tests.support import eventually, wait_taken

ENDED = "{} has ended: training begins"

launch = functools.partial(host.launch, config(), fake_engine.PROGRAM)


@pytest.mark.usefixtures("engine")
def test_queued_runs_train_one_after_the_other(
    launched: list[RunFolder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_TRAINING", "wait")
    first = launch()
    monkeypatch.setenv("FAKE_TRAINING", "finish")
    second = launch(after=first.id)
    third, fourth = launch(after=second.id), launch(after=third_of(second))
    launched += [first, second, third, fourth]
    assert first.state() is RunState.RUNNING
    assert [each.state() for each in (second, third, fourth)] == [RunState.QUEUED] * 3
    summary = second.summary()
    assert (summary.after, summary.reason, summary.live) == (first.id, f"waits for {first.id} to end", "lock")
    assert cli.main(["runs", "state:queued"]) == 0
    assert f"waits for {first.id} to end" in capsys.readouterr().out
    assert cli.main(["train", "vqa", "--set", "seed=2", "--detach"]) == 0
    assert f"{first.id}; --after {fourth.id} queues a run" in capsys.readouterr().err
    assert cli.main(["show", second.id]) == 0
    assert f"queued: waits for {first.id} to end" in capsys.readouterr().out
    if sys.platform == "linux":
        maps = process_of(second).memory_maps()
        assert not any("libtorch" in each.path for each in maps), "it waits without torch"
    # One of them is taken out of the queue; the run behind it then waits for the one ahead of it.
    stop = send(third, "stop")
    assert wait_taken(third, stop, 20) == "stops before its first step"
    eventually(lambda: third.state() is RunState.STOPPED)
    assert "before its first step" in Journal(third.db).state()[1]
    eventually(lambda: fourth.summary().after == second.id)
    assert (second.state(), fourth.state()) == (RunState.QUEUED, RunState.QUEUED)
    send(first, "stop")
    eventually(lambda: first.state().ended and second.state() is RunState.FINISHED)
    texts = [event.text for event in Journal(second.db).events() if event.kind == "queue"]
    assert texts == [f"waits for {first.id} to end", f"{first.id} has ended: training begins"]
    states = [change.state for change in Journal(second.db).states()]
    assert states == [RunState.QUEUED, RunState.RUNNING, RunState.FINISHED]
    eventually(lambda: fourth.state() is RunState.FINISHED)
    ended = Journal(first.db).states()[-1].time
    assert Journal(second.db).states()[1].time >= ended


def third_of(second: RunFolder) -> str:
    return f"vqa-{int(second.id.partition('-')[2]) + 1}"


@pytest.mark.usefixtures("engine")
def test_a_run_after_one_that_has_ended_starts_at_once(
    launched: list[RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    first = launch()
    launched.append(first)
    eventually(lambda: first.state() is RunState.FINISHED and not first.is_live())
    assert cli.main(["train", "vqa", "--after", first.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    with pytest.raises(LooptopError, match="there is no run 'vqa-9'"):
        launch(after="vqa-9")


@pytest.mark.usefixtures("engine")
def test_a_queued_run_whose_process_is_gone_is_interrupted(
    launched: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINING", "wait")
    first = launch()
    second = launch(after=first.id)
    launched += [first, second]
    process_of(second).kill()
    eventually(lambda: second.state() is RunState.INTERRUPTED)
    # Resumed, it does not wait again.
    monkeypatch.setenv("FAKE_TRAINING", "finish")
    host.relaunch(second.id, fake_engine.PROGRAM)
    eventually(lambda: second.state() is RunState.FINISHED)
    assert first.state() is RunState.RUNNING


def test_a_run_outside_the_home_is_not_taken_for_one_of_the_same_id_here(tmp_path: Path) -> None:
    """The run that it waits for has left the queue: its turn is that of the run ahead of it there, which has ended."""
    here = RunFolder.create("vqa", config())
    ahead, other = (RunFolder(tmp_path / "other home" / name) for name in (here.id, "vqa-2"))
    for run in (ahead, other):
        shutil.copytree(here.path, run.path)
    writer = JournalWriter(other.db)
    writer.facts(**{AFTER_FACT: ahead.name.rpartition("/")[2]})  # as a run of the other home writes it
    writer.state(RunState.QUEUED)
    writer.close()
    with RunLock(here.lock, here.id):
        thread = RunThread(RunFolder.create("vqa", config()), Steps(1), after=other)
        thread.start()
        assert thread.ended.wait(30) and thread.state is RunState.FINISHED
    texts = [event.text for event in Journal(thread.folder.db).events() if event.kind == "queue"]
    assert texts == [f"waits for {other.path} to end", f"waits for {ahead.path} to end", ENDED.format(ahead.path)]
    assert Journal(thread.folder.db).facts()[AFTER_FACT] == str(ahead.path)
