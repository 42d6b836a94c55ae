"""Computes how much memory a run's models need before they are loaded, and refuses a run whose models cannot fit.

A model is built from its configuration on torch's meta device, where tensors have a shape but no memory. Only the
minimum is counted: the weights, and for trained weights the gradients and Adam's two moments. Activations come on top.
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
from looptop.engine.text import count_text, join_text, visible

if TYPE_CHECKING:
    from looptop.engine.compute.device import Device
    from looptop.engine.runs.context import RunContext

M = TypeVar("M")

_log = logging.getLogger("looptop.memory")

BYTES_PER_NUMBER = torch.float32.itemsize
"""Bytes of a weight, a gradient or a moment: every model of a run is loaded in fp32."""

MOMENTS_PER_WEIGHT = {"adamw_torch": 2, "adamw_torch_fused": 2, "adamw_apex_fused": 2}
"""How many numbers an optimiser (`training.optim`) keeps for each trained weight. Other optimisers keep fewer or
smaller ones; they count as none."""


@dataclass(frozen=True)
class ModelSize:
    """The size of one model of a run.

    Attributes:
        name: The model's role in the run and its own name: "the policy bundled:summariser".
        parameters: Number of all parameters.
        trained: Number of trained parameters.
        copies: How many of the run's processes hold the model in the same memory.
    """

    name: str
    parameters: int
    trained: int = 0
    copies: int = 1

    def bytes_needed(self, optimizer: str) -> int:
        """The least memory, in bytes, that the model takes while it is trained with this optimiser."""
        numbers = 1 + MOMENTS_PER_WEIGHT.get(optimizer, 0)
        return self.copies * BYTES_PER_NUMBER * (self.parameters + numbers * self.trained)


def build_empty(what: str, build: Callable[[], M]) -> M | None:
    """Builds a model from its configuration, without memory for its weights.

    Args:
        what: What to call the model in the log.
        build: Builds the model; called on the meta device.

    Returns:
        The model; None if it cannot be built, for example because its configuration cannot be read. Loading the model
        later reports the reason.
    """
    try:
        with torch.device("meta"):
            return build()
    except Exception:
        _log.debug("%s cannot be counted before it is loaded", what, exc_info=True)
        return None


def size_of(name: str, model: nn.Module, *, is_trained: bool = False, copies: int = 1) -> ModelSize:
    """The size of a model that `build_empty` has built, or of a part of one.

    Args:
        name: The model's role in the run and its own name.
        model: The model.
        is_trained: Whether the weights that require a gradient are trained.
        copies: How many of the run's processes hold the model in the same memory.
    """
    weights = _weights_of(model)
    return ModelSize(
        name,
        parameters=sum(each.numel() for each in weights),
        trained=sum(each.numel() for each in weights if each.requires_grad and is_trained),
        copies=copies,
    )


def _weights_of(model: Any) -> list[nn.Parameter]:
    weights: list[nn.Parameter] = list(model.parameters())
    own_head = not getattr(getattr(model, "config", None), "scale_decoder_outputs", True)
    if own_head and hasattr(model, "lm_head"):
        # A T5 of version 1.1 has a separate head. transformers only learns that from the weights; a model built from
        # the configuration alone shares the head with the embedding.
        weights.append(model.lm_head.weight)
    return weights


def check_memory(
    context: RunContext,
    device: Device,
    sizes_for: Callable[[int], Sequence[ModelSize]],
    optimizer: str,
    advice: Sequence[str],
) -> None:
    """Refuses a run whose models need more than the free memory; otherwise journals both figures.

    Args:
        context: The run.
        device: The device of this process.
        sizes_for: Given the number of processes sharing memory, returns this process's model sizes.
        optimizer: The value of `training.optim`.
        advice: What a person can do if the models do not fit into memory.

    Raises:
        LooptopError: The models cannot fit; names the size of each, the needed and the free memory.
    """
    if device.torch_device.startswith("cuda"):
        _check(context, device.torch_device, sizes_for(1), optimizer, advice)
        return
    # The processes of a run share the machine's memory: the first checks for all, before any of them loads a model.
    processes = context.processes
    all_advice = [*advice, "start fewer processes (training.processes)"] if processes.several else advice
    processes.decide(lambda: _check(context, device.torch_device, sizes_for(processes.count), optimizer, all_advice))


def _check(
    context: RunContext, torch_device: str, sizes: Sequence[ModelSize], optimizer: str, advice: Sequence[str]
) -> None:
    if not sizes:
        return
    needed = sum(size.bytes_needed(optimizer) for size in sizes)
    free = free_bytes(torch_device)
    contents = _counted_contents(any(size.trained for size in sizes), optimizer)
    if needed > free:
        several = len(sizes) > 1 or sizes[0].copies > 1
        do_not, need = ("models do not", "they need") if several else ("model does not", "it needs")
        raise LooptopError(
            f"the {do_not} fit on {torch_device}: {join_text([_describe(size) for size in sizes], 'and')};"
            f" {need} at least {bytes_text(needed)} ({contents}), but only {bytes_text(free)} is free;"
            f" {join_text([*advice, 'use another device'], 'or')}"
        )
    context.journal.event(
        "memory",
        f"models need at least {bytes_text(needed)} on {torch_device} ({contents}); {bytes_text(free)} is free",
    )


def _describe(size: ModelSize) -> str:
    text = f"{visible(size.name)} has {count_text(size.parameters)} parameters"
    return f"{text} in each of {size.copies} processes" if size.copies > 1 else text


def _counted_contents(is_trained: bool, optimizer: str) -> str:
    """What the memory is counted for, in words."""
    if not is_trained:
        return "weights"
    return "weights, gradients and Adam's moments" if optimizer in MOMENTS_PER_WEIGHT else "weights and gradients"
