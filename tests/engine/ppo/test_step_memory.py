"""The memory of a PPO batch as it is estimated before the run, beside what a batch then holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from looptop.engine.config import override, preset
from looptop.engine.config.ppo import PpoRunConfig, QueryConfig
from looptop.engine.estimates.memory import estimate_memory, longest_query
from looptop.engine.models.step_memory import MemoryTrace
from looptop.engine.ppo import data
from looptop.engine.ppo.loading import load_policy_and_reference, load_tokenizer, max_query_length
from looptop.engine.ppo.rewards import Reward
from looptop.engine.ppo.rollout import SpecialIds
from looptop.engine.ppo.statistics import MiniBatch
from looptop.engine.ppo.step import REFERENCE_BATCH_SIZE, Hooks, PpoState, PpoStep, Setup
from looptop.engine.ppo.step_memory import batch_shape
from tests.factories.ppo import ppo_config, save_policy

ADAPTERS = {"t5": ["lora_rank=2", "lora_modules=q,v"], "gpt2": ["lora_rank=2", "lora_modules=c_attn"]}


class Gradients(Hooks):
    """Makes no step: the optimiser's numbers are estimated apart. Counts gradients apart until they are cleared."""

    def __init__(self, model: nn.Module, trace: MemoryTrace) -> None:
        super().__init__(torch.optim.SGD(model.parameters(), lr=1e-6))
        self._trace = trace
        self._trained = [part for part in model.parameters() if part.requires_grad]
        self._counted: set[int] = set()
        for part in self._trained:
            part.register_post_accumulate_grad_hook(self._count)

    def _count(self, parameter: torch.Tensor) -> None:
        if id(parameter) not in self._counted:
            self._counted.add(id(parameter))
            self._trace.set_apart(parameter)

    def optimizer_step(self, step: int, mini_batches: Sequence[MiniBatch], last: bool) -> None:
        self.optimizer.zero_grad()
        self._trace.apart = 0
        self._counted.clear()


def seen(config: PpoRunConfig) -> tuple[int, int, int]:
    """The most bytes that a real batch holds besides weights and gradients, and besides weights; trained weights."""
    model, policy, reference = load_policy_and_reference(config.model, "cpu")
    tokenizer = load_tokenizer(config.model.policy)
    queries = data.load(config.data, tokenizer, max_query_length(policy, config), seed=1).train
    reward = Reward.load(config.rewards)
    special = SpecialIds.of(tokenizer, config.model.policy)
    setup = Setup(reference, reward, None, tokenizer, special, config.generation, config.ppo, 1)
    others = [getattr(reference, "model", None), *(getattr(scorer, "model", None) for scorer in reward.scorers)]
    trace = MemoryTrace(nn.ModuleList([model, *(part for part in others if part is not None)]))
    step = PpoStep(policy, setup, PpoState.begin(config.ppo, 1), Gradients(model, trace))
    with trace:
        progress = step.run(model, 1, [queries[row] for row in range(config.ppo.samples)])
    assert max(len(ids) for ids in progress.rollout.responses.ids) == config.generation.max_new_tokens
    trained = sum(part.numel() for part in model.parameters() if part.requires_grad)
    return trace.most_besides, trace.most, trained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("t5", ["mini_batch_size=8"]),
        ("t5", ["mini_batch_size=8", "kernels=transformers"]),
        ("t5", ["mini_batch_size=2", *ADAPTERS["t5"]]),
        ("gpt2", ["mini_batch_size=2"]),
        ("gpt2", ["mini_batch_size=8", *ADAPTERS["gpt2"]]),
    ],
    ids=["t5", "t5, kernels of transformers", "t5, adapters, small", "gpt2, small", "gpt2, adapters"],
)
def test_what_a_batch_holds_is_estimated(family: str, settings: list[str], tmp_path: Path) -> None:
    """In a small mini-batch, writing or comparing the responses holds the most."""
    config = ppo_config(tmp_path, "max_new_tokens=12", *settings, family=family)
    activations, peak, trained = seen(config)
    estimate = estimate_memory(config, None, 0)
    assert estimate.activations == pytest.approx(activations, rel=0.25)
    assert estimate.peak - estimate.weights - estimate.optimizer == pytest.approx(peak, rel=0.25)
    assert estimate.trainable == trained


@pytest.mark.parametrize(
    ("samples", "mini_batch", "compared"), [(64, 2, REFERENCE_BATCH_SIZE), (64, 32, 32), (8, 2, 8)]
)
def test_responses_are_compared_in_batches_of_a_mini_batch_or_more(
    samples: int, mini_batch: int, compared: int
) -> None:
    config = override(preset("tiny", "ppo"), [f"batch_size={samples}", f"mini_batch_size={mini_batch}"])
    assert isinstance(config, PpoRunConfig)
    assert batch_shape(config).compared == compared


def test_a_data_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    save_policy(tmp_path / "policy")
    file = tmp_path / "texts.jsonl"
    source = QueryConfig(source=str(file), held_out=1)
    lengths = []
    for words in (3, 9):
        file.write_text("".join(json.dumps({"text": "word " * words}) + "\n" for _ in range(4)))
        lengths.append(longest_query(source, str(tmp_path / "policy"), 1))
    assert None not in lengths and lengths[0] < lengths[1]  # type: ignore[operator]


def test_data_that_cannot_be_read_here_count_with_the_longest_query_allowed(tmp_path: Path) -> None:
    save_policy(tmp_path / "policy")
    nowhere = QueryConfig(source=str(tmp_path / "nowhere.jsonl"))
    assert longest_query(nowhere, str(tmp_path / "policy"), 1) is None
    config = override(preset("tiny", "ppo"), ["max_query_tokens=77"])
    assert isinstance(config, PpoRunConfig)
    assert batch_shape(config, None).query == batch_shape(config, 100).query == 77
    assert batch_shape(config, 30).query == 30
