"""An engine process whose training is a script: the command line's side of a run can be tested without torch.

What it does is said by `FAKE_TRAINING`: finish, best (of step 7), alert (twice), fail, die, wait (until it is stopped),
hang (deaf to a stop).
As a program of its own it is `looptop` with this engine: `python -m tests.engine.fake_engine train vqa ...`.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from looptop.engine.cli import demo as demo_command
from looptop.engine.cli import main as cli
from looptop.engine.cli import resume as resume_command
from looptop.engine.cli import train as train_command
from looptop.engine.errors import LooptopError
from looptop.engine.runs.context import RunContext
from looptop.engine.startup import host, worker

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "tests.engine.fake_engine", "--as-engine")
TEN_STEPS = 10


def install(setattr_: Any = setattr) -> None:
    """Makes `looptop train`, `resume` and `demo` of this process start this engine; the tests run in `ROOT`."""
    setattr_(train_command, "launch", functools.partial(host.launch, program=PROGRAM))
    setattr_(demo_command, "launch", functools.partial(host.launch, program=PROGRAM))
    setattr_(resume_command, "relaunch", functools.partial(host.relaunch, program=PROGRAM))


def train(context: RunContext) -> dict[str, Any]:
    """Stands for `looptop.engine.vqa.vqa_training.train`."""
    what = os.environ.get("FAKE_TRAINING", "finish")
    journal = context.journal
    journal.facts(total_steps=TEN_STEPS)
    journal.event("data", "missing image: \x1b[31m7.png", level="warning")
    journal.metrics(0, {"eval_loss": 2.0, "eval_accuracy": 0.25})
    step = 0
    while step < TEN_STEPS or what == "wait":
        step += 1
        journal.metrics(step, {"loss": 1 / step, "samples_per_second": 100.0, "seconds_left": 1.0})
        if what == "alert" and step <= 2:
            journal.event("alert", f"something is wrong at step {step}", step, "warning")
        if what == "fail":
            raise LooptopError("the loss is \x1b[31mnot a number")
        if what == "die":
            journal.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        if context.gate.at_step_end(step).stop:
            return {}
        if what == "hang":
            threading.Event().wait()
        if what == "wait":
            context.stop_requested.wait(0.01)
    journal.metrics(step, {"eval_loss": 0.5, "eval_accuracy": 0.75, "test_accuracy": 0.625, "test_loss": 0.75})
    return {"accuracy": 0.625} | ({"step": 7} if what == "best" else {})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-engine"]:
        worker.training_of = lambda kind: train  # type: ignore[attr-defined]
        sys.exit(host.main(sys.argv[2:]))
    install()
    sys.exit(cli.main())
