"""Measures a policy on a set of queries, such as the held-out ones: responses, KL, scores and their means."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.policy import Policy
from looptop.engine.ppo.rewards import Scores, mean_quality, qualities, rewards_of
from looptop.engine.ppo.rollout import Rollout, roll_out, uniforms
from looptop.engine.ppo.step import Setup, compare
from looptop.engine.runs.messages import packable
from looptop.engine.runs.processes import ALONE, Processes


@packable
@dataclass(frozen=True)
class ResponseBatch:
    """Some of the queries with a policy's responses, before these are scored.

    Attributes:
        rollout: Queries and responses.
        kl: Each response's distance to the reference, in nats.
    """

    rollout: Rollout
    kl: list[float]


@dataclass(frozen=True)
class ScoredResponses:
    """The responses to a set of queries and what was measured of them, sample by sample.

    Attributes:
        rollouts: Queries and responses, in batches.
        scores: The scores, by the name of the reward's part.
        rewards: The weighted sums of the scores.
        kl: Each response's distance to the reference, in nats.
        quality: For each response the figures of the data's own judge (the newsroom's, for example, compares it with
            the article), and the share of other responses that differ; see `qualities`.
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
        """Whether each response has its end."""
        return [ended for part in self.rollouts for ended in part.responses.ended]

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
            **mean_quality(self.quality),
        }


@dataclass(frozen=True)
class PolicyEvaluator:
    """Answers queries with fixed random numbers, apart from the run's own, and measures the responses.

    Attributes:
        setup: Reference, reward, tokenizer and settings.
        batch_size: Queries that are answered together.
    """

    setup: Setup
    batch_size: int

    def __call__(self, policy: Policy, queries: Sequence[Query], purpose: int) -> ScoredResponses:
        """Measures a policy's responses.

        Args:
            policy: The model, not wrapped.
            queries: What to respond to; each has the random numbers of its index here.
            purpose: Which random numbers: `HELD_OUT` or `COMPARED`. Each purpose has its own, so an evaluation takes
                none from training.
        """
        return self.score(queries, self.answer(policy, queries, purpose))

    @torch.no_grad()
    def answer(
        self,
        policy: Policy,
        queries: Sequence[Query],
        purpose: int,
        on_progress: Callable[[int, int], object] = lambda done, total: None,
        processes: Processes = ALONE,
    ) -> list[ResponseBatch]:
        """The first half of measuring: responses and their KL, in batches, in order.

        Args:
            policy: The model, not wrapped.
            queries: The queries to respond to.
            purpose: Which random numbers: `HELD_OUT` or `COMPARED`. Each purpose has its own, so an evaluation takes
                none from training.
            on_progress: Called before each round of batches with the number of queries done and their total; may
                raise to stop.
            processes: The processes that have a copy of the policy; in a round each answers one batch.
        """
        batches: list[ResponseBatch] = []
        rounds = range(0, len(queries), self.batch_size * processes.count)
        for begin in rounds:
            on_progress(begin, len(queries))
            first = begin + processes.index * self.batch_size
            asked = queries[first : first + self.batch_size]
            if asked:
                numbers = uniforms(
                    self.setup.seed,
                    purpose,
                    step=0,  # The same numbers whenever these queries are answered.
                    rows=range(first, first + len(asked)),
                    count=self.setup.generation.max_new_tokens,
                )
                part = roll_out(policy, asked, numbers, self.setup.generation, self.setup.tokenizer, self.setup.special)
                kl = self._kl(policy, part)
                batches.append(ResponseBatch(replace(part, responses=replace(part.responses, output=None)), kl))
        gathered = processes.gather(batches)  # For each process its batches, one a round.
        return [part[index] for index in range(len(rounds)) for part in gathered if index < len(part)]

    def score(self, queries: Sequence[Query], batches: Sequence[ResponseBatch]) -> ScoredResponses:
        """The second half: scores and figures of the responses."""
        rollouts = [part.rollout for part in batches]
        ended = [ended for part in rollouts for ended in part.responses.ended]
        texts, responses = [query.text for query in queries], [text for part in rollouts for text in part.texts]
        scores = self.setup.reward.score(texts, responses)
        rewards = rewards_of(self.setup.reward, scores, ended, self.setup.generation)
        kl = [value for part in batches for value in part.kl]
        return ScoredResponses(rollouts, scores, rewards, kl, qualities(self.setup.quality, texts, responses))

    def _kl(self, policy: Policy, part: Rollout) -> list[float]:
        batch = Batch.of(
            [query.ids for query in part.queries],
            part.responses.ids,
            pad_id=self.setup.special.pad_id,
            end_id=self.setup.special.end_id,
            start_tokens=policy.start_tokens,
        ).to(policy.device)
        comparison = compare(policy, self.setup.reference, batch, self.setup.ppo, part.responses.output)
        kl: list[float] = torch.where(batch.mask, comparison.kl, 0.0).sum(dim=1).tolist()
        return kl
