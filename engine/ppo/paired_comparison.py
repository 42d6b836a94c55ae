"""Measures before and after (fig 7.14): reference and tuned model on the same unseen queries, with the same numbers.

Each query is its own control: differences are paired, with a bootstrap interval and Wilcoxon's signed-rank test, which
the book does not have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import wilcoxon

from looptop.engine.compute.device import pick
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.models.names import resolve
from looptop.engine.ppo.before_after import CompareFigure, ComparePair, CompareResult
from looptop.engine.ppo.data import load_unseen
from looptop.engine.ppo.loading import load_policy, load_tokenizer, max_query_length
from looptop.engine.ppo.policy_evaluator import PolicyEvaluator, ScoredResponses
from looptop.engine.ppo.reference import Frozen
from looptop.engine.ppo.rewards import Reward
from looptop.engine.ppo.rollout import COMPARED, SpecialIds
from looptop.engine.ppo.step import Setup
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

RESAMPLES = 10_000
"""The number of resamples of the bootstrap."""


def compare_with_reference(
    run: RunFolder, count: int, data: str | None = None, device: str = "auto", seed: int | None = None
) -> CompareResult:
    """Compares a run's result with its reference.

    Args:
        run: A PPO run that has a result or a whole checkpoint.
        count: The largest number of queries.
        data: Other queries than the run's own unseen ones: a file, a data set's name, `newsroom:SEED`.
        device: Where to compute.
        seed: The seed of the random numbers; the run's by default.

    Raises:
        LooptopError: The run is of another kind or has no model yet, or the data cannot be read.
    """
    config = run.config()
    if not isinstance(config, PpoRunConfig):
        raise LooptopError(f"{run.id} is a {config.kind} run; only PPO runs have a reference to compare with")
    compute_device = pick(device, "fp32")
    compute_device.apply()
    tuned, before = (
        load_policy(resolve(name), compute_device.torch_device, config.model.kernels)
        for name in (run.name, config.model.reference or config.model.policy)
    )
    tokenizer = load_tokenizer(config.model.policy)
    queries, quality = load_unseen(
        config.data, tokenizer, max_query_length(tuned, config), config.training.seed, count, data
    )
    setup = Setup(
        Frozen(before),
        Reward.load(config.rewards, compute_device.torch_device),
        quality,
        tokenizer,
        SpecialIds.of(tokenizer, config.model.policy),
        config.generation,
        config.ppo,
        config.training.seed if seed is None else seed,
    )
    evaluate = PolicyEvaluator(setup, config.training.per_device_eval_batch_size)
    asked = [queries[index] for index in range(len(queries))]
    first, second = (evaluate(policy, asked, COMPARED) for policy in (before, tuned))
    rows = [
        ComparePair(
            index=query.index,
            query=query.text,
            before=first.texts[number],
            after=second.texts[number],
            reward_before=first.rewards[number],
            reward_after=second.rewards[number],
            scores_before={name: values[number] for name, values in first.scores.items()},
            scores_after={name: values[number] for name, values in second.scores.items()},
            kl=second.kl[number],
        )
        for number, query in enumerate(asked)
    ]
    source = data or config.data.source
    return CompareResult(run.id, len(rows), setup.seed, visible(source), rows, figures(first, second))


def figures(before: ScoredResponses, after: ScoredResponses) -> dict[str, CompareFigure]:
    """Every figure over all pairs: the reward, each score, KL, length, figures of quality, distinctness."""
    result = {"reward": compare_pairs(before.rewards, after.rewards)}
    result |= {name: compare_pairs(values, after.scores[name]) for name, values in before.scores.items()}
    result["kl"] = compare_pairs(before.kl, after.kl)
    lengths = [[float(len(ids)) for part in side.rollouts for ids in part.responses.ids] for side in (before, after)]
    result["length"] = compare_pairs(*lengths)
    result["ended"] = compare_pairs([float(x) for x in before.ended], [float(x) for x in after.ended])
    for name in before.quality[0]:
        if name != "distinct":
            result[name] = compare_pairs([row[name] for row in before.quality], [row[name] for row in after.quality])
    # A figure of all responses together: nothing can be paired.
    one, two = (len(set(side.texts)) / len(side.texts) for side in (before, after))
    nan = float("nan")
    result["distinct"] = CompareFigure(one, two, two - one, nan, nan, nan, len(before.texts))
    return result


def compare_pairs(before: Sequence[float], after: Sequence[float]) -> CompareFigure:
    """Means, mean paired difference, its 95 % bootstrap interval (percentiles), and Wilcoxon's two-sided p.

    Args:
        before: One number per query.
        after: One number per query, in the same order.
    """
    one, two = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    difference = two - one
    resampled = np.random.default_rng(0).integers(len(difference), size=(RESAMPLES, len(difference)))
    low, high = np.quantile(difference[resampled].mean(axis=1), [0.025, 0.975])
    p = float(wilcoxon(difference).pvalue) if np.any(difference) else float("nan")
    return CompareFigure(
        float(one.mean()), float(two.mean()), float(difference.mean()), float(low), float(high), p, len(difference)
    )
