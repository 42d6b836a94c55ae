"""PPO runs that nobody trained: journals that the real writer wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from looptop.engine.journal.causes import Hold
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.records import Stage
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from tests.factories.synthetic_ppo import Maker, make_run


def small_run(batches: int = 40, samples: int = 8, **options: Any) -> RunFolder:
    """A run of some batches, finished unless `options` say otherwise."""
    return make_run(Maker(batches, samples), **options)


@contextlib.contextmanager
def held_run(stage: Stage = "compared", batches: int = 4) -> Iterator[tuple[RunFolder, JournalWriter]]:
    """A live run that waits in its last batch; and its writer."""
    run = small_run(batches, state=None, last_stage=stage)
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        writer.state(RunState.PAUSED, Hold(batches, stage))
        writer.flush()
        yield run, writer
        writer.close()
