"""Trains the PPO presets as `looptop train ppo` does: `tiny` with three seeds, `tiny-hackable` with one.

Each run is compared with its reference on 200 articles that it never saw, and printed beside the goals.
"""

from __future__ import annotations

import statistics
from typing import Any

from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from scripts.command import json_of

RUNS = (("tiny", 42), ("tiny", 1), ("tiny", 2), ("tiny-hackable", 42))
COUNT = 200


def main() -> None:
    """Trains each preset and prints what it learned."""
    for preset, seed in RUNS:
        print(f"\npreset {preset}, seed {seed}: looptop train ppo --preset {preset} --set seed={seed}", flush=True)
        result = json_of("train", "ppo", "--preset", preset, "--set", f"seed={seed}")
        curve(result["run"])
        print(f"{result['run']} {result['state']} after {result['seconds']:.0f} s", flush=True)
        report(json_of("compare", result["run"], "--n", str(COUNT)))


def curve(run: str) -> None:
    """Prints the figures of the held-out queries at each evaluation."""
    journal = Journal(RunFolder.find(run).db)
    names = ("eval_reward", "eval_kl", "eval_quality/recall", "eval_quality/clean", "eval_distinct")
    columns = [{point.step: point.value for point in journal.values(name)} for name in names]
    print(f"{'batch':>6} {'reward':>8} {'KL':>8} {'recall':>8} {'clean':>8} {'distinct':>9}")
    for step in columns[0]:
        reward, kl, recall, clean, distinct = (column.get(step) or float("nan") for column in columns)
        print(f"{step:>6} {reward:>8.3f} {kl:>8.3f} {recall:>8.3f} {clean:>8.3f} {distinct:>9.3f}")


def report(comparison: dict[str, Any]) -> None:
    """Prints the figures before and after training, beside the goals."""
    figures = comparison["figures"]
    reward, kl, recall, clean, distinct = (figures[name] for name in ("reward", "kl", "recall", "clean", "distinct"))
    deviation = statistics.stdev(row["reward_before"] for row in comparison["rows"])
    print(
        f"reward {reward['before']:.3f} -> {reward['after']:.3f}, difference {reward['difference']:.3f}"
        f" ({reward['low']:.3f} to {reward['high']:.3f}, p {reward['p']:.1g}): {reward['difference'] / deviation:.2f}"
        f" standard deviations of the reference's reward (goal: at least 1)"
    )
    print(f"KL {kl['after']:.2f} (goal: between 0 and 10)")
    print(
        f"distinct {distinct['before']:.3f} -> {distinct['after']:.3f}:"
        f" {distinct['after'] / distinct['before']:.3f} of the reference's (goal: 0.98)"
    )
    print(
        f"recall {recall['before']:.3f} -> {recall['after']:.3f}:"
        f" {recall['after'] / recall['before']:.3f} of the reference's (goal: 0.97)"
    )
    print(f"clean {clean['before']:.1%} -> {clean['after']:.1%} (goal: from at most 50 % to at least 85 %)", flush=True)
