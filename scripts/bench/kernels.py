"""A PPO batch with the fast kernels of T5 and with transformers' own, in one process, in turn.

As a part of `make bench`: the bundled summariser (`tiny`), 16 x (60 + 40) tokens, in fp32 and bf16. By itself:
`python -m scripts.bench.kernels small fp32 3`, FLAN-T5-small's architecture with random weights, 8 x (256 + 48) tokens.
One CPU thread, CPU seconds: other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import cast

import numpy as np
import torch

from looptop.engine.config.ppo import GenerationConfig, PpoSettings, RewardConfig
from looptop.engine.config.types import Kernels
from looptop.engine.models.names import resolve
from looptop.engine.ppo.batch import pad_queries
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.reference import Frozen
from looptop.engine.ppo.rewards import Reward
from looptop.engine.ppo.rollout import Responses, Rollout, SpecialIds, sample, uniforms
from looptop.engine.ppo.step import BatchProgress, Hooks, PpoState, PpoStep, Setup
from tests.factories.published_models import save_t5

ROUNDS = 4
KERNELS: tuple[Kernels, ...] = ("transformers", "fast")
PRECISIONS = ("fp32", "bf16")
NEVER = -1
"""No token ends a response: all are as long as allowed."""


class AutocastHooks(Hooks):
    """An optimiser alone, in the measured precision."""

    bf16 = False

    def autocast(self) -> torch.autocast:
        """See `Hooks`."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)


class TokenStep(PpoStep):
    """A step on random tokens: nothing is decoded to text."""

    length = 0

    def generate(self, step: int, queries: object) -> BatchProgress:
        """Responses of full length."""
        asked = cast("list[Query]", queries)
        ids, mask = pad_queries([query.ids for query in asked], 0, left=False)
        numbers = uniforms(0, 0, step, range(len(asked)), self.length)
        with self.hooks.autocast():
            self.policy.train(False)
            responses = sample(self.policy, ids, mask, numbers, NEVER)
        rows = Responses(responses.ids, [True] * len(asked), responses.output)
        return BatchProgress(step, Rollout(asked, rows, [""] * len(asked)), responses.output)


def main() -> None:
    """Prints the ratios of the bundled summariser."""
    for precision in PRECISIONS:
        compare("tiny", precision, ROUNDS)


def compare(size: str, precision: str, rounds: int) -> None:
    """Prints the ratio of transformers' CPU seconds over those of the fast kernels."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        small = size == "small"
        folder = str(save_t5(Path(home) / "model")) if small else resolve("bundled:summariser")
        shape = (8, 256, 48) if small else (16, 60, 40)
        steps = {kernels: _step(folder, kernels, shape, precision == "bf16") for kernels in KERNELS}
    seconds: dict[Kernels, list[float]] = {kernels: [] for kernels in KERNELS}
    for number in range(rounds + 1):
        for kernels in KERNELS if number % 2 else KERNELS[::-1]:
            step, queries = steps[kernels]
            began = time.process_time()
            step.run(step.policy, number + 1, queries)
            if number:  # The first is slower.
                seconds[kernels].append(time.process_time() - began)
    torch.set_num_threads(threads)
    ratios = [one / two for one, two in zip(seconds["transformers"], seconds["fast"], strict=True)]
    plain, fast = (statistics.median(seconds[kernels]) for kernels in KERNELS)
    print(
        f"kernels, {size}, {precision}: {statistics.median(ratios):.2f} times the samples per second of"
        f" transformers' own ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} pairs);"
        f" {plain:.2f} s a batch against {fast:.2f} s"
    )


def _step(folder: str, kernels: Kernels, shape: tuple[int, int, int], bf16: bool) -> tuple[TokenStep, list[Query]]:
    samples, length, response = shape
    policy = load_policy(folder, "cpu", kernels)
    reference = copy.deepcopy(policy)
    if bf16:
        for model in (policy, reference):
            model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    settings = PpoSettings(batch_size=samples, mini_batch_size=8)
    reward = Reward((RewardConfig(name="none", person=True),), (lambda _, texts: [0.0] * len(texts),))
    setup = Setup(Frozen(reference), reward, None, None, SpecialIds(0, 1), GenerationConfig(), settings, 0)
    hooks = AutocastHooks(torch.optim.AdamW(policy.parameters(), lr=1e-6))
    hooks.bf16 = bf16
    step = TokenStep(policy, setup, PpoState.begin(settings, 0), hooks)
    step.length = response
    draw = np.random.RandomState(0)
    return step, [Query(row, "", draw.randint(2, 500, length).tolist(), False) for row in range(samples)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("size", choices=("tiny", "small"))
    parser.add_argument("precision", choices=PRECISIONS)
    parser.add_argument("rounds", type=int)
    chosen = parser.parse_args()
    compare(chosen.size, chosen.precision, chosen.rounds)
