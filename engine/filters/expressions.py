"""The expression of a parsed filter: terms in groups, with `not` moved down to the terms."""

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


FLAG = "?"
"""The field of a word that names a property of a row, such as `wrong`."""


@dataclass(frozen=True)
class Match:
    """True if the field's text contains one of the values; an empty field means a bare word, searched in all texts.

    With the field `FLAG` it is true if the row has the property that its one value names.
    """

    field: str
    values: tuple[str, ...]
    """The values, in lower case."""
    negated: bool = False


@dataclass(frozen=True)
class Comparison:
    """Compares a figure with a number; a quantifier such as `any` can come before it."""

    field: str
    operator: str
    number: float
    quantifier: str = ""
    negated: bool = False

    def compares(self, value: float) -> bool:
        """Whether the comparison is true of a value, ignoring `negated`; NaN equals NaN."""
        if math.isnan(value) and math.isnan(self.number):
            return self.operator == "=="
        return OPERATORS[self.operator](value, self.number)


@dataclass(frozen=True)
class Group:
    """Parts of which all must be true (`every`), or at least one."""

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
    """Whether an expression is true, by Kleene's logic; None if that depends on a term that is not known.

    Args:
        expression: The expression of a filter.
        test: Returns whether a term is true, ignoring `negated`; None if that is not known.
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
