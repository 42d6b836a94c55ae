"""Two processes give the same run as one: on two GPUs with NCCL, on a CPU with gloo. On one GPU they are refused."""

from __future__ import annotations

import torch

from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from scripts.gpu import runs
from scripts.gpu.checks import Checks, NotRunError

TOLERANCE = 1e-3
PPO = (
    "batch_size=8", "mini_batch_size=4", "held_out=8", "max_new_tokens=16", "eval_steps=100", "precision=fp32",
    "max_steps=2",
)  # fmt: skip


def run(checks: Checks) -> None:
    """Runs PPO with one and with two processes."""
    with checks.check("two processes on the CPU, with gloo") as check:
        worst, where = _compared("cpu")
        check.measured(f"largest difference from one process {worst:.1e}, in {where}", difference=worst)
        check.require(worst < TOLERANCE, "two processes give another run than one")
    with checks.check("two processes on one GPU are refused") as check:
        if torch.cuda.device_count() != 1:
            raise NotRunError(f"this machine has {torch.cuda.device_count()} GPUs")
        try:
            run = runs.start(runs.configured("ppo", "cuda", [*PPO, "processes=2"]))
            state = run.wait()
            check.require(state is RunState.FAILED, f"the run is {state}")
            check.measured(run.reason)
        except LooptopError as error:
            check.measured(str(error))
        check.require("each process needs" in check.figure, "the reason is another one")
    with checks.check("two processes on two GPUs, with NCCL") as check:
        if torch.cuda.device_count() < 2:
            raise NotRunError(f"this machine has {torch.cuda.device_count()} GPUs")
        worst, where = _compared("cuda")
        check.measured(f"largest difference from one process {worst:.1e}, in {where}", difference=worst)
        check.require(worst < TOLERANCE, "two processes give another run than one")


def _compared(device: str) -> tuple[float, str]:
    one, two = (
        runs.finish(runs.start(runs.configured("ppo", device, [*PPO, f"processes={count}"]))) for count in (1, 2)
    )
    return runs.largest_difference(two, one)
