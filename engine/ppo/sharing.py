"""Divides a PPO batch among the processes of a run: each computes some samples, and all of them get all results.

So every figure, loss and decision covers the whole batch in every process, however many processes there are. In a run
of one process, the usual case, these functions only call what they are given.
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


def own_rows(count: int, processes: Processes) -> range:
    """The contiguous block of row indices, out of `count`, that this process computes.

    `count` must be divisible by the number of processes.
    """
    size = count // processes.count
    return range(processes.index * size, (processes.index + 1) * size)


def gather_rollout(own: Rollout, processes: Processes) -> Rollout:
    """All queries and responses of a batch, in order.

    The policy's outputs stay in the process that wrote the responses.

    Args:
        own: The responses that this process wrote.
        processes: All processes of the run.
    """
    if not processes.several:
        return own
    parts = processes.gather(replace(own, responses=replace(own.responses, output=None)))
    responses = Responses(
        [ids for part in parts for ids in part.responses.ids], [end for part in parts for end in part.responses.ended]
    )
    return Rollout([query for part in parts for query in part.queries], responses, [t for p in parts for t in p.texts])


def compute_across_processes(compute: Callable[[Batch], T], batch: Batch, processes: Processes) -> T:
    """The result of `compute` for all samples; each process computes its own rows.

    Args:
        compute: Returns tensors of `[samples, response length]` for some of the samples.
        batch: All samples.
        processes: All processes of the run.
    """
    if not processes.several:
        return compute(batch)
    rows = torch.tensor(own_rows(len(batch), processes), device=batch.mask.device)
    own = compute(batch.select(rows))
    return type(own)(*(_gather(getattr(own, part.name), rows, batch.mask, processes) for part in fields(own)))


def forward_across_processes(
    policy: Any, batch: Batch, rows: Tensor, length: int, processes: Processes
) -> PolicyOutput:
    """The policy's output for some samples, with gradients only for the rows that this process computes.

    Args:
        policy: A policy, or a wrapper of one.
        batch: All samples.
        rows: Indices of the samples to compute, `[samples]`; they are divided among the processes.
        length: The number of tokens of the longest response among these samples.
        processes: All processes of the run.
    """
    if not processes.several:
        output: PolicyOutput = policy(**batch.select(rows).model_inputs())
        return output
    own = torch.arange(processes.index, len(rows), processes.count, device=rows.device)
    # With fewer samples than processes, a process without a sample computes the first one and ignores the output: DDP
    # waits for gradients from every process.
    inputs = batch.select(rows[own] if len(own) else rows[:1])
    output = policy(**inputs.model_inputs())
    parts = []
    for part in output[:3]:
        padded = pad(part, (0, length - part.shape[1]))
        zeros = padded.new_zeros(len(rows), length)
        # Sum detached values over all processes, then overwrite this process's rows with values that carry gradients.
        # Adding 0 * sum changes no value, but keeps the graph connected in a process without a row: DDP needs that.
        values = processes.total(zeros.index_copy(0, own, padded.detach()[: len(own)]))
        parts.append(values.index_copy(0, own, padded[: len(own)]) + 0 * padded.sum())
    return PolicyOutput(*parts)


def _gather(own: Tensor, rows: Tensor, mask: Tensor, processes: Processes) -> Tensor:
    whole = torch.zeros(mask.shape, dtype=own.dtype, device=own.device)
    whole[rows, : own.shape[1]] = own
    return processes.total(whole)
