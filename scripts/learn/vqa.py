"""Trains the VQA preset `tiny` with both fusions, as `looptop train vqa` does, and prints each run's curve.

The columns are step, seconds since the command, validation loss and accuracy; the test accuracy follows.
"""

from __future__ import annotations

import time

from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from scripts.command import json_of

RUNS: dict[str, list[str]] = {
    "mean fusion, fp32 (the default)": [],
    "mean fusion, bf16": ["--set", "precision=bf16"],
    "tokens fusion, fp32": ["--set", "fusion=tokens"],
}


def main() -> None:
    """Trains each variant and prints what it learned."""
    for name, options in RUNS.items():
        print(f"\n{name}: looptop train vqa {' '.join(options)}", flush=True)
        began = time.time()
        result = json_of("train", "vqa", *options)
        journal = Journal(RunFolder.find(result["run"]).db)
        losses = {point.step: point for point in journal.values("eval_loss")}
        print(f"{'step':>6} {'seconds':>8} {'validation loss':>16} {'accuracy':>9}")
        for point in journal.values("eval_accuracy"):
            print(f"{point.step:>6} {point.time - began:>8.1f} {losses[point.step].value:>16.4f} {point.value:>9.4f}")
        print(f"test: accuracy {result['accuracy']:.4f}, loss {result['loss']:.4f}, {result['seconds']:.0f} s in all")
