"""Writes responses: the first place of a PPO batch (fig 7.12).

PPO samples from the model itself. Each response is drawn with random numbers of its own, made from a seed and its place
in the run: the same response comes out again after a resume, in any batch, and a reference that is asked with the same
numbers differs only where it is of another opinion. While a model writes it says what PPO must know of each token
(log-probability, value, entropy), so no second pass is needed for that.

A configuration that does not sample from the model itself (beams, a minimum length, ...) is left to transformers'
`generate`; KL then says little, and the run warns of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from looptop.engine.config.ppo import GenerationConfig
from looptop.engine.ppo.algorithm import entropy, token_logprobs
from looptop.engine.ppo.batch import pad_queries
from looptop.engine.ppo.compare import without_dropout
from looptop.engine.ppo.policy import Policy, PolicyOutput
from looptop.engine.runs.messages import packable

TRAINING, HELD_OUT, COMPARED = 0, 1, 2
"""What random numbers are drawn for; each has a stream of its own."""


@packable
@dataclass(frozen=True)
class Responses:
    """What was written.

    Attributes:
        ids: Token ids of each response, its end-of-sequence token included where it came to one.
        ended: Whether each came to its end; the others were cut at the longest that is allowed.
        judged: What the model said of the tokens while it wrote them, `[batch, longest response]`; None where it was
            not asked.
    """

    ids: list[list[int]]
    ended: list[bool]
    judged: PolicyOutput | None = None


def uniforms(seed: int, purpose: int, step: int, rows: Sequence[int], count: int) -> Tensor:
    """Random numbers from 0 to 1 that belong to samples of a run, `[rows, count]`, float64 on the CPU.

    Args:
        seed: The run's.
        purpose: `TRAINING`, `HELD_OUT` or `COMPARED`.
        step: The batch's step.
        rows: The samples' rows in it.
        count: How many numbers a sample needs.
    """
    drawn = [np.random.Generator(np.random.Philox([seed, (purpose << 48) + step, row, 0])) for row in rows]
    return torch.from_numpy(np.stack([source.random(count) for source in drawn]))


def write(
    policy: Policy,
    queries: Sequence[Sequence[int]],
    numbers: Tensor,
    settings: GenerationConfig,
    *,
    pad_id: int,
    end_id: int,
) -> Responses:
    """Writes a response to each query, dropout off.

    Args:
        policy: The model, not wrapped.
        queries: Token ids of each.
        numbers: From `uniforms`, `[batch, max_new_tokens]`.
        settings: How to write.
        pad_id: Any id of the vocabulary.
        end_id: The end-of-sequence token.
    """
    query_ids, query_mask = (
        part.to(policy.device) for part in pad_queries(queries, pad_id, left=not policy.start_tokens)
    )
    with without_dropout(policy):
        if settings.sampling_changes():
            return _generate(policy, query_ids, query_mask, numbers, settings, pad_id, end_id)
        return sample(policy, query_ids, query_mask, numbers, end_id)


@torch.no_grad()
def sample(policy: Policy, query_ids: Tensor, query_mask: Tensor, numbers: Tensor, end_id: int) -> Responses:
    """Samples each token from all that the model says, by inverting its cumulative distribution.

    Args:
        policy: The model, dropout off.
        query_ids: `[batch, query length]`, padded as `Batch` says.
        query_mask: The same shape, true where there is a token.
        numbers: `[batch, longest response]`, from 0 to 1.
        end_id: The end-of-sequence token, after which a response has none.
    """
    numbers = numbers.to(query_ids.device)
    writer = policy.writer(query_ids, query_mask)
    alive = torch.ones(len(query_ids), dtype=torch.bool, device=query_ids.device)
    tokens: Tensor | None = None
    columns: list[tuple[Tensor, ...]] = []
    for column in range(numbers.shape[1]):
        states = writer.advance(tokens)
        log_distribution = policy.logits(states).float().log_softmax(-1)
        cumulative = log_distribution.exp().cumsum(-1, dtype=torch.float64)
        drawn = numbers[:, column : column + 1] * cumulative[:, -1:]
        tokens = (cumulative <= drawn).sum(-1).clamp(max=cumulative.shape[-1] - 1)
        logprobs, values = token_logprobs(log_distribution, tokens), policy.v_head(states).float()
        columns.append((tokens, alive, logprobs, values, entropy(log_distribution)))
        alive = alive & (tokens != end_id)
        if not alive.any():
            break
    ids, mask, logprobs, values, entropies = (torch.stack(parts, dim=1) for parts in zip(*columns, strict=True))
    judged = PolicyOutput(*(torch.where(mask, part, 0.0) for part in (logprobs, values, entropies)))
    rows = [row[there].tolist() for row, there in zip(ids.cpu(), mask.cpu(), strict=True)]
    return Responses(rows, [row[-1] == end_id for row in rows], judged)


@torch.no_grad()
def _generate(
    policy: Policy,
    query_ids: Tensor,
    query_mask: Tensor,
    numbers: Tensor,
    settings: GenerationConfig,
    pad_id: int,
    end_id: int,
) -> Responses:
    """Writes by transformers' `generate`, whose random numbers are seeded with the first of ours."""
    devices = [query_ids.device] if query_ids.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(numbers[0, 0].item() * 2**53))
        model: Any = policy  # transformers' own annotation of `generate` takes a protocol that its models do not meet
        written = model.generate(
            input_ids=query_ids,
            attention_mask=query_mask.long(),
            do_sample=settings.num_beams == 1,
            max_new_tokens=settings.max_new_tokens,
            min_new_tokens=settings.min_new_tokens or None,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            num_beams=settings.num_beams,
            no_repeat_ngram_size=settings.no_repeat_ngram_size,
            repetition_penalty=settings.repetition_penalty,
            pad_token_id=pad_id,
            eos_token_id=end_id,
        )
    begin = policy.start_tokens or query_ids.shape[1]
    rows = []
    for row in written[:, begin:].tolist():
        rows.append(row[: row.index(end_id) + 1] if end_id in row else row)
    return Responses(rows, [bool(row) and row[-1] == end_id for row in rows])
