"""Counts the memory of one training step without making it: operations run on tensors that have a shape but no memory.

Autograd itself decides what is kept for the backward pass, so the count follows the model's real operations: dropout's
masks, attention kernels, mixed precision, frozen parts. `FakeTensorMode` gives every operation's result its shape and
device; a dispatch mode sees each result and when it is freed. Both are parts of PyTorch:
https://docs.pytorch.org/docs/stable/torch.compiler_fake_tensor.html. The method is that of PyTorch's own
`torch.distributed._tools.mem_tracker`.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class StepMemory:
    """The memory of a training step, in bytes."""

    weights: int
    gradients: int
    activations: int
    """The most that a step holds at once besides weights and gradients: its batch, what autograd keeps for the backward
    pass, and intermediate results."""
    peak: int
    """The most that weights, gradients and activations take together at one moment, which can be less than their sum:
    gradients appear while activations are freed."""


class MemoryTrace(TorchDispatchMode):
    """Follows the memory of all tensors that operations make while it is active.

    Args:
        model: Its weights and buffers were there before; operations on them also return views of their memory.

    Attributes:
        held: Bytes now.
        most: The most bytes at one moment.
        most_besides: The most bytes at one moment besides those of `apart`.
        apart: Bytes of gradients, which `set_apart` counts.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.most = self.most_besides = self.apart = 0
        self._known = WeakIdKeyDictionary()
        for tensor in (*model.parameters(), *model.buffers()):
            self._known[tensor.untyped_storage()] = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation, and counts the new memory of its results."""
        result = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self.add, result)
        return result

    def add(self, tensor: Tensor) -> None:
        """Counts a tensor's memory, once, until it is freed."""
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = size
        self.held += size
        self._measure()
        weakref.finalize(storage, self._free, size)

    def set_apart(self, parameter: Tensor) -> None:
        """Counts a parameter's new gradient apart."""
        if parameter.grad is not None:
            self.apart += parameter.grad.untyped_storage().nbytes()

    def _measure(self) -> None:
        self.most = max(self.most, self.held)
        self.most_besides = max(self.most_besides, self.held - self.apart)

    def _free(self, size: int) -> None:
        self.held -= size


def step_memory(
    build: Callable[[], tuple[nn.Module, Callable[[], Tensor]]],
    *,
    accumulates: bool = False,
    precision: str = "fp32",
) -> StepMemory:
    """The memory of a training step.

    Args:
        build: Makes the model, and a function that makes a batch and returns its loss. Both run on tensors without
            memory, so their values cannot be read.
        accumulates: Whether a step adds up the gradients of several batches, so that a forward pass already meets them.
        precision: `fp32`, `bf16` or `fp16`, as autocast computes in.

    Raises:
        Exception: The model does something that needs values.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        model, loss_of_a_batch = build()
        parameters = list(model.parameters())
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        weights = sum(_bytes(parameter) for parameter in parameters)
        trace = MemoryTrace(model)
        hooks = [each.register_post_accumulate_grad_hook(_once(trace.set_apart)) for each in trained]
        with trace, _autocast(precision):
            for _ in range(2 if accumulates else 1):
                loss = loss_of_a_batch()
                loss.backward()
                del loss
        for hook in hooks:
            hook.remove()
    return StepMemory(
        weights=weights,
        gradients=sum(_bytes(parameter) for parameter in trained),
        activations=trace.most_besides,
        peak=weights + trace.most,
    )


def stages_memory(build: Callable[[], tuple[nn.Module, Iterator[object]]], *, precision: str = "fp32") -> list[int]:
    """The most memory, in bytes, that each stage of a computation without gradients takes at once besides weights.

    Args:
        build: Makes the model, and an iterator that computes the stages one after another.
        precision: As for `step_memory`.

    Raises:
        Exception: The model does something that needs values.
    """
    peaks = []
    with FakeTensorMode(allow_non_fake_inputs=True):
        model, stages = build()
        trace = MemoryTrace(model)
        with torch.no_grad(), trace, _autocast(precision):
            for _ in stages:
                peaks.append(trace.most)
                trace.most = trace.held
    return peaks


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _once(call: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
    """Calls with each tensor only the first time: later batches add to the same gradient."""
    seen: set[int] = set()

    def called(tensor: Tensor) -> None:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            call(tensor)

    return called


@contextlib.contextmanager
def _autocast(precision: str) -> Iterator[None]:
    types: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in types:
        yield
        return
    with torch.autocast("cpu", types[precision]):
        yield
