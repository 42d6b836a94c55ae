"""Loads pretrained models, completely or not at all and always in fp32, and their tokenizers and configurations.

Weights are fp32 because small steps vanish in bf16; autocast computes in the chosen precision. Everything that looptop
loads with a `from_pretrained` is loaded here, tokenizers and configurations as well, so that a model's own code is
never run and nobody is asked on the terminal whether to run it.

`from_pretrained` alone only warns about missing weights and initialises them, so a damaged model would be trained,
asked or used as a reward like a complete one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedTokenizerBase
from transformers.utils import logging

from looptop.engine.compute.out_of_memory import is_out_of_memory
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.damage import damage_of
from looptop.engine.models.folder_check import check_model_files, holds_weights, read_config
from looptop.engine.models.size_check import other_size, shapes_of_weights
from looptop.engine.models.tensor_shapes import ADVICE, damaged
from looptop.engine.models.value_types import shortened
from looptop.engine.text import counted, visible


def load_complete_model(
    load: Callable[..., Any],
    source: str | PathLike[str],
    may_be_new: Callable[[str], bool] = lambda name: False,
    **options: Any,
) -> Any:
    """Loads a model with `from_pretrained`, and refuses it if weights are missing.

    Args:
        load: The `from_pretrained` of a class.
        source: Hub name or local folder.
        may_be_new: Whether the folder may lack the weight of this name, or hold it in another shape; it is then
            initialised.
        **options: Passed on.

    Raises:
        LooptopError: Weights are damaged, missing, not finite or of another shape, the model is of a family that the
            class does not load, or something in the folder would run code.
        OSError: The model is neither on disk nor on the hub.
    """
    check_model_files(source, weights=True)
    _check_family(load, source, options)
    if Path(source).is_dir() and not holds_weights(Path(source)):
        raise LooptopError(f"{visible(source)} holds no weights: no model.safetensors; {ADVICE}")
    with quiet():
        model, info = _load(
            load,
            source,
            "the model in",
            output_loading_info=True,
            use_safetensors=True,  # never opens a pickle, not from the hub either
            ignore_mismatched_sizes=True,  # They are refused below, by their names.
            **{"dtype": torch.float32} | options,
        )
    if missing := sorted(name for name in info["missing_keys"] if not may_be_new(name)):
        more = f", and {counted(len(missing) - 1, 'more tensor')}" if len(missing) > 1 else ""
        raise LooptopError(
            f"the weights in {visible(source)} are incomplete: {visible(missing[0])} is missing{more}; {ADVICE}"
        )
    if misshaped := sorted(each for each in info["mismatched_keys"] if not may_be_new(each[0])):
        name, saved, expected = misshaped[0]
        have = "has" if len(misshaped) == 2 else "have"
        more = f"; {counted(len(misshaped) - 1, 'more tensor')} {have} a wrong shape" if len(misshaped) > 1 else ""
        raise LooptopError(
            f"the weights in {visible(source)} do not fit its config.json: {visible(name)} has the shape"
            f" {tuple(saved)} instead of {tuple(expected)}{more}; {ADVICE}"
        )
    refuse_no_numbers(model, source)
    return model


_USES = {
    "AutoModel": "an encoder",
    "AutoModelForCausalLM": "a decoder",
    "AutoModelForSequenceClassification": "a classifier of texts",
}
"""The use of the models that each of transformers' classes loads."""


def _check_family(load: Callable[..., Any], source: str | PathLike[str], options: dict[str, Any]) -> None:
    """Refuses a family that the class does not load, with a shorter message than transformers' list of all it does."""
    auto: Any = getattr(load, "__self__", None)
    families = getattr(auto, "_model_mapping", None)
    if families is None:
        return
    config = options.get("config")
    if config is None:
        given = {name: value for name, value in options.items() if name in ("local_files_only", "revision")}
        config = load_part(AutoConfig.from_pretrained, source, "the model in", **given)
    if type(config) not in families:
        raise LooptopError(
            f"the model in {visible(source)} is of the family '{visible(config.model_type)}', which cannot be used as"
            f" {_USES.get(auto.__name__, 'a model of this kind')}; name another model"
        )


def load_part(load: Callable[..., Any], source: str | PathLike[str], what: str, **options: Any) -> Any:
    """Loads a tokenizer, image processor or configuration, without running code of its own.

    Args:
        load: The `from_pretrained` of a class.
        source: Hub name or local folder.
        what: The beginning of an error message: "the tokenizer in".
        **options: Passed on.

    Raises:
        LooptopError: It is damaged, names code, or is a tokenizer without a vocabulary.
        OSError: It is neither on disk nor on the hub.
    """
    check_model_files(source)
    part = _load(load, source, what, **options)
    if isinstance(part, PreTrainedTokenizerBase) and not _has_vocabulary(part):
        raise LooptopError(
            f"{what} {visible(source)} has no vocabulary: its tokenizer.json, or the vocabulary file in its place, is"
            f" missing; {ADVICE}"
        )
    return part


def _has_vocabulary(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer has more than special tokens; without a vocabulary, transformers makes an empty one, or one
    with a single piece, such as the `▁` of a T5 at the beginning of a word.
    """
    return len(set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab()) - set(tokenizer.all_special_tokens)) > 1


def _load(load: Callable[..., Any], source: str | PathLike[str], what: str, **options: Any) -> Any:
    try:
        return load(source, trust_remote_code=False, **options)
    except (LooptopError, OSError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # safetensors, json and torch each have exceptions of their own for a damaged file.
        why = damage_of(source) or _refused_value(source) or _unfit_size(source)
        raise LooptopError(why or f"{what} {visible(source)} cannot be loaded: {error_text(error)}") from error


def _refused_value(source: str | PathLike[str]) -> str:
    """The first value in a folder's config.json that transformers refuses, in a sentence; empty if it refuses none."""
    file = Path(source) / "config.json"
    try:
        data = read_config(file)
    except LooptopError:
        return ""
    parts = {"": data} | {f"{key}.": part for key, part in data.items() if isinstance(part, dict)}
    for prefix, part in parts.items():
        family = str(part.get("model_type"))
        if family not in CONFIG_MAPPING:
            continue
        for key, value in part.items():
            try:
                setattr(CONFIG_MAPPING[family](), key, value)
            except StrictDataclassError:
                return (
                    f"{visible(file)} is damaged: {visible(prefix + key)} is {shortened(value)}, which a model of the"
                    f" family {family} cannot have; {ADVICE}"
                )
            except Exception:  # A key that is computed from others, an old name, or a family without default values.
                continue
    return ""


def _unfit_size(source: str | PathLike[str]) -> str:
    """The first size in a folder's config.json that its weights do not have, in a sentence; empty if there is none."""
    file = Path(source) / "config.json"
    try:
        why = other_size(read_config(file), shapes_of_weights(file.parent))
    except LooptopError:
        return ""
    return why and str(damaged(file, why))


def refuse_no_numbers(model: nn.Module, source: str | PathLike[str]) -> None:
    """Refuses a model whose weights are not all finite numbers: it would answer nonsense without an error.

    Raises:
        LooptopError: A weight is NaN or infinite; names it and the source.
    """
    for name, weight in model.named_parameters():
        # A sum needs no memory; it may overflow, so each number is only looked at where it is not finite.
        if not weight.detach().sum().isfinite() and not weight.detach().isfinite().all():
            raise LooptopError(
                f"the weights in {visible(source)} are not all numbers: {visible(name)} holds NaN or infinity, as after"
                " a training that went wrong; name another model or an earlier checkpoint"
            )


def is_pooler(name: str) -> bool:
    """Whether a weight belongs to an encoder's pooler, which many published encoders lack and few uses need."""
    return "pooler" in name.split(".")


@contextmanager
def quiet() -> Iterator[None]:
    """While the block runs: no progress bars, no report that a decoder's cross-attention is new (it must be)."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
