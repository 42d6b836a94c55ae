"""The tiny VQA preset learns on the device as well as on a CPU, in each precision."""

from __future__ import annotations

from looptop.engine.journal.reader import Journal
from scripts.gpu import runs
from scripts.gpu.checks import Checks

LEAST = 0.99
"""Accuracy on the benchmark's test questions; `make learn` on a CPU ends at 0.999."""


def run(checks: Checks) -> None:
    """Trains in fp32, bf16 and, on a GPU, fp16."""
    precisions = ["fp32", "bf16"] + ["fp16"] * (not checks.toy)
    for precision in precisions[:1] if checks.quick and checks.toy else precisions:
        with checks.check(f"the default run, {precision}") as check:
            settings = [f"precision={precision}"]
            if checks.toy:
                settings += ["max_images=200", "max_steps=12", "per_device_train_batch_size=64"]
            folder = runs.finish(runs.start(runs.configured("vqa", checks.device, settings)))
            journal = Journal(folder.db)
            result, losses = journal.facts()["result"], journal.values("eval_loss")
            check.measured(
                f"test accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f}, validation loss"
                f" {losses[0].value:.3f} to {losses[-1].value:.3f}, {result['seconds']:.0f} s",
                accuracy=result["accuracy"],
                loss=result["loss"],
                seconds=result["seconds"],
            )
            if checks.toy:
                check.require(losses[-1].value < losses[0].value, "the validation loss did not fall")  # type: ignore[operator]
            else:
                check.require(result["accuracy"] >= LEAST, f"the accuracy is below {LEAST:.0%}")
