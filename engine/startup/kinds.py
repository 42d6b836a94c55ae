"""The function that trains each kind of run."""

from __future__ import annotations

from looptop.engine.runs.context import Train


def training_of(kind: str) -> Train:
    """The function that trains runs of a kind.

    Each is imported on demand, because it imports torch: a process that only starts or checks runs need not wait for
    that.
    """
    match kind:
        case "vqa":
            from looptop.engine.vqa import vqa_training as training
        case "ppo":
            from looptop.engine.ppo import ppo_training as training  # type: ignore[no-redef]
        case "reward":
            from looptop.engine.ppo import reward_training as training  # type: ignore[no-redef]
        case _:
            raise ValueError(f"nothing trains runs of kind {kind!r}")
    return training.train
