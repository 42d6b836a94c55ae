"""How the processes of a run share a PPO batch: each computes some of the samples, and all get all the results.

So every figure, loss and decision is that of the whole batch, in every process, and a batch is the same however many
processes make it. Where a run is one process, as nearly always, these functions only call what they are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.policy import PolicyOutput
from looptop.engine.ppo.rollout import Responses, Rollout
from looptop.engine.runs.processes import Processes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")


def share(count: int, processes: Processes) -> range:
    """This process's samples of `count`: as many as each other process has, next to each other."""
    size = count // processes.count
    return range(processes.index * size, (processes.index + 1) * size)


def gather_rollout(mine: Rollout, processes: Processes) -> Rollout:
    """All of a batch's queries and responses, in order, from the share that each process wrote.

    The policy's outputs stay with the process that wrote the responses.
    """
    if not processes.several:
        return mine
    parts = processes.gather(replace(mine, responses=replace(mine.responses, output=None)))
    responses = Responses(
        [ids for part in parts for ids in part.responses.ids], [end for part in parts for end in part.responses.ended]
    )
    return Rollout([query for part in parts for query in part.queries], responses, [t for p in parts for t in p.texts])


def compute_shared(compute: Callable[[Batch], T], batch: Batch, processes: Processes) -> T:
    """What `compute` gives for all samples, of which each process computes its share.

    Args:
        compute: Gives tensors of `[samples, response length]` for some of the samples.
        batch: All of them.
        processes: The run's.
    """
    if not processes.several:
        return compute(batch)
    rows = torch.tensor(share(len(batch), processes), device=batch.mask.device)
    mine = compute(batch.select(rows))
    return type(mine)(*(_gather(getattr(mine, part.name), rows, batch.mask, processes) for part in fields(mine)))


def forward_shared(policy: Any, batch: Batch, rows: Tensor, length: int, processes: Processes) -> PolicyOutput:
    """The policy's output for some samples, with a gradient for those that this process computes.

    Args:
        policy: A policy, or a wrapper of one.
        batch: All samples.
        rows: Which of them, `[samples]`; the processes share these.
        length: Of the longest of their responses.
        processes: The run's.
    """
    if not processes.several:
        output: PolicyOutput = policy(**batch.select(rows).model_inputs())
        return output
    own = torch.arange(processes.index, len(rows), processes.count, device=rows.device)
    # With fewer samples than processes, one that has none computes the first and uses nothing of it: DDP waits for a
    # gradient from every process.
    mine = batch.select(rows[own] if len(own) else rows[:1])
    output = policy(**mine.model_inputs())
    parts = []
    for part in output[:3]:
        wide = pad(part, (0, length - part.shape[1]))
        zeros = wide.new_zeros(len(rows), length)
        # All samples' numbers, without a gradient; then this process's own rows again, with theirs. The sum times 0
        # changes no number: it ties the result to the policy where the process has no row.
        everyone = processes.total(zeros.index_copy(0, own, wide.detach()[: len(own)]))
        parts.append(everyone.index_copy(0, own, wide[: len(own)]) + 0 * wide.sum())
    return PolicyOutput(*parts)


def _gather(mine: Tensor, rows: Tensor, like: Tensor, processes: Processes) -> Tensor:
    whole = torch.zeros(like.shape, dtype=mine.dtype, device=mine.device)
    whole[rows, : mine.shape[1]] = mine
    return processes.total(whole)
