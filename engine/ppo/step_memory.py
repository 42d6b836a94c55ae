"""Counts the memory of a PPO batch before the run starts, for `engine.models.step_memory`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig
from transformers.initialization import no_init_weights

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.models.names import resolve, resolve_adapters
from looptop.engine.models.step_memory import StepMemory, stages_memory, step_memory
from looptop.engine.models.weights import load_part
from looptop.engine.ppo.fast_t5 import use_fast_kernels
from looptop.engine.ppo.loading import add_adapters
from looptop.engine.ppo.policy import POLICIES, Policy, T5Decoder, T5Policy, logprobs_and_entropies
from looptop.engine.ppo.reference import inner
from looptop.engine.ppo.rollout import draw
from looptop.engine.ppo.step import REFERENCE_BATCH_SIZE

TOKENS_COUNTED = 4
"""So many tokens of a response are counted; each further one adds as much as the last of them."""

FILLED = 0.5
"""The share of the responses' positions that hold a token, in a mini-batch that is as long as a response may be. Logits
are computed only there. Of `tiny` the fullest mini-batch is half full. Those of a policy that never ends its responses
are full: a GPT-2 of six layers or more then takes up to a tenth more than this says."""


@dataclass(frozen=True)
class Shape:
    """The shape of a batch.

    Attributes:
        written: Responses that are written together.
        compared: Samples that are compared with the reference together.
        learned: Samples of a mini-batch.
        query: Tokens of the longest query.
        response: Tokens of the longest response.
    """

    written: int
    compared: int
    learned: int
    query: int
    response: int


def batch_shape(config: PpoRunConfig, longest_query: int | None = None) -> Shape:
    """The shape of a run's largest batch.

    Args:
        config: The run's configuration.
        longest_query: Tokens of the longest query; None: as many as the configuration allows.
    """
    settings, processes = config.ppo, config.training.processes
    own = settings.samples // processes
    return Shape(
        written=max(own, min(config.training.per_device_eval_batch_size, config.data.held_out)),
        compared=min(own, max(settings.mini_batch_size, REFERENCE_BATCH_SIZE)),
        learned=math.ceil(min(settings.mini_batch_size, settings.samples) / processes),
        query=min(longest_query or config.data.max_query_tokens, config.data.max_query_tokens),
        response=config.generation.max_new_tokens,
    )


def ppo_step_memory(config: PpoRunConfig, shape: Shape, *, precision: str, on_cpu: bool) -> StepMemory:
    """The memory of the policy and its reference in a batch: the most of writing, comparing and the update.

    The models of the reward need less while they score, and are not counted here; nor are their weights and the
    reference's.

    Args:
        config: The run's configuration; the policy's own configuration is on this machine.
        shape: The shape of a batch.
        precision: `fp32`, `bf16` or `fp16`.
        on_cpu: Whether it computes on a CPU, where a T5 may use looptop's kernels.

    Raises:
        LooptopError: The policy cannot have these adapters.
        Exception: The model cannot be built from its configuration, or needs values.
    """
    name = resolve_adapters(resolve(config.model.policy))
    of_policy = load_part(AutoConfig.from_pretrained, name, "the configuration in")
    positions = getattr(of_policy, "n_positions", None) if of_policy.model_type == "gpt2" else None
    query = shape.query if positions is None else min(shape.query, positions - shape.response)

    # On the meta device, and only then as tensors without memory, of which peft cannot make adapters.
    of_update, of_stages = (_empty(config, of_policy, on_cpu) for _ in range(2))

    def build_update() -> tuple[nn.Module, Callable[[], Tensor]]:
        model, policy = _on_cpu(of_update)
        return model, lambda: _loss(policy, shape.learned, query, shape.response)

    def build_stages() -> tuple[nn.Module, Iterator[object]]:
        model, policy = _on_cpu(of_stages)
        return model, _stages(policy, shape, query)

    accumulates = config.ppo.gradient_accumulation_steps > 1
    update = step_memory(build_update, accumulates=accumulates, precision=precision)
    compared, *written = stages_memory(build_stages, precision=precision)
    further = max(0, shape.response - TOKENS_COUNTED) * (written[-1] - written[-2])
    without_gradients = max(compared, *written, written[-1] + further)
    return StepMemory(
        weights=update.weights,
        gradients=update.gradients,
        activations=max(update.activations, without_gradients),
        peak=max(update.peak, update.weights + without_gradients),
    )


def _empty(config: PpoRunConfig, of_policy: Any, on_cpu: bool) -> nn.Module:
    """The policy on torch's meta device, with adapters if the run has some."""
    with torch.device("meta"), no_init_weights():
        policy = POLICIES[of_policy.model_type](of_policy)
        if isinstance(policy, T5Policy):
            if config.model.kernels == "fast" and on_cpu:
                use_fast_kernels(policy)
            policy.decoder_type = T5Decoder  # The fast one needs values; it holds as much.
        return add_adapters(policy, config.model) if config.model.lora_rank else policy


def _on_cpu(model: nn.Module) -> tuple[nn.Module, Policy]:
    """The model as it is on the CPU, and the policy in it."""
    policy = inner(model.to_empty(device="cpu"))
    policy.tie_weights()
    if isinstance(policy, T5Policy) and not policy.config.scale_decoder_outputs:
        # Its head is its own, which transformers only learns from the weights.
        policy.lm_head.weight = nn.Parameter(
            torch.empty_like(policy.lm_head.weight), policy.shared.weight.requires_grad
        )
    model.train(False)  # A mini-batch is computed without dropout.
    return model, policy


def _stages(policy: Any, shape: Shape, query: int) -> Iterator[object]:
    """Compares responses, then writes the first tokens of others, one after another."""
    yield _outputs(policy, shape.compared, query, shape.response)
    ids, mask = _tokens(shape.written, query)
    decoder = policy.start_decoding(ids, mask)
    tokens = None
    for _ in range(TOKENS_COUNTED):
        tokens, *_figures = draw(policy, decoder.next_states(tokens), torch.zeros(shape.written, 1, dtype=torch.double))
        yield tokens


def _loss(policy: Any, rows: int, query: int, response: int) -> Tensor:
    logprobs, values = _outputs(policy, rows, query, response)
    return logprobs.sum() + values.sum()


def _outputs(policy: Any, rows: int, query: int, response: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities and values of responses, as `PolicyMixin.forward_responses` computes them."""
    ids, mask = _tokens(rows, response)
    states = policy.response_states(*_tokens(rows, query), ids, mask).flatten(0, 1)
    filled = math.ceil(FILLED * len(states))
    logprobs, _ = logprobs_and_entropies(policy.logits(states[:filled]), ids.flatten()[:filled])
    return logprobs, policy.v_head(states[:filled]).float()


def _tokens(rows: int, length: int) -> tuple[Tensor, Tensor]:
    """Token ids and their mask, `[rows, length]` each."""
    return torch.ones(rows, length, dtype=torch.long), torch.ones(rows, length, dtype=torch.bool)
