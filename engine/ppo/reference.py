"""The frozen reference that the policy is held close to: a model of its own, or the policy without its adapters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from looptop.engine.ppo.policy import Policy, PolicyOutput


class Reference(Protocol):
    """Gives a policy's outputs for responses, and can write responses itself."""

    def __call__(self, **inputs: Any) -> PolicyOutput:
        """The outputs of a policy's forward pass for given `response_ids`."""
        ...

    def as_policy(self) -> AbstractContextManager[Policy]:
        """The reference as a model that can write responses, while the block runs."""
        ...


class Frozen:
    """A reference that is a model of its own."""

    def __init__(self, model: Policy) -> None:
        self.model = model.requires_grad_(False)
        self.model.train(False)

    def __call__(self, **inputs: Any) -> PolicyOutput:
        """The model's outputs for responses."""
        output: PolicyOutput = self.model(**inputs)
        return output

    def as_policy(self) -> AbstractContextManager[Policy]:
        """The model itself."""
        return nullcontext(self.model)


class AdapterOff:
    """A reference that is the policy itself with its adapters off; the value head, which is trained, is not used.

    Args:
        model: The `PeftModel`.
    """

    def __init__(self, model: Any) -> None:
        self.adapted = model

    def __call__(self, **inputs: Any) -> PolicyOutput:
        """The model's outputs for responses without its adapters."""
        with self.adapted.disable_adapter():
            output: PolicyOutput = self.adapted(**inputs)
        return output

    @contextmanager
    def as_policy(self) -> Iterator[Policy]:
        """The policy, its adapters off while the block runs."""
        with self.adapted.disable_adapter():
            yield inner(self.adapted)


def inner(model: Any) -> Policy:
    """The policy itself, without its wrappers."""
    while not hasattr(model, "start_tokens") or hasattr(model, "get_base_model"):
        model = model.get_base_model() if hasattr(model, "get_base_model") else model.module
    policy: Policy = model
    return policy
