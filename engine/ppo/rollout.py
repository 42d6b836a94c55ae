"""Writes responses: the first stage of a PPO batch (fig 7.12).

PPO samples from the model itself. Each response has random numbers of its own, made from a seed and from its position
in the run. So a resumed run, or another batch size, gives the same response again, and a reference with the same
numbers differs only where its probabilities differ. While the model writes, it already computes what PPO needs of each
token (log-probability, value, entropy): no second pass is needed.

A configuration that does not sample from the model itself (beams, a minimum length, ...) is left to transformers'
`generate`; its KL means little, and the run warns of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from looptop.engine.config.ppo import GenerationConfig
from looptop.engine.errors import LooptopError
from looptop.engine.models.token_text import known_ids
from looptop.engine.ppo.algorithm import entropy, token_logprobs
from looptop.engine.ppo.batch import pad_queries
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.policy import Policy, PolicyOutput, without_dropout
from looptop.engine.runs.messages import packable

TRAINING, HELD_OUT, COMPARED = 0, 1, 2
"""The purposes of random numbers; each purpose has a stream of its own."""


@dataclass(frozen=True)
class SpecialIds:
    """The ids that pad and end texts.

    Attributes:
        pad_id: Any id of the vocabulary; masks say which positions are padding.
        end_id: The end-of-sequence token.
    """

    pad_id: int
    end_id: int

    @classmethod
    def of(cls, tokenizer: Any, name: str) -> SpecialIds:
        """The special ids of a tokenizer.

        Raises:
            LooptopError: The tokenizer has no end-of-sequence token.
        """
        end = tokenizer.eos_token_id
        if end is None:
            raise LooptopError(f"the tokenizer of {name} has no end-of-sequence token; a policy needs one to stop")
        return cls(end if tokenizer.pad_token_id is None else tokenizer.pad_token_id, end)


@packable
@dataclass(frozen=True)
class Responses:
    """Responses as token ids.

    Attributes:
        ids: Token ids of each response, its end-of-sequence token included if it has one.
        ended: Whether each response has its end; the others were cut at the longest length allowed.
        output: The policy's output for these tokens, computed while it wrote them, `[batch, longest response]`; None
            if it is not known.
    """

    ids: list[list[int]]
    ended: list[bool]
    output: PolicyOutput | None = None


@packable
@dataclass(frozen=True)
class Rollout:
    """Queries and their responses.

    Attributes:
        queries: One per sample.
        responses: The responses as token ids.
        texts: The responses as texts, without special tokens.
    """

    queries: Sequence[Query]
    responses: Responses
    texts: list[str]


def uniforms(seed: int, purpose: int, step: int, rows: Sequence[int], count: int) -> Tensor:
    """Random numbers from 0 to 1 for samples of a run, `[rows, count]`, float64 on the CPU.

    Args:
        seed: The run's seed.
        purpose: `TRAINING`, `HELD_OUT` or `COMPARED`.
        step: The batch's step.
        rows: The samples' rows in the batch.
        count: How many numbers a sample needs.
    """
    sources = [np.random.Generator(np.random.Philox([seed, (purpose << 48) + step, row, 0])) for row in rows]
    return torch.from_numpy(np.stack([source.random(count) for source in sources]))


def roll_out(
    policy: Policy,
    queries: Sequence[Query],
    numbers: Tensor,
    settings: GenerationConfig,
    tokenizer: Any,
    special: SpecialIds,
) -> Rollout:
    """Writes a response to each query, as tokens and as text.

    Args:
        policy: The model, not wrapped.
        queries: What to respond to.
        numbers: Random numbers from `uniforms`, `[samples, max_new_tokens]`.
        settings: How to write.
        tokenizer: The policy's tokenizer.
        special: The tokenizer's special ids.
    """
    ids = [query.ids for query in queries]
    responses = write(policy, ids, numbers, settings, pad_id=special.pad_id, end_id=special.end_id)
    texts = tokenizer.batch_decode([known_ids(tokenizer, row) for row in responses.ids], skip_special_tokens=True)
    return Rollout(queries, responses, [text.strip() for text in texts])


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
    """Samples each token from the model's whole distribution, by inverting the cumulative probabilities.

    Args:
        policy: The model, dropout off.
        query_ids: `[batch, query length]`, padded as in `Batch`.
        query_mask: The same shape, true where there is a token.
        numbers: `[batch, longest response]`, from 0 to 1.
        end_id: The end-of-sequence token, which ends a response.
    """
    numbers = numbers.to(query_ids.device)
    decoder = policy.start_decoding(query_ids, query_mask)
    unfinished = torch.ones(len(query_ids), dtype=torch.bool, device=query_ids.device)
    tokens: Tensor | None = None
    columns: list[tuple[Tensor, ...]] = []
    for column in range(numbers.shape[1]):
        states = decoder.next_states(tokens)
        tokens, *figures = draw(policy, states, numbers[:, column : column + 1])
        columns.append((tokens, unfinished, *figures))
        unfinished = unfinished & (tokens != end_id)
        if not unfinished.any():
            break
    ids, mask, logprobs, values, entropies = (torch.stack(parts, dim=1) for parts in zip(*columns, strict=True))
    output = PolicyOutput(*(torch.where(mask, part, 0.0) for part in (logprobs, values, entropies)))
    rows = [row[kept].tolist() for row, kept in zip(ids.cpu(), mask.cpu(), strict=True)]
    return Responses(rows, [row[-1] == end_id for row in rows], output)


def draw(policy: Policy, states: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws the next token of each response.

    Args:
        policy: The model.
        states: The decoder's last states, `[batch, hidden size]`.
        numbers: `[batch, 1]`, from 0 to 1.

    Returns:
        The tokens, their log-probabilities, values and entropies, `[batch]` each.
    """
    log_distribution = policy.logits(states).float().log_softmax(-1)
    cumulative = log_distribution.exp().cumsum(-1, dtype=torch.float64)
    threshold = numbers * cumulative[:, -1:]
    tokens = (cumulative <= threshold).sum(-1).clamp(max=cumulative.shape[-1] - 1)
    return tokens, token_logprobs(log_distribution, tokens), policy.v_head(states).float(), entropy(log_distribution)


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
    """Writes with transformers' `generate`, whose random numbers are seeded with the first of ours."""
    devices = [query_ids.device] if query_ids.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(numbers[0, 0].item() * 2**53))
        model: Any = policy  # transformers' own annotation of `generate` takes a protocol that its models do not have
        generated = model.generate(
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
    for row in generated[:, begin:].tolist():
        rows.append(row[: row.index(end_id) + 1] if end_id in row else row)
    return Responses(rows, [bool(row) and row[-1] == end_id for row in rows])
