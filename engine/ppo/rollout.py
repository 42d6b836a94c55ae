"""Responses to queries, with all that is measured of them: for a batch of PPO, for the held-out queries, for before and
after.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from looptop.engine.config.ppo import GenerationConfig, PpoSettings
from looptop.engine.errors import LooptopError
from looptop.engine.models.token_text import known_ids
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.compare import compare
from looptop.engine.ppo.data import Quality, Query
from looptop.engine.ppo.generation import Responses, uniforms, write
from looptop.engine.ppo.policy import Policy
from looptop.engine.ppo.reference import Reference
from looptop.engine.ppo.rewards import Reward, Scores
from looptop.engine.runs.messages import packable
from looptop.engine.runs.processes import ALONE, Processes


@dataclass(frozen=True)
class Ends:
    """The ids that begin, fill and end texts.

    Attributes:
        pad_id: Any id of the vocabulary; masks say where it stands.
        end_id: The end-of-sequence token.
    """

    pad_id: int
    end_id: int

    @classmethod
    def of(cls, tokenizer: Any, name: str) -> Ends:
        """Those of a tokenizer.

        Raises:
            LooptopError: It has no end-of-sequence token.
        """
        end = tokenizer.eos_token_id
        if end is None:
            raise LooptopError(f"the tokenizer of {name} has no end-of-sequence token; a policy needs one to stop")
        return cls(end if tokenizer.pad_token_id is None else tokenizer.pad_token_id, end)


@packable
@dataclass(frozen=True)
class Rollout:
    """Queries and what was written to them.

    Attributes:
        queries: One a sample.
        responses: Their token ids, and what was said of these.
        texts: The responses as texts, without special tokens.
    """

    queries: Sequence[Query]
    responses: Responses
    texts: list[str]


def roll_out(
    policy: Policy, queries: Sequence[Query], numbers: Tensor, settings: GenerationConfig, tokenizer: Any, ends: Ends
) -> Rollout:
    """Writes responses.

    Args:
        policy: The model, not wrapped.
        queries: What to respond to.
        numbers: Random numbers from `uniforms`, `[samples, max_new_tokens]`.
        settings: How to write.
        tokenizer: The policy's.
        ends: Its special ids.
    """
    ids = [query.ids for query in queries]
    responses = write(policy, ids, numbers, settings, pad_id=ends.pad_id, end_id=ends.end_id)
    texts = tokenizer.batch_decode([known_ids(tokenizer, row) for row in responses.ids], skip_special_tokens=True)
    return Rollout(queries, responses, [text.strip() for text in texts])


def qualities(rollout: Rollout, quality: Quality | None) -> list[dict[str, float]]:
    """What the data's own judge says of each response; and `distinct`, the share of the other responses that differ."""
    others = len(rollout.texts) - 1
    seen = Counter(rollout.texts)
    return [
        (quality(query.text, text) if quality else {}) | {"distinct": 1 - (seen[text] - 1) / others if others else 1.0}
        for query, text in zip(rollout.queries, rollout.texts, strict=True)
    ]


def rewards_of(reward: Reward, scores: Scores, ended: Sequence[bool], settings: GenerationConfig) -> list[float]:
    """The weighted sums of scores, less the penalty where a response was cut."""
    return [
        total - (0.0 if whole else settings.cut_penalty)
        for total, whole in zip(reward.total(scores), ended, strict=True)
    ]


@packable
@dataclass(frozen=True)
class Answered:
    """A part of a set of queries with what a policy wrote, before it is scored.

    Attributes:
        rollout: Queries and responses.
        kl: Each response's distance to the reference, in nats.
    """

    rollout: Rollout
    kl: list[float]


@dataclass(frozen=True)
class Measured:
    """What a set of queries was answered with, sample by sample.

    Attributes:
        rollouts: In parts of a batch.
        scores: By the name of what gave them.
        rewards: The weighted sums.
        kl: Each response's distance to the reference, in nats.
        quality: The data's own judge.
    """

    rollouts: list[Rollout]
    scores: Scores
    rewards: list[float]
    kl: list[float]
    quality: list[dict[str, float]]

    @property
    def texts(self) -> list[str]:
        """The responses."""
        return [text for part in self.rollouts for text in part.texts]

    @property
    def ended(self) -> list[bool]:
        """Whether each came to its end."""
        return [whole for part in self.rollouts for whole in part.responses.ended]

    def figures(self) -> dict[str, float]:
        """The means, by name."""
        lengths = [len(ids) for part in self.rollouts for ids in part.responses.ids]
        return {
            "reward": statistics.fmean(self.rewards),
            "reward_std": statistics.stdev(self.rewards) if len(self.rewards) > 1 else 0.0,
            "kl": statistics.fmean(self.kl),
            "length": statistics.fmean(lengths),
            "cut": 1 - statistics.fmean(self.ended),
            "distinct": len(set(self.texts)) / len(self.texts),
            **{f"scores/{name}": statistics.fmean(values) for name, values in self.scores.items()},
            **means(self.quality, "quality/", leave_out=("distinct",)),
        }


def means(rows: Sequence[Mapping[str, float]], prefix: str, leave_out: Sequence[str] = ()) -> dict[str, float]:
    """The mean of each figure over samples, under its name behind the prefix."""
    names = [name for name in (rows[0] if rows else {}) if name not in leave_out]
    return {prefix + name: statistics.fmean(row[name] for row in rows) for name in names}


@dataclass(frozen=True)
class Measure:
    """Answers queries with fixed random numbers and measures the answers; the run's own random numbers are not touched.

    Attributes:
        reference: What KL is measured to.
        reward: What gives the scores.
        quality: The data's own judge.
        tokenizer: The policy's.
        ends: Its special ids.
        generation: How to write.
        ppo: The kind of KL.
        seed: The run's.
        at_once: Queries that are answered at once.
    """

    reference: Reference
    reward: Reward
    quality: Quality | None
    tokenizer: Any
    ends: Ends
    generation: GenerationConfig
    ppo: PpoSettings
    seed: int
    at_once: int

    def __call__(self, policy: Policy, queries: Sequence[Query], purpose: int) -> Measured:
        """Measures what a policy answers.

        Args:
            policy: The model, not wrapped.
            queries: What to respond to; each has the random numbers of its place here.
            purpose: Whose random numbers: `HELD_OUT` or `COMPARED`.
        """
        return self.judge(queries, self.answer(policy, queries, purpose))

    @torch.no_grad()
    def answer(
        self,
        policy: Policy,
        queries: Sequence[Query],
        purpose: int,
        between: Callable[[int, int], object] = lambda done, total: None,
        processes: Processes = ALONE,
    ) -> list[Answered]:
        """The first half of measuring: responses and their KL, in parts of `at_once`, in order.

        Args:
            policy: As in `__call__`.
            queries: As in `__call__`.
            purpose: As in `__call__`.
            between: Called before each round of parts, with the queries that are done and all; may raise to leave.
            processes: Those that have a copy of the policy; in a round each answers a part.
        """
        mine: list[Answered] = []
        rounds = range(0, len(queries), self.at_once * processes.count)
        for begin in rounds:
            between(begin, len(queries))
            first = begin + processes.index * self.at_once
            some = queries[first : first + self.at_once]
            if some:
                numbers = uniforms(
                    self.seed, purpose, 0, range(first, first + len(some)), self.generation.max_new_tokens
                )
                part = roll_out(policy, some, numbers, self.generation, self.tokenizer, self.ends)
                kl = self._kl(policy, part)
                mine.append(Answered(replace(part, responses=replace(part.responses, judged=None)), kl))
        parts = processes.gather(mine)
        return [theirs[turn] for turn in range(len(rounds)) for theirs in parts if turn < len(theirs)]

    def judge(self, queries: Sequence[Query], answered: Sequence[Answered]) -> Measured:
        """The second half: what the answers are worth."""
        rollouts = [part.rollout for part in answered]
        ended = [whole for part in rollouts for whole in part.responses.ended]
        whole = Rollout(
            queries,
            Responses([ids for part in rollouts for ids in part.responses.ids], ended),
            [text for part in rollouts for text in part.texts],
        )
        scores = self.reward.score([query.text for query in queries], whole.texts)
        rewards = rewards_of(self.reward, scores, ended, self.generation)
        kl = [value for part in answered for value in part.kl]
        return Measured(rollouts, scores, rewards, kl, qualities(whole, self.quality))

    def _kl(self, policy: Policy, part: Rollout) -> list[float]:
        batch = Batch.of(
            [query.ids for query in part.queries],
            part.responses.ids,
            pad_id=self.ends.pad_id,
            end_id=self.ends.end_id,
            start_tokens=policy.start_tokens,
        ).to(policy.device)
        comparison = compare(policy, self.reference, batch, self.ppo, part.responses.judged)
        kl: list[float] = torch.where(batch.mask, comparison.kl, 0.0).sum(dim=1).tolist()
        return kl
