"""Goes through a model's parameters, quickly: torch's own generators look for each one's name too."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def parameters_of(root: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of a module and of all that it is made of; one that stands at two places comes twice."""
    modules = [root]
    for module in modules:
        modules.extend(child for child in module._modules.values() if child is not None)
        for parameter in module._parameters.values():
            if parameter is not None:
                yield parameter
