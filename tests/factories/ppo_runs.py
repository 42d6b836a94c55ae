"""PPO runs of tiny models in this process: started, held at a stage, ended with the test."""

from __future__ import annotations

from typing import Any

import looptop.engine as looptop
from looptop.engine import config as configuration
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.startup.run import Run
from looptop.engine.startup.run import resume as resume_run
from tests.support import eventually, wait_taken

STARTED: list[Run] = []


def end_runs() -> None:
    """Ends what is still running: a test that fails while its run is held must not leave it to the next one."""
    while STARTED:
        run = STARTED.pop()
        run.stop(checkpoint=False)
        run.wait()


def start(chosen: PpoRunConfig, *settings: str) -> Run:
    """Starts a run; `settings` as behind `--set`."""
    STARTED.append(looptop.start(configuration.override(chosen, settings)))
    return STARTED[-1]


def resume(run: Run) -> Run:
    """Starts a run again that has stopped."""
    STARTED.append(resume_run(run.id))
    return STARTED[-1]


def held(run: Run, stage: str, step: int | None = None) -> int:
    """Waits until the run is held at a stage of a batch; gives the batch's step."""
    journal = PpoJournal(run.folder.db)

    def is_held() -> bool:
        batch = journal.last_batch()
        reached = batch is not None and batch.stage == stage and (step is None or batch.step == step)
        return reached and run.state is RunState.PAUSED

    eventually(is_held)
    batch = journal.last_batch()
    assert batch is not None
    return batch.step


def reply_to(run: Run, control: Any) -> str:
    """Waits for the reply to a control."""
    reply = wait_taken(run.folder, control, 30)
    assert reply is not None
    return reply
