"""How a run's processes share a PPO batch: each passes some samples through its copy of the model, and all know all of
what came out.

So every figure, loss and decision is that of the whole batch, in every process, and a batch is the same whether one
process makes it or several do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.compare import Comparison
from looptop.engine.ppo.generation import Responses
from looptop.engine.ppo.policy import PolicyOutput
from looptop.engine.ppo.rollout import Rollout
from looptop.engine.runs.processes import Processes


def share(count: int, processes: Processes) -> range:
    """The samples of `count` that are this process's: as many as the others', in one piece."""
    size = count // processes.count
    return range(processes.index * size, (processes.index + 1) * size)


def whole_rollout(mine: Rollout, processes: Processes) -> Rollout:
    """All of a batch's queries and responses, of which each process wrote some, in their order.

    What was said of the responses while they were written stays with the process that wrote them.
    """
    if not processes.several:
        return mine
    parts = processes.gather(replace(mine, responses=replace(mine.responses, judged=None)))
    responses = Responses(
        [ids for part in parts for ids in part.responses.ids], [end for part in parts for end in part.responses.ended]
    )
    return Rollout([query for part in parts for query in part.queries], responses, [t for p in parts for t in p.texts])


def whole_comparison(compare: Callable[[Batch], Comparison], batch: Batch, processes: Processes) -> Comparison:
    """What policy and reference say of all samples, of which each process asks about its share.

    Args:
        compare: Asks about some of the samples.
        batch: All of them.
        processes: The run's.
    """
    if not processes.several:
        return compare(batch)
    rows = torch.tensor(share(len(batch), processes), device=batch.mask.device)
    mine = compare(batch.select(rows))
    return Comparison(*(_all(getattr(mine, part.name), rows, batch.mask, processes) for part in fields(mine)))


def said_of_all(policy: Any, batch: Batch, rows: Tensor, length: int, processes: Processes) -> PolicyOutput:
    """What the policy says of some samples, with a gradient for those that this process passes through it.

    Args:
        policy: A policy, or a wrapper of one.
        batch: All samples.
        rows: Which of them, `[samples]`; it is these that are shared.
        length: Of the longest of their responses.
        processes: The run's.
    """
    if not processes.several:
        said: PolicyOutput = policy(**batch.select(rows).model_inputs())
        return said
    places = torch.arange(processes.index, len(rows), processes.count, device=rows.device)
    # Fewer samples than processes: one that has none passes the first through and adds nothing of it.
    mine = batch.select(rows[places] if len(places) else rows[:1])
    now = policy(**mine.model_inputs())
    parts = []
    for part in now[:3]:
        wide = pad(part, (0, length - part.shape[1]))
        nothing = wide.new_zeros(len(rows), length)
        whole = processes.total(nothing.index_copy(0, places, wide.detach()[: len(places)]))
        parts.append(whole.index_copy(0, places, wide[: len(places)]) + 0 * wide.sum())
    return PolicyOutput(*parts)


def _all(mine: Tensor, rows: Tensor, like: Tensor, processes: Processes) -> Tensor:
    whole = torch.zeros(like.shape, dtype=mine.dtype, device=mine.device)
    whole[rows, : mine.shape[1]] = mine
    return processes.total(whole)
