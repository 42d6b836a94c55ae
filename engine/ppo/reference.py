"""The policy that is trained and the frozen reference that it is held to: two models, or one with adapters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import nn

from looptop.engine.config.ppo import PolicyConfig
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.names import resolve
from looptop.engine.ppo.policy import Policy, PolicyOutput, load_policy
from looptop.engine.text import visible


class Reference(Protocol):
    """Says of responses what a policy says, and answers queries."""

    def __call__(self, **inputs: Any) -> PolicyOutput:
        """See `Policy`'s `forward`, given `response_ids`."""
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
        """What the model says of responses."""
        said: PolicyOutput = self.model(**inputs)
        return said

    def as_policy(self) -> AbstractContextManager[Policy]:
        """The model."""
        return nullcontext(self.model)


class AdapterOff:
    """A reference that is the policy itself with its adapters off. Its value head is the policy's, and is not asked.

    Args:
        model: The `PeftModel`.
    """

    def __init__(self, model: Any) -> None:
        self.adapted = model

    def __call__(self, **inputs: Any) -> PolicyOutput:
        """What the model says of responses without its adapters."""
        with self.adapted.disable_adapter():
            said: PolicyOutput = self.adapted(**inputs)
        return said

    @contextmanager
    def as_policy(self) -> Iterator[Policy]:
        """The policy, its adapters off while the block runs."""
        with self.adapted.disable_adapter():
            yield inner(self.adapted)


def load(config: PolicyConfig, device: torch.device | str) -> tuple[nn.Module, Policy, Frozen | AdapterOff]:
    """Policy and reference, both on the device that they will compute on.

    Returns:
        What is trained (a policy, or a `PeftModel` around it), the policy itself, and the reference.

    Raises:
        LooptopError: A model cannot be loaded, is of another family, or `peft` is wanted and not installed.
    """
    policy = _policy(config.policy, device)
    reference = _policy(config.reference, device) if config.reference else None
    if not config.lora_rank:
        return policy, policy, Frozen(reference or copy.deepcopy(policy))
    adapted = _adapted(policy, config)
    return adapted, inner(adapted), Frozen(reference) if reference is not None else AdapterOff(adapted)


def inner(model: Any) -> Policy:
    """The policy itself, without what was wrapped around it."""
    while not hasattr(model, "start_tokens") or hasattr(model, "get_base_model"):
        model = model.get_base_model() if hasattr(model, "get_base_model") else model.module
    policy: Policy = model
    return policy


def _policy(name: str, device: torch.device | str) -> Policy:
    try:
        return load_policy(resolve(name), device)
    except (OSError, ValueError) as error:
        raise LooptopError(
            f"the policy {visible(name)} cannot be loaded: {error_text(error)};"
            " name a T5 or GPT-2 model in a local folder or connect to the hub"
        ) from None


def _adapted(policy: Policy, config: PolicyConfig) -> nn.Module:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise LooptopError("model.lora_rank is set, and that needs peft; install it with `pip install peft`") from None
    chosen = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,  # type: ignore[arg-type]  # a whole number by its annotation, any by its arithmetic
        lora_dropout=0.0,
        target_modules=list(config.lora_modules) or None,
        modules_to_save=["v_head"],
    )
    try:
        return get_peft_model(policy, chosen)
    except ValueError as error:
        raise LooptopError(f"model.lora_modules does not fit the policy: {error_text(error)}") from None
