"""The engine process: lives on its own, obeys signals, and journals how it ended."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.checkpoint import is_complete
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch, relaunch
from tests.factories.processes import going, process_of, program, python, read_line
from tests.factories.runs import config
from tests.support import eventually, wait_taken


def test_a_launched_run_is_live_in_a_session_of_its_own_and_private(launched: list[RunFolder]) -> None:
    folder = launch(config(), program())
    launched.append(folder)
    assert folder.is_live()
    assert folder.state() is RunState.RUNNING
    process = process_of(folder)
    assert os.getsid(process.pid) == process.pid
    if sys.platform == "linux":
        opened = [Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)]
        assert opened == [Path("/dev/null"), folder.log, folder.log]
    going(folder)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.path.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_run_outlives_the_program_that_started_it(launched: list[RunFolder]) -> None:
    code = """
        import sys
        from looptop.engine.startup.host import launch
        from tests.factories.processes import program
        from tests.factories.runs import config
        print(launch(config(), program()).id, flush=True)
        sys.stdin.readline()
    """
    starter = python(code, stdin=-1, start_new_session=True)
    folder = RunFolder.find(read_line(starter))
    launched.append(folder)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    before = (Journal(folder.db).last("loss") or pytest.fail("no loss yet")).step if Journal(folder.db).names() else 0
    eventually(lambda: (last := Journal(folder.db).last("loss")) and last.step > before + 10)
    assert folder.is_live()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_with_a_checkpoint(launched: list[RunFolder], number: signal.Signals) -> None:
    folder = launch(config(), program())
    launched.append(folder)
    going(folder)
    process = process_of(folder)
    process.send_signal(number)
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.STOPPED
    last = Journal(folder.db).last("loss")
    assert last is not None
    assert is_complete(folder.checkpoints / f"checkpoint-{last.step}")
    (event,) = Journal(folder.db).events()
    assert event.text.startswith(number.name)
    assert "stops after this step, with a checkpoint" in event.text


# A second step that never ends: nothing but leaving at once helps.
STUCK = "lambda context: (context.gate.at_step_end(1), context.journal.metrics(9, {'loss': 1.0}), time.sleep(1000))[2]"


def test_the_second_signal_ends_the_run_at_once_and_saved_metrics_stay(launched: list[RunFolder]) -> None:
    folder = launch(config(), program(STUCK))
    launched.append(folder)
    going(folder)
    process = process_of(folder)
    process.send_signal(signal.SIGINT)
    eventually(lambda: Journal(folder.db).events())
    assert folder.is_live()
    process.send_signal(signal.SIGTERM)
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.STOPPED
    assert folder.summary().reason == "stopped at once by SIGTERM, without a checkpoint"
    assert Journal(folder.db).last("loss") is not None


def test_a_signal_after_a_stop_that_waits_is_the_second_one(launched: list[RunFolder]) -> None:
    folder = launch(config(), program(STUCK))
    launched.append(folder)
    going(folder)
    send(folder, "stop")
    process_of(folder).send_signal(signal.SIGTERM)
    eventually(lambda: not folder.is_live())
    assert folder.summary().reason == "stopped at once by SIGTERM, without a checkpoint"


def test_a_closed_terminal_does_not_affect_the_run(launched: list[RunFolder]) -> None:
    folder = launch(config(), program())
    launched.append(folder)
    process_of(folder).send_signal(signal.SIGHUP)
    assert wait_taken(folder, send(folder, "pause"), 60) is not None
    assert folder.state() is RunState.PAUSED
    process_of(folder).send_signal(signal.SIGTERM)
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.STOPPED


def test_a_killed_run_is_interrupted_and_continues_when_resumed(launched: list[RunFolder]) -> None:
    folder = launch(config(), program())
    launched.append(folder)
    going(folder)
    assert wait_taken(folder, send(folder, "checkpoint"), 60) is not None
    eventually(lambda: list(folder.checkpoints.glob("checkpoint-*/manifest.json")))
    (saved,) = folder.checkpoints.iterdir()
    step = int(saved.name.partition("-")[2])
    with pytest.raises(LooptopError, match="vqa-1 is running already"):
        relaunch(folder.id, program())
    process_of(folder).kill()
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.INTERRUPTED
    assert relaunch(folder.id, program(f"Steps({step} + 10)")) == folder
    eventually(lambda: folder.state() is RunState.FINISHED)
    assert [point.step for point in Journal(folder.db).values("loss")] == list(range(1, step + 11))


def test_a_failed_run_exits_with_1_and_others_with_0() -> None:
    code = """
        import sys
        from looptop.engine.startup.host import main
        from looptop.engine.runs.folder import RunFolder
        from tests.factories.runs import Steps, config
        def fails(context):
            print("printed")
            raise ValueError("broken")
        sys.exit(main([str(RunFolder.create("vqa", config()).path)], train=fails if sys.argv[1] == "1" else Steps(3)))
    """
    fails, finishes = python(code, 1, stderr=-1), python(code, 0)
    assert (fails.wait(), finishes.wait()) == (1, 0)
    assert {folder.state() for folder in RunFolder.all()} == {RunState.FINISHED, RunState.FAILED}


def test_a_run_that_hangs_when_a_companion_is_lost_has_failed() -> None:
    code = """
        import sys, threading, time
        from looptop.engine.startup import host
        from looptop.engine.runs.folder import RunFolder
        from tests.factories.runs import config
        host._LOST_SECONDS = 0.1
        def hangs(context):
            threading.current_thread().lost = "process 2 of 2 ended before the run did"
            time.sleep(1000)
        sys.exit(host.main([str(RunFolder.create("vqa", config()).path)], train=hangs))
    """
    assert python(code).wait(60) == 1
    (folder,) = RunFolder.all()
    assert Journal(folder.db).state() == (RunState.FAILED, "process 2 of 2 ended before the run did")


def test_the_log_holds_all_that_was_printed_and_the_traceback() -> None:
    fails = "lambda context: (print('to stdout'), sys.stderr.write('to stderr\\n'), 1 / 0)[2]"
    folder = launch(config(), program(fails))
    eventually(lambda: not folder.is_live())
    log = folder.log.read_text()
    assert "to stdout\n" in log
    assert "to stderr\n" in log
    assert log.count("\nZeroDivisionError: division by zero") == 1
    assert folder.summary().reason == "ZeroDivisionError: division by zero"


def test_a_process_that_does_not_start_is_reported_with_its_reason() -> None:
    with pytest.raises(LooptopError, match="vqa-1 did not start: no engine here"):
        launch(config(), [sys.executable, "-c", "raise SystemExit('no engine here')"])
    with pytest.raises(LooptopError, match="cannot start an engine process for vqa-2: No such file"):
        launch(config(), ["/nowhere/python"])
    assert [folder.is_live() for folder in RunFolder.all()] == [False, False]
    with pytest.raises(LooptopError, match="vqa-3 did not start: its process ended without a message"):
        launch(config(), [sys.executable, "-c", ""])


def test_the_real_program_takes_its_lock_before_torch_is_loaded(launched: list[RunFolder], tmp_path: Path) -> None:
    code = """
        import sys
        import looptop.engine.startup.host, looptop.engine.startup.worker
        print(sorted({"torch", "transformers", "datasets", "psutil", "textual"} & set(sys.modules)))
    """
    assert python(code).communicate()[0].strip() == "[]"
    import msgspec

    (tmp_path / "table.jsonl").write_text("{}\n")  # Only the run opens it.
    data = msgspec.structs.replace(config().data, source=str(tmp_path))
    wrong = msgspec.structs.replace(config(), data=data)
    folder = launch(wrong)
    launched.append(folder)
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.FAILED
    assert str(tmp_path) in folder.summary().reason
