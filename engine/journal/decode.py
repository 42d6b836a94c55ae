"""Decodes the values of a journal's rows: each function accepts any value and returns the promised type.

SQLite stores any type in any column, and a file that is damaged, edited or from a stranger can hold anything. A value
that makes no sense becomes None or an empty text, so one bad row never hides the rest of a run.
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
    "n_validation_images": _Count,
    "n_held_out": _Count,
    "n_test": _Count,
    "samples": _Count,
    "processes": _Count,
    "left_out": dict[str, _Count],
    "rewards": list[_Part],
    "result": dict[str, int | float | None],
}
"""The types of the facts that looptop computes with; other facts are only shown."""


def text(value: object) -> str:
    """A text: numbers are written out, bytes decoded as far as they are UTF-8, None becomes empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def name(value: object) -> str:
    """A short text that looptop itself sets, such as the kind of an event, made safe to show."""
    return visible(text(value))


def real(value: object) -> float | None:
    """A number; None if the value is not one."""
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None


def real_or_nan(value: object) -> float:
    """A number; NaN if the value is not one."""
    return float(value) if isinstance(value, int | float) else math.nan


def whole(value: object) -> int | None:
    """A whole number; None if the value is not one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value if isinstance(value, int) else None


def count(value: object) -> int:
    """A whole number that is not negative; 0 if the value is not one."""
    return max(0, whole(value) or 0)


def moment(value: object) -> float:
    """A point in time; NaN, which is shown as `?`, if the value is not one."""
    return float(value) if isinstance(value, int | float) and is_time(value) else math.nan


def moment_or_none(value: object) -> float | None:
    """A point in time; None if the value is not one."""
    return float(value) if isinstance(value, int | float) and is_time(value) else None


def structure(value: object, expected: type[T], default: T) -> T:
    """The value of a JSON text; the default if it is not JSON or has another type."""
    if not isinstance(value, str | bytes):
        return default
    try:
        return msgspec.json.decode(value, type=expected)
    except UNREADABLE:
        return default


def cause(value: object) -> Cause | None:
    """The cause of a run's state; None if there is none, or it cannot be read."""
    why: Cause | None = structure(value, Cause, None)  # type: ignore[arg-type]  # a union is not a class
    return msgspec.structs.replace(why, stage=name(why.stage)) if isinstance(why, Hold) else why


def numbers(value: object) -> dict[str, float]:
    """A mapping of names (made safe to show) to numbers, from a JSON text. null is NaN; other values are left out."""
    numbers = structure(value, dict[str, Any], {})
    return {
        visible(key): math.nan if number is None else float(number)
        for key, number in numbers.items()
        if number is None or (isinstance(number, int | float) and not isinstance(number, bool))
    }


def facts(rows: Mapping[str, object]) -> dict[str, Any]:
    """A run's facts, without those that cannot be read or have the wrong type."""
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


def result_step(facts: Mapping[str, Any]) -> int | None:
    """The step whose weights are the run's result, from its facts; None if there is no result yet."""
    result = facts.get("result")
    return whole(result.get("step")) if isinstance(result, dict) else None
