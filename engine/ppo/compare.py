"""How far the policy stands from the reference on given responses: the third place of a PPO batch (fig 7.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from looptop.engine.config.ppo import PpoSettings
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.kl import full_kl, kl_penalty
from looptop.engine.ppo.policy import PolicyOutput


@dataclass(frozen=True)
class Comparison:
    """The policy before its update beside the reference; all `[batch, response length]`, 0 where there is no token.

    Attributes:
        logprobs: The policy's.
        ref_logprobs: The reference's.
        values: The policy's value head's.
        entropy: The policy's.
        kl: Each token's distance, of the kind that the settings ask for.
    """

    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    entropy: Tensor
    kl: Tensor

    def select(self, rows: Tensor, length: int) -> Comparison:
        """Some samples, their first `length` tokens."""
        return Comparison(*(getattr(self, part.name)[rows, :length] for part in fields(self)))


@torch.no_grad()
def compare(
    policy: nn.Module, reference: Callable[..., PolicyOutput], batch: Batch, settings: PpoSettings
) -> Comparison:
    """What policy and reference say of the responses, dropout off.

    Args:
        policy: A policy, or a wrapper of one.
        reference: Another one, frozen; or anything that says of responses what a policy says (the policy itself with
            its adapter off).
        batch: The samples.
        settings: The kind of KL, and how many samples to look at at once.
    """
    full = settings.kl_penalty == "full"
    parts = {part.name: torch.zeros(batch.mask.shape, device=batch.mask.device) for part in fields(Comparison)}
    with without_dropout(policy, reference):
        for rows, samples in batch.split(settings.mini_batch_size):
            inputs = samples.model_inputs()
            ours = policy(**inputs, return_distribution=full)
            theirs = reference(**inputs, return_distribution=full)
            if theirs.log_distribution is None:
                kl = kl_penalty(ours.logprobs, theirs.logprobs, settings.kl_penalty)
            else:
                kl = torch.zeros_like(ours.logprobs)
                kl[samples.response_mask] = full_kl(ours.log_distribution, theirs.log_distribution)
            found = Comparison(ours.logprobs, theirs.logprobs, ours.values, ours.entropy, kl)
            for name, part in parts.items():
                part[rows, : samples.mask.shape[1]] = getattr(found, name)
    return Comparison(**parts)


@contextmanager
def without_dropout(*models: object) -> Iterator[None]:
    """While log-probabilities are computed: with dropout, the same weights would give a ratio that is not 1."""
    modules = [(model, model.training) for model in models if isinstance(model, nn.Module)]
    for module, _ in modules:
        module.eval()
    try:
        yield
    finally:
        for module, training in modules:
            module.train(training)
