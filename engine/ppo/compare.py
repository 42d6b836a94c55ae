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

AT_ONCE = 16
"""Samples that the reference is asked about at once: without gradients more fit where a mini-batch fits."""


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
    policy: nn.Module,
    reference: Callable[..., PolicyOutput],
    batch: Batch,
    settings: PpoSettings,
    said: PolicyOutput | None = None,
) -> Comparison:
    """What policy and reference say of the responses, dropout off.

    Args:
        policy: A policy, or a wrapper of one.
        reference: Another one, frozen; or anything that says of responses what a policy says (the policy itself with
            its adapter off).
        batch: The samples.
        settings: The kind of KL, and the size of a mini-batch.
        said: What the policy said of the responses while it wrote them, `[batch, response length]`; it is asked again
            where None, and where the whole distribution is needed.
    """
    full = settings.kl_penalty == "full"
    # Where the policy is asked, in the passes' own groups: sums are then made in the same order, and the ratios of the
    # first pass are 1 to the last bit.
    at_once = settings.mini_batch_size if said is None or full else max(settings.mini_batch_size, AT_ONCE)
    parts = {part.name: torch.zeros(batch.mask.shape, device=batch.mask.device) for part in fields(Comparison)}
    with without_dropout(policy, reference):
        for rows, samples in batch.split(at_once):
            inputs, length = samples.model_inputs(), samples.mask.shape[1]
            if said is None or full:
                ours = policy(**inputs, return_distribution=full)
            else:
                ours = PolicyOutput(*(part[rows, :length] for part in said[:3]))
            theirs = reference(**inputs, return_distribution=full)
            if theirs.log_distribution is None:
                kl = kl_penalty(ours.logprobs, theirs.logprobs, settings.kl_penalty)
            else:
                kl = torch.zeros_like(ours.logprobs)
                kl[samples.response_mask] = full_kl(ours.log_distribution, theirs.log_distribution)
            found = Comparison(ours.logprobs, theirs.logprobs, ours.values, ours.entropy, kl)
            for name, part in parts.items():
                part[rows, :length] = getattr(found, name)
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
