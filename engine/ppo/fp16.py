"""Which models cannot be computed in fp16: a T5's activations are larger than fp16 can hold."""

from __future__ import annotations

from collections.abc import Iterable

from transformers import PreTrainedConfig

from looptop.engine.models.names import resolve, resolve_adapters

T5_TYPES = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})
"""Types of models, as configurations name them, that are a T5 or made like one."""


def t5_among(names: Iterable[str]) -> str:
    """The first of these models that is a T5, known from its configuration alone; empty if none is.

    A model whose configuration cannot be read is not counted; loading it will report why.

    Args:
        names: Names of models as `models.names.resolve` takes them; empty ones are ignored.

    Raises:
        LooptopError: A name cannot be resolved.
    """
    return next((name for name in names if name and _type_of(resolve_adapters(resolve(name))) in T5_TYPES), "")


def _type_of(source: str) -> str:
    try:
        # Only reads the file: no code of the model's own runs, and no value is checked.
        config, _ = PreTrainedConfig.get_config_dict(source)
        return str(config.get("model_type", ""))
    except Exception:  # transformers and the hub have many kinds of their own
        return ""
