"""Loads the policy, the reference and the tokenizer of a PPO run."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from looptop.engine.compute.out_of_memory import is_out_of_memory
from looptop.engine.config.ppo import PolicyConfig, PpoRunConfig
from looptop.engine.config.types import Kernels
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.damage import damage_of
from looptop.engine.models.folder_check import check_model_files
from looptop.engine.models.names import adapted_from, resolve, resolve_adapters
from looptop.engine.models.tensor_shapes import ADVICE
from looptop.engine.models.weights import load_complete_model, load_part, quiet, refuse_no_numbers
from looptop.engine.ppo.fast_t5 import use_fast_kernels
from looptop.engine.ppo.policy import POLICIES, Policy, T5Policy
from looptop.engine.ppo.reference import AdapterOff, Frozen, inner
from looptop.engine.text import visible


def load_policy(
    source: str | os.PathLike[str], device: torch.device | str = "cpu", kernels: Kernels = "fast", **options: Any
) -> Policy:
    """A policy from a saved policy or a plain model, on the device on which it will compute.

    Args:
        source: Hub name or local folder. From a folder of adapters, the model is loaded with the adapters merged in.
        device: Where the policy will compute.
        kernels: `fast` replaces parts of a T5 on a CPU by those of `fast_t5`; other models stay unchanged.
        **options: Passed to `from_pretrained` (`local_files_only`, `dtype`, `attn_implementation`, ...).

    Raises:
        LooptopError: The model is of another family, its decoder begins with no token of its vocabulary, or its weights
            are damaged or incomplete.
        OSError: The model is neither on disk nor available from the hub.
    """
    base = adapted_from(source)
    if base is not None:
        check_model_files(source, weights=True)
        resolve_adapters(base)  # Raises if the chain of adapters is too long.
        return _merge_adapters(load_policy(base, device, kernels, **options), Path(source))
    with quiet():  # transformers warns of the start token that is refused below
        config = load_part(
            AutoConfig.from_pretrained,
            source,
            "the configuration in",
            local_files_only=options.get("local_files_only", False),
        )
    if config.model_type not in POLICIES:
        raise LooptopError(
            f"'{visible(source)}' is of type '{visible(config.model_type)}';"
            f" a policy must be one of: {', '.join(sorted(POLICIES))}"
        )
    if config.model_type == "t5":
        _check_start_token(config, source)
    policy: Policy = load_complete_model(
        POLICIES[config.model_type].from_pretrained,
        source,
        may_be_new=lambda name: name.startswith("v_head."),
        **options,
    )
    policy.to(device)  # type: ignore[arg-type]  # transformers' decorator hides the signature
    if kernels == "fast" and isinstance(policy, T5Policy) and torch.device(device).type == "cpu":
        use_fast_kernels(policy)
    return policy


def _check_start_token(config: Any, source: str | os.PathLike[str]) -> None:
    """Refuses a T5 whose decoder begins with no token of its vocabulary."""
    start, size = config.decoder_start_token_id, config.vocab_size
    if not isinstance(start, int) or not 0 <= start < size:
        raise LooptopError(
            f"the model in {visible(source)} has the decoder_start_token_id {visible(start)}, and its vocabulary has"
            f" the tokens 0 to {size - 1}; correct its config.json"
        )


def load_policy_and_reference(
    config: PolicyConfig, device: torch.device | str
) -> tuple[nn.Module, Policy, Frozen | AdapterOff]:
    """Policy and reference, both on the device on which they will compute.

    Returns:
        What is trained (a policy, or a `PeftModel` around it), the policy itself, and the reference.

    Raises:
        LooptopError: A model cannot be loaded or is of another family, or `peft` is needed and not installed.
    """
    policy = _load_named("policy", config.policy, device, config.kernels)
    reference = _load_named("reference", config.reference, device, config.kernels) if config.reference else None
    if not config.lora_rank:
        return policy, policy, Frozen(reference or copy.deepcopy(policy))
    adapted = add_adapters(policy, config)
    return adapted, inner(adapted), Frozen(reference) if reference is not None else AdapterOff(adapted)


def load_tokenizer(name: str) -> Any:
    """A policy's tokenizer.

    Raises:
        LooptopError: The tokenizer cannot be loaded.
    """
    try:
        return load_part(AutoTokenizer.from_pretrained, resolve(name), "the tokenizer in")
    except (OSError, ValueError) as error:
        raise LooptopError(f"the tokenizer of {visible(name)} cannot be loaded: {error_text(error)}") from None


def max_query_length(policy: Policy, config: PpoRunConfig) -> int:
    """The most tokens of a query that the policy can take; the setting if the model sets no limit.

    Raises:
        LooptopError: The model has no position left for a query beside a response.
    """
    positions = getattr(policy.config, "n_positions", None) if not policy.start_tokens else None
    if positions is None:  # Relative positions: only memory limits a query's length.
        return config.data.max_query_tokens
    length = int(positions) - config.generation.max_new_tokens
    if length < 1:
        raise LooptopError(
            f"the policy has {positions} positions and generation.max_new_tokens is"
            f" {config.generation.max_new_tokens}; lower generation.max_new_tokens"
        )
    return length


def _load_named(role: str, name: str, device: torch.device | str, kernels: Kernels) -> Policy:
    try:
        return load_policy(resolve(name), device, kernels)
    except (OSError, ValueError) as error:
        raise LooptopError(
            f"the {role} {visible(name)} cannot be loaded: {error_text(error)};"
            " name a T5 or GPT-2 model in a local folder or check your connection to the Hugging Face hub"
        ) from None


def add_adapters(policy: Policy, config: PolicyConfig) -> nn.Module:
    """The policy wrapped with new, untrained adapters.

    Raises:
        LooptopError: `peft` is not installed, or the policy has no such layers.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise LooptopError("model.lora_rank is set, and that needs peft; install it with `pip install peft`") from None
    adapters = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,  # type: ignore[arg-type]  # peft annotates this as int, but a float works too
        lora_dropout=0.0,
        target_modules=list(config.lora_modules) or None,
        modules_to_save=["v_head"],
    )
    try:
        return get_peft_model(policy, adapters)
    except ValueError as error:
        raise LooptopError(f"model.lora_modules does not fit the policy: {error_text(error)}") from None


def _merge_adapters(policy: Policy, folder: Path) -> Policy:
    """The policy with the adapters of a folder merged into it."""
    try:
        from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    except ImportError:
        raise LooptopError(
            f"{visible(folder)} holds adapters, and that needs peft; install it with `pip install peft`"
        ) from None
    try:
        adapted: Any = get_peft_model(policy, LoraConfig.from_pretrained(str(folder)))
        weights = load_file(folder / "adapter_model.safetensors")
        loaded: Any = set_peft_model_state_dict(adapted, weights)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # peft, safetensors and json each have exceptions of their own for a damaged file.
        why = damage_of(folder) or f"the adapters in {visible(folder)} cannot be loaded: {error_text(error)}"
        raise LooptopError(why) from error
    missing = sorted(name for name in loaded.missing_keys if "lora_" in name or "modules_to_save" in name)
    if missing:
        raise LooptopError(
            f"the adapters in {visible(folder)} are incomplete: {visible(missing[0])} is missing; {ADVICE}"
        )
    if loaded.unexpected_keys:
        raise LooptopError(
            f"the adapters in {visible(folder)} belong to another model: {visible(policy.name_or_path)} has no"
            f" {visible(min(loaded.unexpected_keys))}; correct base_model_name_or_path in its adapter_config.json"
        )
    merged: Policy = adapted.merge_and_unload().requires_grad_(True)
    refuse_no_numbers(merged, folder)
    merged.name_or_path = str(folder)
    return merged
