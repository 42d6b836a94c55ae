"""Counts the memory of a PPO mini-batch's update before the run starts, for `engine.models.step_memory`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig
from transformers.initialization import no_init_weights

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.models.names import resolve, resolve_adapters
from looptop.engine.models.step_memory import StepMemory, step_memory
from looptop.engine.models.weights import load_part
from looptop.engine.ppo.fast_t5 import use_fast_kernels
from looptop.engine.ppo.policy import POLICIES, T5Policy, logprobs_and_entropies


def ppo_step_memory(config: PpoRunConfig, *, precision: str, on_cpu: bool) -> StepMemory:
    """The memory of the policy in the update of a mini-batch whose queries and responses have their greatest length.

    The other models of the run only compute forwards, one after another; their weights are counted elsewhere.

    Args:
        config: The run's configuration, without adapters; the policy's own configuration is on this machine.
        precision: `fp32`, `bf16` or `fp16`.
        on_cpu: Whether it computes on a CPU, where a T5 may use looptop's kernels.

    Raises:
        Exception: The model cannot be built from its configuration, or needs values.
    """
    name = resolve_adapters(resolve(config.model.policy))
    of_policy = load_part(AutoConfig.from_pretrained, name, "the configuration in")
    settings = config.ppo
    rows = min(settings.mini_batch_size, settings.samples)
    positions = getattr(of_policy, "n_positions", None) if of_policy.model_type == "gpt2" else None
    response = config.generation.max_new_tokens
    query = (
        config.data.max_query_tokens if positions is None else min(config.data.max_query_tokens, positions - response)
    )

    def build() -> tuple[nn.Module, Callable[[], Tensor]]:
        with no_init_weights():
            policy = POLICIES[of_policy.model_type](of_policy)
        policy.tie_weights()
        if config.model.kernels == "fast" and on_cpu and isinstance(policy, T5Policy):
            use_fast_kernels(policy)
        policy.train(False)  # A mini-batch is computed without dropout.
        return policy, lambda: _loss(policy, rows, query, response)

    return step_memory(build, accumulates=settings.gradient_accumulation_steps > 1, precision=precision)


def _loss(policy: Any, rows: int, query: int, response: int) -> Tensor:
    ids = [torch.ones(rows, length, dtype=torch.long) for length in (query, response)]
    masks = [torch.ones(rows, length, dtype=torch.bool) for length in (query, response)]
    states = policy.response_states(ids[0], masks[0], ids[1], masks[1]).flatten(0, 1)
    logprobs, _ = logprobs_and_entropies(policy.logits(states), ids[1].flatten())
    loss: Tensor = logprobs.sum() + policy.v_head(states).float().sum()
    return loss
