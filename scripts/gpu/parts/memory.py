"""Models that do not fit are refused before they are loaded; a run out of memory ends in one sentence and can resume.

On a GPU the limit is torch's own (`torch.cuda.set_per_process_memory_fraction`). A CPU has no such limit, so there a
step asks for more memory than any machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.checkpoint import is_complete
from looptop.engine.startup.run import resume
from looptop.engine.vqa.trainer import VqaTrainer
from scripts.gpu import runs
from scripts.gpu.checks import Checks, NotRunError
from tests.factories.published_models import save_gpt2
from tests.support import eventually

VQA = (
    "max_images=60", "per_device_train_batch_size=64", "answer_samples=0", "precision=fp32", "eval_strategy=steps",
    "eval_steps=100", "max_steps=12",
)  # fmt: skip
HELD_AT = 4
MORE = 2**28
"""Bytes by which a step exceeds the limit."""
EVERYTHING = 2**52
"""Bytes; more than any machine has."""


def run(checks: Checks) -> None:
    """Checks refusal, running out of memory, resuming, and the memory after the runs."""
    _refused(checks)
    _out_of_memory(checks)
    _released(checks)


def _refused(checks: Checks) -> None:
    with checks.check("PPO: models that do not fit are refused before they are loaded") as check:
        if checks.toy:
            raise NotRunError("a CPU has no limit to set; tests/engine/models/test_memory.py shows it")
        folder = save_gpt2(checks.folder / "gpt2")
        with _limit(checks.device, 2**30):
            try:
                run = runs.start(runs.configured("ppo", checks.device, [f"policy={folder}", "max_steps=1"]))
                state = run.wait()
                check.require(state is RunState.FAILED, f"the run is {state}")
                check.measured(run.reason)
            except LooptopError as error:
                check.measured(str(error))
        check.require("at least" in check.figure and "free" in check.figure, "the reason is another one")
        most = torch.cuda.max_memory_allocated(checks.device)
        check.require(most < 2**28, f"{most / 2**20:.0f} MiB were taken on the device before it was refused")


def _out_of_memory(checks: Checks) -> None:
    with checks.check("VQA: a run that runs out of memory fails in one sentence and can be resumed") as check:
        run = runs.start(runs.configured("vqa", checks.device, VQA))
        step = runs.pause(run)
        while step < HELD_AT:
            step = runs.make_step(run)
        runs.reply_to(run, run.checkpoint())
        eventually(lambda: is_complete(run.folder.checkpoints / f"checkpoint-{step}"), limit=runs.LIMIT)
        with _nothing_left(checks):
            run.continue_()
            state = run.wait()
        check.measured(run.reason)
        check.require(state is RunState.FAILED, f"the run is {state}")
        check.require(
            "memory" in run.reason and str(step + 1) in run.reason, "the reason does not name the memory and the step"
        )
        check.require("\n" not in run.reason and "Traceback" not in run.reason, "the reason is not one sentence")
        check.require(is_complete(run.folder.checkpoints / f"checkpoint-{step}"), "the checkpoint is gone")
        again = resume(run.id)
        folder = runs.finish(again)
        last = Journal(folder.db).last("loss")
        check.require(last is not None and last.step == 12, "the resumed run did not reach its end")


def _released(checks: Checks) -> None:
    with checks.check("a run that has ended releases its memory") as check:
        if checks.toy:
            raise NotRunError("a CPU's allocator does not count its memory")
        left = torch.cuda.memory_allocated(checks.device)
        check.measured(f"{left / 2**20:.1f} MiB are held after all runs have ended", bytes=left)
        check.require(left < 64 * 2**20, "a run that ended still holds memory")


@contextmanager
def _limit(device: str, allowed: int) -> Iterator[None]:
    """While the block runs, torch may take only so many bytes on the device."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(allowed / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@contextmanager
def _nothing_left(checks: Checks) -> Iterator[None]:
    """While the block runs, a step takes more memory than there is."""
    wanted, before = EVERYTHING if checks.toy else MORE, VqaTrainer.compute_loss

    def larger(self: Any, *args: Any, **kwargs: Any) -> Any:
        more = torch.empty(wanted, dtype=torch.uint8, device=checks.device)
        loss = before(self, *args, **kwargs)
        del more
        return loss

    VqaTrainer.compute_loss = larger  # type: ignore[method-assign]
    try:
        if checks.toy:
            yield
        else:
            torch.cuda.empty_cache()
            with _limit(checks.device, torch.cuda.memory_reserved(checks.device) + 2**20):
                yield
    finally:
        VqaTrainer.compute_loss = before  # type: ignore[method-assign]
