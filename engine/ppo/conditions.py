"""Conditions on a batch's or a sample's figures, for breakpoints: `kl > 8`, `any sample.kl > 20`, `nan`.

A small grammar of its own, parsed and never evaluated as code. No torch, so that a form can check what is typed.

    condition  = clause { "and" clause }
    clause     = "nan" | [ ("any" | "all") ] figure comparison number
    figure     = [ "sample." ] name [ ".mean" | ".std" | ".min" | ".max" ]

`kl > 8` is about the batch: the mean over its samples, as every chart shows it; `.std`, `.min` and `.max` are over the
samples too. `any sample.kl > 20` is about each sample by itself. `nan` is about every figure.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

ALIASES = {
    "clipfrac": "ppo/policy/clipfrac",
    "value_clipfrac": "ppo/val/clipfrac",
    "explained_variance": "ppo/val/explained_centred",
    "policy_loss": "ppo/loss/policy",
    "value_loss": "ppo/loss/value",
    "loss": "ppo/loss/total",
    "approxkl": "ppo/policy/approxkl",
    "kl_coef": "objective/kl_coef",
    "distinct": "env/distinct",
    "cut": "env/cut",
}
"""Short names of a batch's metrics; the metrics' own names can be written as well."""

SAMPLE_FIGURES = ("reward", "kl", "length", "entropy", "advantage", "ratio")
"""What every sample has; each reward's score and each figure of quality goes by its own name."""

ONLY_AFTER = ("advantage", "ratio")
"""Of these, what is known only after a batch's update, as all metrics of the batch are."""

_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "std": lambda values: statistics.stdev(values) if len(values) > 1 else 0.0,
    "min": min,
    "max": max,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<comparison><=|>=|==|!=|<|>)|(?P<word>[A-Za-z_][\w./]*)|(?P<wrong>\S))"
)


@dataclass(frozen=True)
class Clause:
    """One comparison; `nan` has neither figure nor comparison."""

    figure: str
    statistic: str
    """Over the samples; empty where the figure is each sample's own, or a metric."""
    every: bool
    """Of samples: all of them, not any."""
    of_samples: bool
    comparison: str
    number: float

    @property
    def is_nan(self) -> bool:
        """Whether it asks for what is no number."""
        return not self.figure


@dataclass(frozen=True)
class Condition:
    """What was written, taken apart."""

    text: str
    clauses: tuple[Clause, ...]

    def figures(self) -> list[str]:
        """The names that it asks for."""
        return [clause.figure for clause in self.clauses if clause.figure]

    def waits_for_update(self, before: Sequence[str] = ()) -> bool:
        """Whether it asks for something that is known only after a batch's update.

        Args:
            before: Names of scores and figures of quality, which are known before it.
        """
        known = {*SAMPLE_FIGURES, *before} - set(ONLY_AFTER)
        return any(name not in known for name in self.figures())

    def met(
        self,
        metrics: Mapping[str, float],
        samples: Mapping[str, Sequence[float]],
        rows: Sequence[int] | None = None,
    ) -> str:
        """What meets it, in words; empty where it is not met, or asks for what is not known yet.

        Args:
            metrics: The batch's, by name.
            samples: By figure, a number a sample.
            rows: The samples' rows in the batch, where some were left out.
        """
        found = [_met(clause, metrics, samples, rows) for clause in self.clauses]
        return ", ".join(found) if all(found) else ""


def parse(text: str, known: Sequence[str] | None = None) -> Condition:
    """Takes a condition apart.

    Args:
        text: As typed.
        known: The names that can be asked for; None takes any.

    Raises:
        LooptopError: Says what is wrong, and where.
    """
    tokens = [(match.lastgroup or "", match[match.lastgroup or 0], match.start(match.lastgroup or 0))
              for match in _TOKEN.finditer(text) if match.lastgroup]  # fmt: skip
    parser = _Parser(text, tokens)
    clauses = parser.clauses()
    condition = Condition(" ".join(text.split()), tuple(clauses))
    if known is not None:
        names = {*known, *ALIASES, *SAMPLE_FIGURES}
        for name in condition.figures():
            if name not in names and "/" not in name:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(sorted(names))}"
                raise LooptopError(f"there is no figure '{visible(name)}'; {hint}")
    return condition


class _Parser:
    def __init__(self, text: str, tokens: list[tuple[str, str, int]]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0

    def clauses(self) -> list[Clause]:
        clauses = [self.clause()]
        while self.at < len(self.tokens):
            kind, word, _ = self.tokens[self.at]
            if kind != "word" or word != "and":
                raise self.wrong("'and' or the end")
            self.at += 1
            clauses.append(self.clause())
        return clauses

    def clause(self) -> Clause:
        every = any_one = False
        word = self.take("word", "a figure such as kl, or nan")
        if word == "nan":
            return Clause("", "", False, False, "", math.nan)
        if word in ("any", "all"):
            every, any_one = word == "all", word == "any"
            word = self.take("word", "sample.FIGURE")
            if not word.startswith("sample."):
                self.at -= 1
                raise self.wrong("sample.FIGURE, as in `any sample.kl > 20`")
        of_samples = word.startswith("sample.")
        if of_samples and not (every or any_one):
            self.at -= 1
            raise self.wrong("`any` or `all` before it, as in `any sample.kl > 20`")
        name = word.removeprefix("sample.")
        figure, dot, statistic = name.rpartition(".")
        if not dot:
            figure, statistic = name, ""
        elif statistic not in _STATISTICS or of_samples:
            self.at -= 1
            ends = "nothing behind it" if of_samples else ", ".join(f".{each}" for each in _STATISTICS)
            raise self.wrong(f"a figure with {ends}")
        comparison = self.take("comparison", "one of < <= > >= == !=")
        number = float(self.take("number", "a number"))
        return Clause(figure, statistic, every, of_samples, comparison, number)

    def take(self, kind: str, wanted: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            raise self.wrong(wanted)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def wrong(self, wanted: str) -> LooptopError:
        said = visible(self.text)[:80]
        if self.at >= len(self.tokens):
            return LooptopError(f"the condition '{said}' ends where {wanted} is missing")
        _, word, place = self.tokens[self.at]
        return LooptopError(f"the condition '{said}' has '{visible(word)}' at column {place + 1}; wanted is {wanted}")


def _met(
    clause: Clause,
    metrics: Mapping[str, float],
    samples: Mapping[str, Sequence[float]],
    of: Sequence[int] | None,
) -> str:
    if clause.is_nan:
        return _not_a_number(metrics, samples, of)
    compare = _COMPARISONS[clause.comparison]
    wanted = f"{clause.comparison} {clause.number:g}"
    if clause.of_samples:
        values = samples.get(clause.figure, ())
        rows = [row for row, value in enumerate(values) if compare(value, clause.number)]
        if not rows or (clause.every and len(rows) < len(values)):
            return ""
        which = "of every sample" if clause.every else f"of sample {_row(rows[0], of)}"
        return f"{clause.figure} {which} is {values[rows[0]]:.4g} ({wanted})"
    value = _of_batch(clause, metrics, samples)
    if value is None or not compare(value, clause.number):
        return ""
    name = clause.figure + (f".{clause.statistic}" if clause.statistic else "")
    return f"{name} is {value:.4g} ({wanted})"


def _of_batch(clause: Clause, metrics: Mapping[str, float], samples: Mapping[str, Sequence[float]]) -> float | None:
    if clause.figure in samples:
        values = [value for value in samples[clause.figure] if not math.isnan(value)]
        return _STATISTICS[clause.statistic or "mean"](values) if values else None
    return metrics.get(ALIASES.get(clause.figure, clause.figure))


def _row(index: int, of: Sequence[int] | None) -> int:
    return index if of is None else of[index]


def _not_a_number(
    metrics: Mapping[str, float], samples: Mapping[str, Sequence[float]], of: Sequence[int] | None
) -> str:
    for name, value in metrics.items():
        # A deviation of one sample alone, and an explained variance of returns that are all the same, are no numbers.
        if not math.isfinite(value) and not name.endswith(("_std", "std_scores", "var_explained", "explained_centred")):
            return f"{name} is {value}"
    for name, values in samples.items():
        for index, value in enumerate(values):
            if not math.isfinite(value):
                return f"{name} of sample {_row(index, of)} is {value}"
    return ""
