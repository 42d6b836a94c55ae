"""A run's log tells how the run went, even if nothing goes wrong."""

from __future__ import annotations

import re
from typing import Any

from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.run_log import RunLog
from looptop.engine.startup.host import launch
from looptop.engine.startup.run import start
from tests.factories.processes import program
from tests.factories.runs import config
from tests.support import eventually

TRAIN = """lambda context: (
    context.journal.event('data', 'reading \\x1b[31mthe data'),
    context.journal.event('data', 'left out: 7.png', level='warning'),
    context.journal.metrics(1, {'loss': 0.5, 'learning_rate': 0.001, 'grad_norm': 9.0}),
    context.journal.metrics(2, {'loss': 0.4}),
    context.journal.metrics(2, {'eval_loss': 0.25, 'eval_accuracy': 0.9375, 'eval_runtime': 3.0}),
    {})[-1]"""

EXPECTED = [
    "running",
    "reading \x1b[31mthe data",
    "warning: left out: 7.png",
    "step 1: loss 0.5, learning rate 0.001",
    "evaluation at step 2: eval_loss 0.25, eval_accuracy 0.9375",
    "finished",
]


def lines(folder: RunFolder) -> list[str]:
    lines = folder.log.read_text("utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    return [line[20:] for line in lines]


def test_a_run_in_this_process_logs_what_it_journals() -> None:
    train: Any = eval(TRAIN)
    run = start(config(), train)
    assert run.wait() is RunState.FINISHED, run.reason
    assert lines(run.folder) == EXPECTED


def test_a_run_in_a_process_of_its_own_does_too() -> None:
    folder = launch(config(), program(TRAIN.replace("\n", " ")))
    eventually(lambda: not folder.is_live())
    assert lines(folder) == EXPECTED


def test_some_steps_have_a_line() -> None:
    written: list[str] = []
    log = RunLog(written.append, seconds=1000.0)
    for step in range(1, 500):
        log.on_metrics(step, {"something": 1.0})
    assert written == ["step 1: something 1"]
    often = RunLog(written.append, seconds=0.0)
    for step in range(1, 4):
        often.on_metrics(step, {"loss": float("nan"), "env/reward_mean": 1.5})
    assert written[1:] == [f"step {step}: loss nan, reward 1.5" for step in (1, 2, 3)]


def test_a_log_that_cannot_be_written_does_not_fail_the_run() -> None:
    def train(context: RunContext) -> dict[str, Any]:
        context.folder.log.unlink()
        context.folder.log.mkdir()
        context.journal.event("note", "said")
        return {}

    assert start(config(), train).wait() is RunState.FINISHED
