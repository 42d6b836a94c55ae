"""A run stops within seconds whatever it is doing, and its answer and reason are true."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from looptop.engine.cli.main import main
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch, relaunch
from looptop.engine.startup.run import start
from tests.factories.processes import going, process_of, program
from tests.factories.runs import Steps, config, write_checkpoint
from tests.support import eventually, wait_taken

# A run that loads is given less time to end by itself than in earnest.
IMPATIENT = "setattr(sys.modules['looptop.engine.startup.host'], '_LOADING_SECONDS', 0.1)"

# What cannot be interrupted: it stands for torch being imported, or weights on their way from the hub.
LOADS_FOR_EVER = f"lambda context: ({IMPATIENT}, time.sleep(1000))"


@pytest.mark.parametrize("how", ["control", "signal"])
def test_a_stop_while_a_run_loads_ends_it_without_a_checkpoint_and_says_so(launched: list[RunFolder], how: str) -> None:
    folder = launch(config(), program(LOADS_FOR_EVER))
    launched.append(folder)
    if how == "control":
        assert wait_taken(folder, send(folder, "stop"), 20) == "stops before its first step"
    else:
        process_of(folder).send_signal(signal.SIGINT)
    eventually(lambda: not folder.is_live(), limit=20)
    assert Journal(folder.db).state() == (
        RunState.STOPPED,
        "stopped on request, before its first step: there is no checkpoint",
    )
    assert list(folder.checkpoints.iterdir()) == []


def test_a_resumed_run_that_loads_can_be_stopped_too_and_has_its_checkpoint_still(launched: list[RunFolder]) -> None:
    folder = launch(config(), program())
    launched.append(folder)
    going(folder)
    send(folder, "stop")
    eventually(lambda: not folder.is_live())
    step = Journal(folder.db).last("loss")
    assert step is not None
    relaunch(folder.id, program(LOADS_FOR_EVER))
    send(folder, "stop")
    eventually(lambda: not folder.is_live(), limit=20)
    assert folder.summary().reason == f"stopped on request, with a checkpoint of step {step.step}"


# The step ends once the stop was sent, and then takes longer than a run that loads is given to end by itself.
LONG_STEP = (
    f"lambda context: ({IMPATIENT}, context.gate.at_step_end(8), context.journal.metrics(9, {{'loss': 1.0}}), "
    "context.journal.flush(), "
    "[time.sleep(0.01) for _ in iter(lambda: any(context.folder.controls.glob('*.json')), True)], "
    "time.sleep(0.4), context.gate.at_step_end(9), write_checkpoint(context, 9), {})[-1]"
)


def test_a_stop_waits_for_a_long_step_and_its_checkpoint(launched: list[RunFolder]) -> None:
    folder = launch(config(), program(LONG_STEP))
    launched.append(folder)
    going(folder)
    send(folder, "stop")
    eventually(lambda: not folder.is_live())
    assert folder.summary().reason == "stopped on request, with a checkpoint of step 9"


def test_from_python_what_takes_long_leaves_when_it_is_stopped() -> None:
    def loads(context: RunContext) -> dict[str, Any]:
        while True:
            time.sleep(0.01)
            context.raise_if_stopped()

    run = start(config(), loads)
    run.stop()
    assert run.wait(20) is RunState.STOPPED
    assert run.reason == "stopped on request, before its first step: there is no checkpoint"


def test_a_stop_that_was_sent_ends_what_takes_long() -> None:
    def loads(context: RunContext) -> dict[str, Any]:
        while True:
            time.sleep(0.01)
            context.raise_if_stopped()

    run = start(config(), loads)
    assert main(["stop", run.id]) == 0
    assert run.wait(20) is RunState.STOPPED


@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_reason_says_whether_there_is_a_checkpoint(checkpoint: bool) -> None:
    steps = Steps(save=write_checkpoint)
    run = start(config(), steps)
    eventually(lambda: steps.made)
    run.stop(checkpoint)
    assert run.wait() is RunState.STOPPED
    how = "with" if checkpoint else "without"
    assert run.reason == f"stopped on request, {how} a checkpoint of step {steps.made[-1]}"
