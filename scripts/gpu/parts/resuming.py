"""Runs that are held, edited, paused, stopped, or moved between CPU and device continue correctly."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from looptop.engine.journal.reader import Journal
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.judgements import record_judgement
from looptop.engine.runs.checkpoint import is_complete
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch
from looptop.engine.startup.run import resume
from scripts.gpu import runs
from scripts.gpu.checks import Checks, NotRunError
from tests.support import eventually

TOLERANCE = 1e-3
"""On a GPU the order of additions may change from run to run."""

PPO = ("batch_size=8", "mini_batch_size=4", "held_out=8", "max_new_tokens=16", "eval_steps=100", "precision=fp32")
VQA = ("max_images=60", "per_device_train_batch_size=64", "answer_samples=0", "precision=fp32", "eval_strategy=steps")
REWARD = 9.0


def run(checks: Checks) -> None:
    """Runs the checks, each on runs of its own."""
    _edited(checks)
    _paused(checks)
    if checks.toy:
        _moved(checks, "cpu", "cpu")
    else:
        _moved(checks, "cpu", checks.device)
        _moved(checks, checks.device, "cpu")
    _adapters(checks)


def _edited(checks: Checks) -> None:
    with checks.check("PPO: a batch held before its update, edited, stopped and resumed") as check:
        run = runs.start(runs.configured("ppo", checks.device, [*PPO, "max_steps=3"]))
        runs.hold(run, "compared")
        step = runs.hold(run, "compared")
        journal = PpoJournal(run.folder.db)
        runs.reply_to(run, record_judgement(run.folder, step, 0, "reward", REWARD, "gpu"))  # type: ignore[arg-type]
        runs.reply_to(run, record_judgement(run.folder, step, 1, "leave_out", 1.0, "gpu"))  # type: ignore[arg-type]
        before = [sample.response for sample in journal.samples(step)]
        runs.stop(run)
        check.require(is_complete(run.folder.checkpoints / f"checkpoint-{step - 1}"), "there is no complete checkpoint")
        runs.finish(resume(run.id))
        after = [sample.response for sample in journal.samples(step)]
        same = sum(one == two for one, two in zip(before, after, strict=True))
        tokens, left_out = journal.tokens(step, 0), journal.sample(step, 1)
        beta = journal.figures(["objective/kl_coef"], step, step)[step]["objective/kl_coef"]
        assert tokens is not None and left_out is not None and beta is not None
        used = tokens.columns["reward"][-1] + beta * tokens.columns["kl"][-1]
        check.measured(f"{same} of {len(after)} responses the same again; the update used a reward of {used:.4f}")
        check.require(same == len(after), "the batch was made again with other responses")
        check.require(abs(used - REWARD) < TOLERANCE, f"the update did not use the reward {REWARD}")
        check.require(left_out.advantage is None, "the sample that was left out was used in the update")


def _paused(checks: Checks) -> None:
    with checks.check("VQA: pausing changes nothing, and keeps what is on the device") as check:
        settings = [*VQA, "max_steps=12", "eval_steps=100"]
        undisturbed = runs.finish(runs.start(runs.configured("vqa", checks.device, settings)))
        run = runs.start(runs.configured("vqa", checks.device, settings))
        runs.pause(run)
        kept = [_allocated(checks)]
        runs.make_step(run)
        kept.append(_allocated(checks))
        run.continue_()
        worst, where = runs.largest_difference(runs.finish(run), undisturbed)
        check.measured(
            f"largest difference from an undisturbed run {worst:.1e}, in {where}; "
            f"{max(kept) / 2**20:.0f} MiB on the device while it was paused",
            difference=worst,
        )
        check.require(worst < TOLERANCE, "the paused run differs from the undisturbed one")
        check.require(checks.toy or min(kept) > 0, "the model was not on the device while the run was paused")


def _moved(checks: Checks, first: str, second: str) -> None:
    with checks.check(f"VQA: a run begun on {first} and resumed on {second}") as check:
        settings = [*VQA, "max_steps=12", "eval_steps=6"]
        undisturbed = runs.finish(runs.start(runs.configured("vqa", "cpu", settings)))
        begun = _begin_elsewhere(settings) if first == "cpu" else _begin_here(first, settings)
        runs.set_device(begun, second)
        runs.finish(resume(str(begun.path)))
        worst, where = runs.largest_difference(begun, undisturbed)
        device = Journal(begun.db).facts()["device"]
        check.measured(
            f"largest difference from the run that stayed on the CPU {worst:.1e}, in {where}; it ended on {device}",
            difference=worst,
        )
        check.require(worst < 0.02, "the moved run differs from the one that stayed")


def _begin_elsewhere(settings: list[str]) -> RunFolder:
    """A run of six steps in an engine process that sees no GPU, as on a machine without one."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        folder = launch(runs.configured("vqa", "cpu", settings))
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
    return _stopped_after_six(folder)


def _begin_here(device: str, settings: list[str]) -> RunFolder:
    return _stopped_after_six(launch(runs.configured("vqa", device, settings)))


def _stopped_after_six(folder: RunFolder) -> RunFolder:
    """Kills a run, as a lost machine would, once the checkpoint of step 6 is complete."""
    eventually(lambda: is_complete(folder.checkpoints / "checkpoint-6") or not folder.is_live(), limit=runs.LIMIT)
    if (owner := folder.owner()) is not None and folder.is_live():
        os.kill(owner.pid, 9)
    eventually(lambda: not folder.is_live(), limit=runs.LIMIT)
    assert is_complete(folder.checkpoints / "checkpoint-6"), Path(folder.log).read_text("utf-8", "replace")[-300:]
    # The run would otherwise be resumed from a later checkpoint.
    for later in folder.checkpoints.glob("checkpoint-1*"):
        shutil.rmtree(later)
    return folder


def _adapters(checks: Checks) -> None:
    with checks.check("PPO: LoRA adapters, stopped in a batch and resumed") as check:
        if find_spec("peft") is None:
            raise NotRunError("peft is not installed")
        settings = [*PPO, "max_steps=3", "lora_rank=4"]
        undisturbed = runs.finish(runs.start(runs.configured("ppo", checks.device, settings)))
        run = runs.start(runs.configured("ppo", checks.device, settings))
        runs.hold(run, "generated")
        runs.hold(run, "scored")
        runs.stop(run)
        resumed = runs.finish(resume(run.id))
        worst, where = runs.largest_difference(resumed, undisturbed)
        facts = Journal(resumed.db).facts()
        share = facts["trainable_parameters"] / facts["parameters"]
        check.measured(
            f"{share:.1%} of the parameters trained; largest difference from an undisturbed run {worst:.1e}, in"
            f" {where}",
            difference=worst,
        )
        check.require(worst < 0.05, "the resumed run differs from the undisturbed one")


def _allocated(checks: Checks) -> int:
    if checks.toy:
        return 0
    import torch

    return torch.cuda.memory_allocated(checks.device)
