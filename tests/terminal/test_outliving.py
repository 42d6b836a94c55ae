"""Runs and their watchers, with real processes, signals and terminals: whatever becomes of these, a run goes on."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import sys
import termios
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest

from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch
from tests.factories.processes import kill_live_runs, program
from tests.factories.runs import config
from tests.support import eventually, step_of, wait_taken
from tests.terminal.tty import WARM_PROGRAM, Tty


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    """No run outlives its test."""
    yield
    kill_live_runs()


@pytest.fixture
def run() -> RunFolder:
    """A live run that makes some hundred steps a second."""
    return launch(config(), program())


def attached(run: RunFolder, **size: int) -> Tty:
    return Tty([*WARM_PROGRAM, "attach", run.id], **size)


def goes_on(run: RunFolder, steps: int = 50) -> None:
    """The run makes so many more steps, and takes a control."""
    before = step_of(run)
    eventually(lambda: step_of(run) >= before + steps)
    assert wait_taken(run, send(run, "checkpoint"), 30) is not None


def status(tty: Tty) -> str:
    return str(psutil.Process(tty.pid).status())


def unread(tty: Tty) -> int:
    """Bytes that the terminal holds and nobody has read."""
    (count,) = struct.unpack("i", fcntl.ioctl(tty.fd, termios.FIONREAD, bytes(4)))
    return int(count)


def test_attach_opens_on_the_run_for_several_watchers_at_once_and_leaving_leaves_it(run: RunFolder) -> None:
    with attached(run) as one, attached(run, cols=80, rows=24) as other:
        for tty in (one, other):
            tty.until(rf"{run.id}  ▶ running")
        send(run, "pause")
        for tty in (one, other):
            tty.until("⏸ paused")
        one.send(" ")  # drives it from here
        other.until("▶ running")
        one.send("q")
        assert one.until_gone() == 0
        assert one.restored()
    goes_on(run)


def test_a_watcher_that_is_stopped_or_killed_changes_nothing(run: RunFolder) -> None:
    with attached(run) as stopped, attached(run) as killed:
        for tty in (stopped, killed):
            tty.until("▶ running")
        os.kill(stopped.pid, signal.SIGSTOP)
        os.kill(killed.pid, signal.SIGKILL)
        eventually(lambda: status(stopped) == psutil.STATUS_STOPPED)
        goes_on(run)
        send(run, "stop")
        eventually(lambda: not run.is_live())  # its journal is settled, though a reader stands still
        assert run.state() is RunState.STOPPED
        os.kill(stopped.pid, signal.SIGCONT)
        stopped.until("■ stopped")


def test_ctrl_z_gives_the_shell_back_and_fg_the_screen(run: RunFolder) -> None:
    with attached(run) as tty:
        tty.until("▶ running")
        tty.send("\x1a")
        eventually(lambda: (tty.pump(), status(tty) == psutil.STATUS_STOPPED)[1])
        eventually(lambda: (tty.pump(), tty.restored())[1])
        goes_on(run)
        send(run, "pause")
        tty.screen.reset()  # the shell has drawn over it: all must come again, also what has not changed
        os.kill(tty.pid, signal.SIGCONT)
        tty.until("⏸ paused")
        for part in ("1 Ask", "Loss", "Accuracy", "Sample answers", "Events", "q quit"):
            tty.until(part)
        tty.send("q")
        assert tty.until_gone() == 0
        assert tty.restored()


def test_a_terminal_that_stalls_keeps_only_the_app_waiting(run: RunFolder) -> None:
    with attached(run, cols=200, rows=60) as tty:
        tty.until("▶ running")
        # Nothing is read, while every key draws the whole screen anew: the terminal's buffer fills up, the app waits.
        before = len(tty.raw)
        for _ in range(40):
            tty.send("d")
        eventually(lambda: unread(tty) > 4000)
        goes_on(run, steps=200)
        waiting = unread(tty)
        assert tty.alive()
        assert wait_taken(run, send(run, "pause"), 30) is not None
        tty.until("⏸ paused")
        assert len(tty.raw) - before > 2 * waiting  # what did not fit into the buffer came when there was room again


def test_a_terminal_that_goes_away_takes_the_app_and_leaves_the_run_for_another_login(run: RunFolder) -> None:
    with attached(run) as tty:
        tty.until("▶ running")
        tty.hang_up()
        tty.until_gone()
    goes_on(run)
    with attached(run) as again:
        again.until("▶ running")
        again.send("\x03")
        assert again.until_gone() == 0


def test_training_in_the_foreground_survives_its_terminal() -> None:
    words = [sys.executable, "-m", "tests.engine.fake_engine", "train", "vqa"]
    with Tty(["/usr/bin/env", "FAKE_TRAINING=wait", *words]) as tty:
        tty.until("vqa-1 .*loss")
        tty.hang_up()
        tty.until_gone()
    run = RunFolder.find("vqa-1")
    before = step_of(run)
    eventually(lambda: step_of(run) > before)
    assert run.is_live()
    with attached(run) as again:
        again.until("▶ running")


def test_a_run_in_a_callers_own_process_survives_the_terminal_and_the_callers_failing_prints() -> None:
    script = """
        import time
        import looptop.engine as looptop
        from tests.factories.runs import Steps, config
        run = looptop.start(config(), Steps(600))
        run.pause()  # until nobody reads any more
        while True:
            print("step", run.journal.last("loss"), flush=True)  # fails when nobody reads any more
            time.sleep(0.05)
    """
    with Tty([sys.executable, "-c", textwrap.dedent(script)]) as tty:
        tty.until("step Point")
        run = RunFolder.find("vqa-1")
        eventually(lambda: run.state() is RunState.PAUSED)
        before = step_of(run)
        tty.hang_up()
        send(run, "continue")
        eventually(lambda: step_of(run) > before + 50)
        eventually(lambda: run.state() is RunState.FINISHED)
        assert len(Journal(run.db).values("loss")) == 600
        tty.until_gone()


def rings(tty: Tty, limit: float = 30.0) -> None:
    """Waits for a bell that is no end of a title's sequence."""
    end = time.monotonic() + limit
    while not bell_in(bytes(tty.raw)):
        tty.pump()
        assert time.monotonic() < end, "no bell"


def bell_in(raw: bytes) -> bool:
    return b"\a" in re.sub(rb"\x1b\][^\a\x1b]*(\a|\x1b\\)", b"", raw)


def test_whoever_watches_rings_when_the_run_ends_or_raises_an_alert() -> None:
    alerts = """lambda context: (
        [context.stop_requested.wait(0.1) for _ in iter(lambda: context.gate.at_step_end(1).stop, True)],
        context.journal.event('alert', 'the loss jumped', 1, 'warning'),
        context.journal.flush(),
        [time.sleep(0.01) for _ in iter((context.folder.path / 'fail').exists, True)], 1 / 0)"""
    run = launch(config(), program(alerts))
    with attached(run) as tty:
        tty.until("▶ running")
        assert not bell_in(bytes(tty.raw))
        send(run, "stop")  # the training above raises an alert then, and fails
        rings(tty)
        tty.until("the loss jumped")
        del tty.raw[:]
        (run.path / "fail").touch()
        tty.until(rf"{run.id} failed, with 1 alert: ZeroDivisionError")
        rings(tty)


@pytest.mark.parametrize("what", ["finish", "fail"])
def test_training_in_the_foreground_rings_at_its_end(what: str) -> None:
    words = [sys.executable, "-m", "tests.engine.fake_engine", "train", "vqa"]
    with Tty(["/usr/bin/env", f"FAKE_TRAINING={what}", *words]) as tty:
        tty.until_gone(limit=60)
        assert bell_in(bytes(tty.raw))


def test_detached_gives_the_prompt_back_and_needs_no_terminal() -> None:
    words = [sys.executable, "-m", "tests.engine.fake_engine", "train", "vqa", "--detach"]
    with Tty(["/usr/bin/env", "FAKE_TRAINING=wait", *words]) as tty:
        assert tty.until_gone(limit=60) == 0
        assert "vqa-1 trains in the background" in tty.text()
        tty.hang_up()
    run = RunFolder.find("vqa-1")
    before = step_of(run)
    eventually(lambda: step_of(run) > before)
