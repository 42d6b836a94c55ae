"""What a filter is read into: terms in groups, `not` moved down to the terms."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Match:
    """A text that contains one of the values; a bare word is looked for in all texts, its field is empty."""

    field: str
    values: tuple[str, ...]
    """In lower case."""
    negated: bool = False


@dataclass(frozen=True)
class Comparison:
    """A figure that is compared with a number; before it can be a quantifier such as `any`."""

    field: str
    operator: str
    number: float
    quantifier: str = ""
    negated: bool = False

    def compares(self, value: float) -> bool:
        """Whether the comparison is true of a value, `negated` aside; NaN equals NaN."""
        if math.isnan(value) and math.isnan(self.number):
            return self.operator == "=="
        return OPERATORS[self.operator](value, self.number)


@dataclass(frozen=True)
class Group:
    """Parts of which all must be true, or at least one."""

    parts: tuple[Expression, ...]
    every: bool


Term: TypeAlias = Match | Comparison
Expression: TypeAlias = Term | Group
EVERYTHING = Group((), True)


def terms(expression: Expression) -> list[Term]:
    """The terms, from left to right."""
    if isinstance(expression, Group):
        return [term for part in expression.parts for term in terms(part)]
    return [expression]


def evaluate(expression: Expression, test: Callable[[Term], bool | None]) -> bool | None:
    """Whether an expression is true, by Kleene's logic; None where that hangs on a term that is not known.

    Args:
        expression: What was read.
        test: Whether a term is true, `negated` aside; None where it is not known.
    """
    if not isinstance(expression, Group):
        outcome = test(expression)
        return None if outcome is None else outcome != expression.negated
    unknown = False
    for part in expression.parts:
        outcome = evaluate(part, test)
        if outcome is not expression.every and outcome is not None:
            return outcome
        unknown = unknown or outcome is None
    return None if unknown else expression.every
