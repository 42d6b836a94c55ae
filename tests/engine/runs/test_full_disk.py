"""On a full disk no work is lost: the run is held, with the reason, until there is room or it is stopped again."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.cli.main import main
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.liveness import full_disk, why_interrupted
from looptop.engine.startup import worker
from looptop.engine.startup.host import launch
from looptop.engine.startup.run import start
from looptop.engine.training.result import save_result
from tests.factories.processes import going, process_of, program
from tests.factories.runs import Steps, config
from tests.support import eventually, wait_taken

Capture = pytest.CaptureFixture[str]


class Disk:
    """A disk that accepts a result only when there is room, or else raises this error."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error or OSError(28, "No space left on device")
        self.full = True
        self.tries = 0

    def write(self, folder: Path) -> None:
        self.tries += 1
        folder.mkdir()
        (folder / "weights").write_text("half")
        if self.full:
            raise self.error
        (folder / "weights").write_text("whole")


def saves(disk: Disk) -> Any:
    def train(context: RunContext) -> dict[str, Any]:
        context.gate.at_step_end(3)
        return {"accuracy": 1.0} if save_result(context, disk.write) else {}

    return train


def test_a_result_that_cannot_be_written_holds_the_run_until_there_is_room() -> None:
    disk = Disk()
    run = start(config(), saves(disk))
    eventually(lambda: run.state is RunState.PAUSED)
    reason = run.folder.summary().reason
    assert "No space left on device: the result could not be written; held" in reason
    assert f"make room on the disk, then `looptop continue {run.id}` tries again" in reason
    assert not run.folder.model.exists(), "half a result is no result"
    assert (run.journal.events()[-1].kind, run.journal.events()[-1].level) == ("alert", "error")
    assert wait_taken(run.folder, run.continue_(), 20) == "continues after step 3"
    eventually(lambda: disk.tries == 2 and run.state is RunState.PAUSED)
    disk.full = False
    run.continue_()
    assert run.wait(20) is RunState.FINISHED
    assert (run.folder.model / "weights").read_text() == "whole"


def test_a_stop_gives_up_a_result_that_cannot_be_written() -> None:
    run = start(config(), saves(Disk(OSError(5, "Input/output error"))))
    eventually(lambda: run.state is RunState.PAUSED)
    assert (
        "Input/output error: the result could not be written; held: remove the cause, then `looptop continue"
        in run.folder.summary().reason
    )
    run.stop()
    assert run.wait(20) is RunState.STOPPED
    assert run.reason == "stopped before its result could be written, without a checkpoint of step 3"
    assert sorted(path.name for path in run.folder.path.iterdir() if "model" in path.name) == []


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home on its own disk of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nobody but root can mount a disk")
    monkeypatch.setenv("LOOPTOP_HOME", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 512):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    assert full_disk(disk)
    return ballast


def test_a_run_that_ends_on_a_full_disk_stays_until_its_end_is_written(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(JournalWriter.close, "__defaults__", (0.1,))
    monkeypatch.setattr(worker, "DISK_CHECK_SECONDS", 0.1)
    checked: list[bool] = []
    flush = JournalWriter.flush
    monkeypatch.setattr(JournalWriter, "flush", lambda *given: checked.append(flush(*given)) or checked[-1])
    filled = threading.Event()

    def train(context: RunContext) -> dict[str, Any]:
        Steps(20)(context)
        filled.wait()
        return {"accuracy": 1.0}

    run = start(config(), train)
    eventually(lambda: len(run.journal.values("loss")) == 20)
    ballast = fill(small)
    filled.set()
    eventually(lambda: checked.count(False) >= 3)
    assert run.state is RunState.RUNNING, "a run whose end is not written has not ended"
    assert main(["show", run.id]) == 0
    assert f"the disk of {run.folder.path} is full (" in capsys.readouterr().out
    ballast.unlink()
    assert run.wait(20) is RunState.FINISHED
    assert run.journal.state() == (RunState.FINISHED, "")
    assert run.journal.facts()["result"] == {"accuracy": 1.0}


def test_a_full_disk_is_mentioned_for_an_interrupted_run(small: Path, launched: list[RunFolder]) -> None:
    folder = launch(config(), program("Steps()"))
    launched.append(folder)
    going(folder)
    ballast = fill(small)
    process_of(folder).kill()
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.INTERRUPTED
    reason = why_interrupted(folder)
    assert reason.startswith(f"its process ended unexpectedly, and the disk of {folder.path} is full")
    ballast.unlink()
    assert why_interrupted(folder) == "its process ended unexpectedly"


def test_a_further_stop_ends_a_run_that_waits_for_room(small: Path, launched: list[RunFolder]) -> None:
    folder = launch(config(), program("Steps()"))
    launched.append(folder)
    going(folder)
    fill(small)
    pid = process_of(folder).pid

    def signalled() -> bool:
        if folder.is_live():
            os.kill(pid, signal.SIGINT)
        return not folder.is_live()

    eventually(signalled, limit=30)


def test_a_stop_that_a_full_disk_prevents_is_sent_by_a_signal(small: Path, launched: list[RunFolder]) -> None:
    from looptop.engine.cli.watch import _forward_interrupt
    from looptop.engine.errors import LooptopError

    folder = launch(config(), program())
    launched.append(folder)
    going(folder)
    ballast = fill(small)
    with pytest.raises(LooptopError, match="No space left"):
        send(folder, "stop")
    # It takes the signal once there is room: a checkpoint on a full disk would make this training fail.
    process = process_of(folder)
    process.suspend()
    assert "stopping, with a checkpoint" in _forward_interrupt(folder, 1, has_stepped=True)
    ballast.unlink()
    process.resume()
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.STOPPED
