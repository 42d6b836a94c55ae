"""Counts what the models of a run need before they are loaded, and refuses a run whose models cannot fit.

A model is built from its configuration alone on torch's meta device, where tensors have a shape and no memory. What is
counted is the least: weights, and of trained weights the gradient and Adam's two moments. Activations come on top.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from looptop.engine.errors import LooptopError
from looptop.engine.machine.free_memory import bytes_text, free_bytes
from looptop.engine.text import join_text, visible

if TYPE_CHECKING:
    from looptop.engine.compute.device import Device
    from looptop.engine.runs.context import RunContext

M = TypeVar("M")

_log = logging.getLogger("looptop.memory")

BYTES = torch.float32.itemsize
"""Of a weight, a gradient or a moment: every model of a run is loaded in fp32."""

MOMENTS = {"adamw_torch": 2, "adamw_torch_fused": 2, "adamw_apex_fused": 2}
"""Numbers that an optimiser (`training.optim`) keeps for each trained weight. Others keep fewer, or smaller ones: they
are counted as none."""


@dataclass(frozen=True)
class ModelSize:
    """What one model of a run takes.

    Attributes:
        name: What the model is to the run, and its own name: "the policy bundled:summariser".
        parameters: Of the whole model.
        trained: Those that are trained.
        copies: How many of the run's processes hold the model in the same memory.
    """

    name: str
    parameters: int
    trained: int = 0
    copies: int = 1

    def bytes_needed(self, optimizer: str) -> int:
        """The least memory that it takes while it is trained with this optimiser."""
        numbers = 1 + MOMENTS.get(optimizer, 0)
        return self.copies * BYTES * (self.parameters + numbers * self.trained)


def build_empty(what: str, build: Callable[[], M]) -> M | None:
    """Builds a model from its configuration, without memory for its weights.

    Args:
        what: The model, for the log.
        build: Builds it; called on the meta device.

    Returns:
        The model; None where it cannot be built, as where its configuration cannot be read. Whoever loads it says why.
    """
    try:
        with torch.device("meta"):
            return build()
    except Exception:
        _log.debug("%s cannot be counted before it is loaded", what, exc_info=True)
        return None


def size_of(name: str, model: nn.Module, *, trained: bool = False, copies: int = 1) -> ModelSize:
    """Counts a model that `build_empty` has built, or a part of one.

    Args:
        name: See `ModelSize`.
        model: The model.
        trained: Whether it is trained: those of its weights that require a gradient.
        copies: See `ModelSize`.
    """
    weights = _weights_of(model)
    return ModelSize(
        name,
        parameters=sum(each.numel() for each in weights),
        trained=sum(each.numel() for each in weights if each.requires_grad and trained),
        copies=copies,
    )


def _weights_of(model: Any) -> list[nn.Parameter]:
    weights: list[nn.Parameter] = list(model.parameters())
    own_head = not getattr(getattr(model, "config", None), "scale_decoder_outputs", True)
    if own_head and hasattr(model, "lm_head"):
        # A T5 of version 1.1 has a head of its own. transformers notices that when it loads the weights; built from
        # the configuration alone, the head is the embedding.
        weights.append(model.lm_head.weight)
    return weights


def check_fit(
    context: RunContext,
    device: Device,
    count: Callable[[int], Sequence[ModelSize]],
    optimizer: str,
    ways_out: Sequence[str],
) -> None:
    """Compares what the models of a run need with what is free, and journals both.

    Args:
        context: The run.
        device: Where this process computes.
        count: Counts the models of this process; receives how many processes hold each model in the same memory.
        optimizer: As `training.optim`.
        ways_out: What a person can do about models that are too large.

    Raises:
        LooptopError: They cannot fit; says how large each is, what is needed and what is free.
    """
    if device.torch_device.startswith("cuda"):
        _check(context, device.torch_device, count(1), optimizer, ways_out)
        return
    # The processes of a run share the machine's memory: the first counts for all, before any of them loads a model.
    processes = context.processes
    ways = [*ways_out, "start fewer processes (training.processes)"] if processes.several else ways_out
    processes.decide(lambda: _check(context, device.torch_device, count(processes.count), optimizer, ways))


def _check(
    context: RunContext, torch_device: str, sizes: Sequence[ModelSize], optimizer: str, ways_out: Sequence[str]
) -> None:
    if not sizes:
        return
    needed = sum(size.bytes_needed(optimizer) for size in sizes)
    free = free_bytes(torch_device)
    purpose = _purpose(any(size.trained for size in sizes), optimizer)
    if needed > free:
        several = len(sizes) > 1 or sizes[0].copies > 1
        do_not, need = ("models do not", "they need") if several else ("model does not", "it needs")
        raise LooptopError(
            f"the {do_not} fit on {torch_device}: {join_text([_describe(size) for size in sizes], 'and')};"
            f" for {purpose} {need} at least {bytes_text(needed)}, and {bytes_text(free)} are free;"
            f" {join_text([*ways_out, 'use another device'], 'or')}"
        )
    context.journal.event(
        "memory",
        f"models need at least {bytes_text(needed)} on {torch_device} for {purpose}; {bytes_text(free)} are free",
    )


def count_text(count: int) -> str:
    """A number of parameters for a person: "371,521", "124.4 million", "11.0 billion"."""
    if count >= 10**9:
        return f"{count / 10**9:,.1f} billion"
    return f"{count / 10**6:,.1f} million" if count >= 10**6 else f"{count:,}"


def _describe(size: ModelSize) -> str:
    of = f"{visible(size.name)} has {count_text(size.parameters)} parameters"
    return f"{of} in each of {size.copies} processes" if size.copies > 1 else of


def _purpose(trains: bool, optimizer: str) -> str:
    if not trains:
        return "weights"
    return "weights, gradients and Adam" if optimizer in MOMENTS else "weights and gradients"
