"""The thread that trains, in the caller's process: every way in which training can end becomes a state and a reason."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.config import override
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import Run, resume, start
from looptop.engine.startup.worker import RunThread
from tests.factories.processes import python, read_line
from tests.factories.runs import Steps, config, write_checkpoint
from tests.support import eventually, wait_taken


def test_a_run_trains_to_its_end() -> None:
    run = start(config(), Steps(30))
    assert run.id == "vqa-1"
    assert run.wait() is RunState.FINISHED
    assert run.result() == {"accuracy": 0.5, "loss": 1.0, "seconds": 1.0}
    assert [point.step for point in run.journal.values("loss")] == list(range(1, 31))
    assert [change.state for change in run.journal.states()] == [RunState.RUNNING, RunState.FINISHED]
    assert not run.folder.is_live()
    run.stop()
    with pytest.raises(LooptopError, match=r"not running, it is finished$"):
        run.pause()


def test_what_killed_processes_left_half_written_is_removed_before_a_run_trains() -> None:
    folder = RunFolder.create("vqa", config())
    drafts = [folder.path / "about.toml.0123abcd.draft", folder.controls / "1-pause.json.0123abcd.draft"]
    for draft in drafts:
        draft.write_bytes(b"half")
        os.utime(draft, (0, 0))
    with drafts[0].open("rb") as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        RunThread(folder, Steps(1)).run()
    assert [draft.exists() for draft in drafts] == [True, False], "the first has a writer"


def test_a_run_is_paused_stepped_saved_continued_and_stopped() -> None:
    steps = Steps(save=write_checkpoint)
    run = start(config(), steps)
    wait_taken(run.folder, run.pause(), 60)
    assert run.state is RunState.PAUSED
    held = steps.made[-1]
    run.step()
    eventually(lambda: run.state is RunState.PAUSED and steps.made[-1] == held + 1)
    run.checkpoint()
    eventually(lambda: steps.saved == [held + 1])
    run.continue_()
    eventually(lambda: steps.made[-1] > held + 1)
    run.stop()
    assert run.wait(60) is RunState.STOPPED
    assert steps.saved == [held + 1, steps.made[-1]]


def test_a_step_whose_checkpoint_exists_is_not_saved_again() -> None:
    steps = Steps(save=write_checkpoint)
    run = start(config(), steps)
    wait_taken(run.folder, run.pause(), 60)
    held = steps.made[-1]
    assert wait_taken(run.folder, run.checkpoint(), 60) == f"makes a checkpoint after step {held}"
    assert wait_taken(run.folder, run.checkpoint(), 60) == f"there is a checkpoint of step {held} already"
    run.step()
    eventually(lambda: run.state is RunState.PAUSED and steps.made[-1] == held + 1)
    assert wait_taken(run.folder, run.checkpoint(), 60) == f"makes a checkpoint after step {held + 1}"
    run.stop()
    assert run.wait(60) is RunState.STOPPED
    assert steps.saved[:2] == [held, held + 1]


def test_a_run_from_python_finds_its_data_from_whatever_folder_it_is_resumed_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = override(config(), ["data.source=mine"])
    with pytest.raises(LooptopError, match="there is no data 'mine'"):
        start(chosen, Steps(1))
    assert RunFolder.all() == []
    (tmp_path / "mine").mkdir()
    run = start(chosen, Steps(1))
    run.wait()
    assert run.folder.config().data.source == str(tmp_path / "mine")


def test_one_run_a_process() -> None:
    run = start(config(), Steps())
    with pytest.raises(LooptopError, match="another run trains in this process"):
        start(config(), Steps())
    assert [folder.id for folder in RunFolder.all()] == [run.id]
    run.stop()
    run.wait()
    assert start(config(), Steps(1)).wait() is RunState.FINISHED


def raising(error: BaseException) -> Callable[[RunContext], dict[str, Any]]:
    def train(context: RunContext) -> dict[str, Any]:
        context.journal.metrics(1, {"loss": 1.0})
        raise error

    return train


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LooptopError("the data is not there; get it"), "the data is not there; get it"),
        (ValueError("bad \x1b[31mvalue\nsecond line"), "ValueError: bad ␛[31mvalue"),
        (RuntimeError(), "RuntimeError"),
        (KeyError("x" * 5000), "KeyError: '" + "x" * 489),
        (SystemExit(3), "the training code left with exit code 3"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_crash_marks_the_run_failed_with_the_reason_and_the_traceback_in_its_log(
    error: BaseException, reason: str
) -> None:
    run = start(config(), raising(error))
    assert run.wait() is RunState.FAILED
    assert run.folder.summary().reason == run.reason == reason
    with pytest.raises(LooptopError, match="vqa-1 failed: "):
        run.result()
    log = run.folder.log.read_text("utf-8")
    assert "Traceback (most recent call last)" in log
    assert type(error).__name__ in log
    (event,) = run.journal.events()
    assert (event.kind, event.level, event.text) == ("failed", "error", reason)
    assert [point.value for point in run.journal.values("loss")] == [1.0]
    # The caller goes on.
    assert start(config(), Steps(1)).wait() is RunState.FINISHED


def test_a_keyboard_interrupt_in_training_is_a_stop() -> None:
    run = start(config(), raising(KeyboardInterrupt()))
    assert run.wait() is RunState.STOPPED
    assert "keyboard" in run.reason


def test_resuming_goes_on_from_the_newest_whole_checkpoint() -> None:
    steps = Steps(save=write_checkpoint)
    run = start(config(), steps)
    eventually(lambda: len(steps.made) > 40)
    run.checkpoint()
    eventually(lambda: steps.saved)
    saved = steps.saved[0]
    eventually(lambda: steps.made[-1] > saved + 20)
    run.stop(checkpoint=False)
    assert run.wait() is RunState.STOPPED
    # A checkpoint that was cut off is newer.
    (run.folder.checkpoints / f"checkpoint-{saved + 10}").mkdir()
    again = Steps(saved + 15)
    second = resume(run.id, again)
    assert second.wait() is RunState.FINISHED
    assert again.made == list(range(saved + 1, saved + 16))
    assert [point.step for point in second.journal.values("loss")] == list(range(1, saved + 16))
    texts = [event.text for event in second.journal.events()]
    assert f"checkpoint-{saved + 10} is incomplete and was skipped" in texts
    assert f"resumes from checkpoint-{saved}" in texts


def test_resuming_without_a_checkpoint_starts_again() -> None:
    run = start(config(), Steps())
    eventually(lambda: run.journal.last("loss"))
    run.stop()
    run.wait()
    again = Steps(3)
    assert resume(run.id, again).wait() is RunState.FINISHED
    assert again.made == [1, 2, 3]
    assert [point.step for point in run.journal.values("loss")] == [1, 2, 3]


def test_what_cannot_be_resumed_is_refused_in_one_sentence() -> None:
    run = start(config(), Steps())
    eventually(lambda: run.state is RunState.RUNNING)
    with pytest.raises(LooptopError, match="vqa-1 is running already"):
        resume("vqa-1", Steps())
    run.stop()
    run.wait()
    finished = start(config(), Steps(1))
    finished.wait()
    with pytest.raises(LooptopError, match="is finished; prolong it: `looptop resume vqa-2 --set num_train_epochs=20`"):
        resume(finished.id, Steps())
    with pytest.raises(LooptopError, match="there is no run 'vqa-9'"):
        resume("vqa-9", Steps())
    run.folder.config_file.write_text(run.folder.config_file.read_text().replace("[model]", "[model]\nnew_key = 1"))
    with pytest.raises(LooptopError, match=r"configuration of vqa-1: there is no key 'model\.new_key'"):
        resume("vqa-1", Steps())
    assert not run.folder.is_live()
    assert start(config(), Steps(1)).wait() is RunState.FINISHED


def test_a_run_that_lives_on_another_host_is_live_and_not_resumed() -> None:
    folder = RunFolder.create("vqa", config())
    folder.lock.write_text('{"host": "another", "pid": 7, "started": 0.0}')
    assert folder.is_live()
    with pytest.raises(LooptopError, match="vqa-1 is running on another"):
        resume("vqa-1", Steps())
    os.utime(folder.lock, (1.0, 1.0))
    assert not folder.is_live()
    assert resume("vqa-1", Steps(2)).wait() is RunState.FINISHED


def test_warnings_go_into_the_log_and_the_callers_own_output_stays_as_it_is(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def train(context: RunContext) -> dict[str, Any]:
        for name in ("looptop.data", "transformers.trainer", "somebody.else"):
            logging.getLogger(name).warning("warned by %s", name)
        context.log("said by the run")
        return {}

    handlers = logging.getLogger().handlers[:], logging.getLogger("transformers").handlers[:]
    run = start(config(), train)
    run.wait()
    log = run.folder.log.read_text("utf-8")
    for name in ("looptop.data", "transformers.trainer", "somebody.else"):
        assert log.count(f"warned by {name}") == 1
    assert "said by the run" in log
    assert "said by the run" not in "".join(capfd.readouterr())
    assert handlers == (logging.getLogger().handlers, logging.getLogger("transformers").handlers)


def test_everything_a_run_writes_is_private() -> None:
    def train(context: RunContext) -> dict[str, Any]:
        context.folder.model.mkdir()
        (context.folder.model / "config.json").write_text("{}")
        write_checkpoint(context, 5)
        return {}

    before = os.umask(0o022)
    try:
        run = start(config(), train)
        run.wait()
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in run.folder.path.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


CTRL_C = """
    import sys
    from looptop.engine.startup.run import start
    from tests.factories.runs import Steps, config, write_checkpoint
    steps = Steps(save=write_checkpoint)
    run = start(config(), steps)
    print(run.id, flush=True)
    wait = run._thread.ended.wait
    run._thread.ended.wait = lambda *given: (print("waits", flush=True), wait(*given))[1]
    try:
        run.wait()
    except KeyboardInterrupt:
        print(run.state, steps.saved == steps.made[-1:], flush=True)
        raise
"""


def test_ctrl_c_while_waiting_stops_with_a_checkpoint(home: Path) -> None:
    process = python(CTRL_C, stderr=-1)
    folder = RunFolder.find(read_line(process))
    assert read_line(process) == "waits"
    eventually(lambda: folder.summary().step)
    process.send_signal(signal.SIGINT)
    assert read_line(process) == "waits", "for the end of its step, and the checkpoint"
    assert read_line(process) == "stopped True"
    process.communicate()
    assert process.returncode == -signal.SIGINT
    assert folder.state() is RunState.STOPPED


def test_a_run_waits_with_a_timeout_in_any_thread() -> None:
    run: Run = start(config(), Steps())
    eventually(lambda: run.state is RunState.RUNNING)
    assert run.wait(0.05) is RunState.RUNNING
    states: list[RunState] = []
    waiter = threading.Thread(target=lambda: states.append(run.wait()))
    waiter.start()
    run.stop()
    waiter.join()
    assert states == [RunState.STOPPED]
