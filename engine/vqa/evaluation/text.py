"""Figures of an evaluation in words, for the command and for the app."""

from __future__ import annotations

from looptop.engine.vqa.evaluation.intervals import Difference
from looptop.engine.vqa.evaluation.records import Estimate

NOT_KNOWN = "n/a"


def share(value: float | None, decimals: int = 2) -> str:
    """A share as `99.96 %`; `n/a` for None."""
    return NOT_KNOWN if value is None else f"{100 * value:.{decimals}f} %"


def interval(estimate: Estimate | None) -> str:
    """A 95 % interval as `99.83 to 99.99 %`; `n/a` if there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return NOT_KNOWN
    return f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f} %"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * difference:+.2f}"


def points_interval(difference: Difference) -> str:
    """The interval of a difference as `-0.20 to +1.30`; `n/a` if there is none."""
    if difference.low is None or difference.high is None:
        return NOT_KNOWN
    return f"{points(difference.low)} to {points(difference.high)}"


def p_value(value: float) -> str:
    """A p-value with two significant digits, as `= 0.042`."""
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"


def answer_text(answer: str) -> str:
    """An answer; an empty one is named."""
    return answer or "(empty)"


def label_text(label: str | None) -> str:
    """The name of a row or column of a confusion table."""
    return "(all other answers)" if label is None else answer_text(label)
