"""Which value in a model's JSON file has the wrong type, in a sentence. Imports no torch.

Only keys are known here of which every published model has values of one type, and with which transformers fails later
or in its own words. For the other values of `config.json`, transformers has checks of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from looptop.engine.text import visible

_MAX_CHARACTERS = 40
"""The longest value that a sentence repeats, in characters."""


class _Type(NamedTuple):
    holds: Callable[[Any], bool]
    words: str


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_or_more(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: all(map(holds, value)) if isinstance(value, list) else holds(value)


def _is_token(value: object) -> bool:
    return isinstance(value.get("content") if isinstance(value, dict) else value, str)


def _is_size(value: object) -> bool:
    sides = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return all(side is None or _is_whole(side) for side in sides)


_FLAG = _Type(lambda value: isinstance(value, bool), "true or false")
_WHOLE = _Type(_is_whole, "a whole number")
_NUMBER = _Type(_is_number, "a number")
_NUMBERS = _Type(_one_or_more(_is_number), "a number or a list of numbers")
_TEXT = _Type(lambda value: isinstance(value, str), "a text")
_TEXTS = _Type(_one_or_more(_TEXT.holds), "a list of texts")
_TABLE = _Type(lambda value: isinstance(value, dict), "an object")
_TABLES = _Type(lambda value: isinstance(value, list) and all(map(_TABLE.holds, value)), "a list of objects")
_LIST = _Type(lambda value: isinstance(value, list), "a list")
_LIST_OR_TABLE = _Type(lambda value: isinstance(value, list | dict), "a list or an object")
_TOKEN = _Type(_is_token, "a text, or an object with a text as its content")
_TEXT_OR_TABLE = _Type(lambda value: isinstance(value, str | dict), "a text or an object")
_TOKENS = _Type(_one_or_more(_is_whole), "a token's number or a list of them")
_SIZE = _Type(_is_size, "a whole number, or height and width as whole numbers")

_CONFIG = {
    **dict.fromkeys(("model_type", "activation_function", "hidden_act", "activation", "dense_act_fn"), _TEXT),
    **dict.fromkeys(("return_dict", "output_attentions", "output_hidden_states", "is_gated_act"), _FLAG),
    **dict.fromkeys(("dtype", "torch_dtype"), _TEXT_OR_TABLE),
    **dict.fromkeys(("id2label", "label2id", "text_config", "vision_config", "decoder_config"), _TABLE),
    "architectures": _TEXTS,
    "chunk_size_feed_forward": _WHOLE,
}
_IMAGES = {
    **dict.fromkeys(("image_processor_type", "feature_extractor_type"), _TEXT),
    **dict.fromkeys(("do_resize", "do_rescale", "do_normalize", "do_center_crop"), _FLAG),
    **dict.fromkeys(("size", "crop_size"), _SIZE),
    **dict.fromkeys(("image_mean", "image_std"), _NUMBERS),
    "resample": _WHOLE,
    "rescale_factor": _NUMBER,
}
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_TOKENIZER_CONFIG = {
    **dict.fromkeys(_SPECIAL_TOKENS, _TOKEN),
    **dict.fromkeys(("add_prefix_space", "do_lower_case", "strip_accents", "tokenize_chinese_chars"), _FLAG),
    "tokenizer_class": _TEXT,
    "model_max_length": _NUMBER,
    "extra_ids": _WHOLE,
    "extra_special_tokens": _LIST_OR_TABLE,
    "added_tokens_decoder": _TABLE,
}
_GENERATION = {
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"), _TOKENS),
    **dict.fromkeys(("output_attentions", "output_hidden_states", "output_scores", "use_cache", "do_sample"), _FLAG),
}
_TOKENIZER = {
    **dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"), _TABLE),
    "version": _TEXT,
    "added_tokens": _TABLES,
    "model": _TABLE,
}
_TOKENIZER_MODEL = {
    **dict.fromkeys(("type", "continuing_subword_prefix", "end_of_word_suffix"), _TEXT),
    **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), _FLAG),
    "dropout": _NUMBER,
    "merges": _LIST,
    "vocab": _LIST_OR_TABLE,
}
_ADDED_TOKEN = {
    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), _FLAG),
    "id": _WHOLE,
    "content": _TEXT,
}


_NEVER_NULL = {
    "added_tokens_decoder",
    "chunk_size_feed_forward",
    "dense_act_fn",
    "extra_ids",
    "model_type",
    "return_dict",
}
"""Keys that may be missing, but with whose `null` transformers fails."""


def wrong_value(name: str, data: Mapping[str, Any]) -> str:
    """The first value of the wrong type in a model's JSON file, in words; empty if none is known to be.

    `null` counts as missing wherever transformers then takes its default.

    Args:
        name: The file's name, which says what keys it has.
        data: What it holds.
    """
    for table, prefix, types in _checks(name, data):
        for key, expected in types.items():
            value = table.get(key)
            missing = value is None and (key not in table or key not in _NEVER_NULL)
            if not missing and not expected.holds(value):
                return f"{prefix}{key} is {shortened(value)}, and must be {expected.words}"
    return ""


_Check = tuple[Mapping[str, Any], str, Mapping[str, _Type]]
"""A table, the beginning of its keys in a sentence, and the types of its values."""


def _checks(name: str, data: Mapping[str, Any]) -> Iterator[_Check]:
    match name:
        case "config.json":
            yield data, "", _CONFIG
            for key, part in data.items():
                if isinstance(part, dict) and "model_type" in part:
                    yield part, f"{visible(key)}.", _CONFIG
        case "preprocessor_config.json":
            yield data, "", _IMAGES
        case "tokenizer_config.json":
            yield data, "", _TOKENIZER_CONFIG
        case "generation_config.json":
            yield data, "", _GENERATION
        case "tokenizer.json":
            yield data, "", _TOKENIZER
            yield data.get("model") or {}, "model.", _TOKENIZER_MODEL
            for index, token in enumerate(data.get("added_tokens") or ()):
                yield token, f"added_tokens[{index}].", _ADDED_TOKEN


def shortened(value: object) -> str:
    """A value of a JSON file as it stands there, safe to show; a long one is cut."""
    text = visible(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
