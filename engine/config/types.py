"""The types of settings."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
# An upper bound, however large, excludes infinity.
Real = Annotated[float, Meta(ge=-1e300, le=1e300)]
PositiveFloat = Annotated[float, Meta(gt=0, le=1e300)]
NonNegativeFloat = Annotated[float, Meta(ge=0, le=1e300)]
Fraction = Annotated[float, Meta(ge=0, le=1)]

Precision = Literal["fp32", "bf16", "fp16"]
PrecisionChoice = Literal["auto", Precision]

Kernels = Literal["fast", "transformers"]
"""Whose code computes a model's inner parts on a CPU: looptop's or transformers'. A GPU always uses transformers'."""


Optimizer = Annotated[
    str, Meta(examples=["adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "rmsprop", "adagrad"])
]
"""Any optimiser of `transformers.OptimizerNames`; the examples are those that need no further package."""

DeviceName = Annotated[str, Meta(examples=["auto", "cpu", "cuda", "mps"])]


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of a configuration: unknown keys are refused, and values cannot be changed after reading."""
