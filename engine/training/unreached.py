"""Freezes the parameters that no loss reaches: a ViT's or BERT's pooler, DINOv2's mask token, CLIP's last vision norm.

Names would have to be listed for each family of models. Instead one sample goes through the model, and autograd's graph
of its loss says which parameters have a part in it. No gradient is computed, so a model of the book's size takes
a fraction of a second and no further memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def freeze_unreached(model: nn.Module, loss: Callable[[], Tensor]) -> frozenset[str]:
    """Stops trainable parameters from being trained that have no part in a loss.

    The optimiser then keeps no moments for them, and processes that train together do not wait for their gradients.

    Args:
        model: Its frozen parameters stay frozen.
        loss: Computes the model's loss for any sample.

    Returns:
        The names of the parameters that were trainable and are not any more; kept as `model.unreached` too.
    """
    mode = model.training
    model.eval()  # No layer is dropped.
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
    """The ids of the leaves of a tensor's graph."""
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
    """The optimiser's state of a checkpoint from before these parameters were frozen, without their moments.

    Args:
        model: The model, after `freeze_unreached`.
        groups: The names of each of the optimiser's groups, those of the unreached parameters among them, in order.
        state: As the optimiser's `state_dict` wrote it; one that has no such moments is returned as it is.
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
