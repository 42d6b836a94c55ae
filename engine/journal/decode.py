"""Decodes the values of a journal's rows: each function takes whatever a row holds and gives the type that is promised.

SQLite keeps any type in any column, and a file that was damaged, edited or copied from a stranger can hold anything.
A value that makes no sense is left out (None, an empty text), so one bad row never hides the rest of a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from looptop.engine.errors import UNREADABLE
from looptop.engine.journal.causes import Cause, Hold
from looptop.engine.text import visible
from looptop.engine.times import is_time

T = TypeVar("T")

_Count = Annotated[int, Meta(ge=0, le=2**53)]


class _Part(msgspec.Struct):
    name: str
    weight: float


_FACTS: dict[str, Any] = {
    "total_steps": _Count,
    "epochs": float,
    "parameters": _Count,
    "trainable_parameters": _Count,
    "trainable": _Count,
    "n_train": _Count,
    "n_validation": _Count,
    "n_held_out": _Count,
    "n_test": _Count,
    "samples": _Count,
    "processes": _Count,
    "left_out": dict[str, _Count],
    "rewards": list[_Part],
    "result": dict[str, int | float | None],
}
"""The types of the facts that looptop computes with; the others are only shown."""


def text(value: object) -> str:
    """A text; a number as it is written, bytes as far as they are UTF-8, nothing where there is nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def name(value: object) -> str:
    """A short text that looptop itself sets, such as the kind of an event: safe to show, whatever a file holds."""
    return visible(text(value))


def real(value: object) -> float | None:
    """A number; None where the value is none."""
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None


def real_or_nan(value: object) -> float:
    """A number; NaN where the value is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def whole(value: object) -> int | None:
    """A whole number; None where the value is none."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value if isinstance(value, int) else None


def count(value: object) -> int:
    """A whole number that is not negative; 0 where the value is none."""
    return max(0, whole(value) or 0)


def moment(value: object) -> float:
    """A point in time; NaN where the value is none, which is shown as `?`."""
    return float(value) if isinstance(value, int | float) and is_time(value) else math.nan


def moment_or_none(value: object) -> float | None:
    """A point in time; None where the value is none."""
    return float(value) if isinstance(value, int | float) and is_time(value) else None


def structure(value: object, wanted: type[T], default: T) -> T:
    """What a JSON text holds; the default where it is no JSON or of another type."""
    if not isinstance(value, str | bytes):
        return default
    try:
        return msgspec.json.decode(value, type=wanted)
    except UNREADABLE:
        return default


def cause(value: object) -> Cause | None:
    """Why a run is in its state; None where the value is none, or says it as no looptop does."""
    why: Cause | None = structure(value, Cause, None)  # type: ignore[arg-type]  # a union is no class
    return msgspec.structs.replace(why, stage=name(why.stage)) if isinstance(why, Hold) else why


def numbers(value: object) -> dict[str, float]:
    """Numbers by names that are safe to show, from a JSON text; null stands for NaN, what is no number is left out."""
    numbers = structure(value, dict[str, Any], {})
    return {
        visible(key): math.nan if number is None else float(number)
        for key, number in numbers.items()
        if number is None or (isinstance(number, int | float) and not isinstance(number, bool))
    }


def facts(rows: Mapping[str, object]) -> dict[str, Any]:
    """What a run says of itself, without the facts that cannot be read or are of the wrong type."""
    facts: dict[str, Any] = {}
    for key, value in rows.items():
        if not isinstance(value, str | bytes):
            continue
        try:
            plain = msgspec.json.decode(value)
            if key in _FACTS:
                plain = msgspec.to_builtins(msgspec.convert(plain, _FACTS[key]))
        except UNREADABLE:
            continue
        facts[key] = plain
    return facts
