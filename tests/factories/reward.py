"""A short training of a reward model, on pairs of responses."""

from __future__ import annotations

import json
from pathlib import Path

from looptop.engine import config as configuration
from looptop.engine.config.reward import RewardRunConfig
from tests.factories.ppo import TEXTS, save_classifier


def table(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reward_config(folder: Path, *settings: str) -> RewardRunConfig:
    """Pairs that a word tells apart: `tram` is better than `council`."""
    classifier = save_classifier(folder / "classifier", spread=0.2)
    rows: list[dict[str, object]] = [
        {"query": text, "chosen": f"tram {text}", "rejected": f"council {text}"} for text in TEXTS
    ]
    chosen = configuration.override(
        configuration.preset("tiny", "reward"),
        [
            f"classifier={classifier}", f"data.source={table(folder / 'pairs.jsonl', rows)}", "eval_strategy=steps",
            "eval_steps=10", "max_steps=40", "per_device_train_batch_size=16", "learning_rate=3e-3", *settings,
        ],
    )  # fmt: skip
    assert isinstance(chosen, RewardRunConfig)
    return chosen
