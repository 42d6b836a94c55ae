"""Writes the model that a run has made, completely or not at all."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from looptop.engine.compute.out_of_memory import is_out_of_memory
from looptop.engine.errors import error_text
from looptop.engine.journal.causes import StopReason
from looptop.engine.runs.context import CLOSE_OTHERS, Activity, RunContext

_log = logging.getLogger("looptop.training")


def save_result(context: RunContext, write: Callable[[Path], object]) -> bool:
    """Writes a run's result completely or not at all, and holds the run if it cannot be written.

    Args:
        context: The run.
        write: Writes the result into a folder.

    Returns:
        Whether it was written; False if a stop gave it up.
    """
    with context.during(Activity("while it wrote its result", CLOSE_OTHERS)):
        return context.processes.decide(lambda: _save_result(context, write))


def _save_result(context: RunContext, write: Callable[[Path], object]) -> bool:
    folder = context.folder.model
    draft = folder.with_name(f".new-{folder.name}")
    while True:
        shutil.rmtree(draft, ignore_errors=True)
        try:
            write(draft)
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
            return True
        except Exception as error:
            shutil.rmtree(draft, ignore_errors=True)
            if is_out_of_memory(error):
                raise
            # A full disk raises an OSError, or safetensors' own error, an Exception.
            _log.exception("the result could not be written")
            if not context.hold_for_retry(f"{error_text(error)}: the result could not be written", error):
                context.gate.stop_reason = StopReason.NO_RESULT
                return False
