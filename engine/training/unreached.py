"""Freezes the parameters that no loss reaches: a ViT's or BERT's pooler, DINOv2's mask token, CLIP's last vision norm.

A list of names would be needed for each family of models. Instead, one sample goes through the model, and the autograd
graph of its loss shows which parameters it depends on. No gradient is computed, so this takes a fraction of a second
and no extra memory for a model of the book's size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def freeze_unreached(model: nn.Module, loss: Callable[[], Tensor]) -> frozenset[str]:
    """Freezes the trainable parameters that a loss does not depend on.

    The optimiser then keeps no moments for them, and the processes of a run do not wait for their gradients.

    Args:
        model: Its frozen parameters stay frozen.
        loss: Computes the model's loss for any sample.

    Returns:
        The names of the parameters that it froze; also stored as `model.unreached`.
    """
    mode = model.training
    model.eval()  # so that no layer is dropped
    try:
        with torch.enable_grad():
            reached = _reached(loss())
    finally:
        model.train(mode)
    names = {name for name, p in model.named_parameters() if p.requires_grad and id(p) not in reached}
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.requires_grad = False
    model.unreached = frozenset(names)  # type: ignore[assignment]  # a plain attribute
    return frozenset(names)


def _reached(loss: Tensor) -> set[int]:
    """The Python ids of the leaves of a tensor's autograd graph."""
    waiting: list[Any] = [loss.grad_fn]
    seen: set[Any] = set()
    leaves: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [function for function, _ in node.next_functions]
    return leaves


def without_unreached(model: nn.Module, groups: list[list[str]], state: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state without the moments of unreached parameters, which older checkpoints hold.

    Args:
        model: The model, after `freeze_unreached`.
        groups: The parameter names of each optimiser group, in order, with those of the unreached parameters.
        state: The optimiser's `state_dict`; returned unchanged if it holds no such moments.
    """
    unreached: frozenset[str] = getattr(model, "unreached", frozenset())
    sizes = [len(group["params"]) for group in state["param_groups"]]
    if not unreached or sizes != [len(names) for names in groups]:
        return state
    kept_groups: list[dict[str, Any]] = []
    numbers: dict[int, int] = {}
    for group, names in zip(state["param_groups"], groups, strict=True):
        kept = [number for number, name in zip(group["params"], names, strict=True) if name not in unreached]
        kept_groups.append({**group, "params": list(range(len(numbers), len(numbers) + len(kept)))})
        numbers |= {old: len(numbers) + index for index, old in enumerate(kept)}
    moments = {numbers[old]: value for old, value in state["state"].items() if old in numbers}
    return {**state, "param_groups": kept_groups, "state": moments}
