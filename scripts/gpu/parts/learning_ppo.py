"""The tiny PPO preset learns on the device as well as on a CPU; a T5 in fp16 is refused."""

from __future__ import annotations

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch
from scripts.gpu import runs
from scripts.gpu.checks import Checks
from tests.support import eventually

LEAST_REWARD, MOST_KL = 3.5, 10.0
"""On the held-out queries at the end; `make learn` on a CPU ends between 3.8 and 4.1, at a KL of 5 to 6."""
QUICK_STEPS, QUICK_RISE = 60, 0.3
"""Number of batches, and how much the held-out reward must rise in them."""


def run(checks: Checks) -> None:
    """Trains in fp32 and bf16 side by side, each in an engine process of its own."""
    _refused(checks)
    steps = 4 if checks.toy else QUICK_STEPS if checks.quick else None
    settings = [f"max_steps={steps}"] * (steps is not None)
    if checks.toy:
        settings += ["batch_size=8", "mini_batch_size=4", "held_out=8", "max_new_tokens=16"]
    started: dict[str, RunFolder] = {}
    for precision in ("fp32", "bf16"):
        started[precision] = launch(runs.configured("ppo", checks.device, [*settings, f"precision={precision}"]))
        if checks.toy:
            _ended(started[precision])
    for precision, folder in started.items():
        with checks.check(f"the default run, {precision}" + (f", {steps} batches" if steps else "")) as check:
            _ended(folder)
            state, reason = Journal(folder.db).state()
            check.require(state is RunState.FINISHED, f"{folder.id} is {state}: {reason}")
            journal = Journal(folder.db)
            rewards, kl = journal.values("eval_reward"), journal.values("eval_kl")
            before, after = float(rewards[0].value or 0), float(rewards[-1].value or 0)
            seconds = journal.facts()["result"]["seconds"]
            check.measured(
                f"held-out reward {before:.2f} to {after:.2f} after batch {rewards[-1].step}, KL {kl[-1].value:.2f},"
                f" {seconds:.0f} s",
                before=before,
                after=after,
                kl=float(kl[-1].value or 0),
                seconds=seconds,
            )
            check.require(float(kl[-1].value or 0) < MOST_KL, f"the KL is above {MOST_KL:g}")
            if not checks.toy:
                least = before + QUICK_RISE if checks.quick else LEAST_REWARD
                check.require(after >= least, f"the reward is below {least:.2f}")


def _refused(checks: Checks) -> None:
    with checks.check("a T5 in fp16 is refused") as check:
        try:
            run = runs.start(runs.configured("ppo", checks.device, ["precision=fp16", "max_steps=1"]))
            state = run.wait()
            check.require(state is RunState.FAILED, f"the run is {state}")
            check.measured(run.reason)
        except LooptopError as error:
            check.measured(str(error))
        check.require("fp16" in check.figure, "the reason is another one")


def _ended(folder: RunFolder) -> None:
    eventually(lambda: not folder.is_live(), limit=runs.LIMIT)
