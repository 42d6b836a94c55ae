"""Waits for a PPO run that runs in this process: until it is held, and for its answer to a control."""

from __future__ import annotations

from typing import Any

from looptop.engine.journal.records import RunState
from looptop.engine.launch.run import Run
from looptop.engine.ppo.journal import PpoJournal
from tests.support import eventually, wait_taken


def held(run: Run, place: str, step: int | None = None) -> int:
    """Waits until the run is held at a place of a batch; gives the batch's step."""
    journal = PpoJournal(run.folder.db)

    def there() -> bool:
        batch = journal.last_batch()
        at = batch is not None and batch.place == place and (step is None or batch.step == step)
        return at and run.state is RunState.PAUSED

    eventually(there)
    batch = journal.last_batch()
    assert batch is not None
    return batch.step


def answered(run: Run, control: Any) -> str:
    answer = wait_taken(run.folder, control, 30)
    assert answer is not None
    return answer
