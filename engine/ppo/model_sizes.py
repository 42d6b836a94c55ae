"""Counts the weights of a PPO or reward-model run's models before they are loaded, for `engine.models.memory`."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, AutoModelForSequenceClassification

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.models.memory import ModelSize, build_empty, size_of
from looptop.engine.models.names import resolve, resolve_adapters
from looptop.engine.models.weights import load_part
from looptop.engine.ppo.policy import POLICIES, Policy


def ppo_sizes(config: PpoRunConfig, copies: int = 1, *, with_rewards: bool = True) -> list[ModelSize]:
    """The sizes of the policy, the reference and the reward models; adapters are too small to count.

    Args:
        config: The run's configuration.
        copies: How many processes hold policy and reference in the same memory.
        with_rewards: Also count the reward models, which only the first process loads.
    """
    model = config.model
    adapted = bool(model.lora_rank)
    sizes = _policy_size(f"the policy {model.policy}", model.policy, copies, is_trained=not adapted)
    if model.reference:
        sizes += _policy_size(f"the reference {model.reference}", model.reference, copies)
    elif not adapted:
        sizes += _policy_size("the reference, its copy,", model.policy, copies)
    for part in config.rewards if with_rewards else ():
        if part.model:
            sizes += _classifier_size(f"the reward model {part.model}", part.model)
    return sizes


def ppo_memory_advice(config: PpoRunConfig) -> list[str]:
    """What a person can do if the models of a PPO run do not fit into memory."""
    return ["choose smaller models", *([] if config.model.lora_rank else ["set model.lora_rank"])]


def reward_sizes(config: RewardRunConfig, copies: int = 1) -> list[ModelSize]:
    """The size of the classifier that a reward-model run trains."""
    name = config.model.classifier
    return _classifier_size(f"the classifier {name}", name, copies, is_trained=True, num_labels=1)


def _policy_size(what: str, name: str, copies: int, *, is_trained: bool = False) -> list[ModelSize]:
    model = build_empty(what, lambda: _policy(name))
    if model is None:
        return []
    return [size_of(what, model, is_trained=is_trained, copies=copies)]


def _classifier_size(
    what: str, name: str, copies: int = 1, *, is_trained: bool = False, **options: Any
) -> list[ModelSize]:
    model = build_empty(what, lambda: _classifier(name, **options))
    return [] if model is None else [size_of(what, model, is_trained=is_trained, copies=copies)]


def _policy(name: str) -> Policy:
    config = load_part(AutoConfig.from_pretrained, resolve_adapters(resolve(name)), "the configuration in")
    return POLICIES[config.model_type](config)


def _classifier(name: str, **options: Any) -> Any:
    config = load_part(AutoConfig.from_pretrained, resolve(name), "the configuration in", **options)
    return AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
