"""Conditions on a batch's or a sample's figures, for breakpoints: `kl > 8`, `any sample.kl > 20`, `nan`.

The grammar is that of filters, with these terms:

    term    = "nan" | figure operator number | ("any" | "all") "sample." name operator number
    figure  = name [ ".mean" | ".std" | ".min" | ".max" ]

`kl > 8` is about the batch: the mean over its samples, as every chart shows it; `.std`, `.min` and `.max` are over the
samples too. `any sample.kl > 20` is about each sample by itself. `nan` is about every figure. While its figure is not
known, a term is neither true nor false. Does not import torch, so that a form can check what is typed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.filters import grammar
from looptop.engine.filters.expressions import Comparison, Match, Term, evaluate, terms
from looptop.engine.filters.vocabulary import Filter, NumberField, Vocabulary, Word, suggestion
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
"""The figures that every sample has; each reward's score and each figure of quality has its own name."""

KNOWN_AFTER_UPDATE = ("advantage", "ratio")
"""The sample figures that are known only after a batch's update, as all metrics of the batch are."""

_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "std": lambda values: statistics.stdev(values) if len(values) > 1 else 0.0,
    "min": min,
    "max": max,
}
_MAY_BE_NAN = ("_std", "std_scores", "var_explained", "explained_centred")
"""Ends of metrics: a deviation of one sample alone, and an explained variance of returns that are all the same."""


@dataclass(frozen=True)
class BatchFigures:
    """The figures of a batch that are known when a condition is checked."""

    metrics: Mapping[str, float]
    """The batch's metrics, by name."""
    samples: Mapping[str, Sequence[float]]
    """For each figure, one number per sample."""
    rows: Sequence[int] | None = None
    """The samples' rows in the batch; None if no sample was left out."""

    def row(self, index: int) -> int:
        """The row in the batch of one of the samples."""
        return index if self.rows is None else self.rows[index]

    def value(self, name: str) -> float | None:
        """A figure of the batch as a condition names it; None if it is not known."""
        figure, statistic = _split(name)
        if figure in self.samples:
            values = [value for value in self.samples[figure] if not math.isnan(value)]
            return _STATISTICS[statistic or "mean"](values) if values else None
        return self.metrics.get(ALIASES.get(figure, figure))

    def not_a_number(self) -> str:
        """The first figure that is not a finite number, as a text; empty if all are."""
        for name, value in self.metrics.items():
            if not math.isfinite(value) and not name.endswith(_MAY_BE_NAN):
                return f"{name} is {value}"
        for name, values in self.samples.items():
            for index, value in enumerate(values):
                if not math.isfinite(value):
                    return f"{name} of sample {self.row(index)} is {value}"
        return ""


@dataclass(frozen=True)
class Condition:
    """A parsed condition."""

    text: str
    filter: Filter[BatchFigures]

    def waits_for_update(self, before: Collection[str] = ()) -> bool:
        """Whether the condition cannot be met before a batch's update.

        Args:
            before: Names of scores and figures of quality, which are known before the update.
        """
        known = {"", *SAMPLE_FIGURES, *before} - set(KNOWN_AFTER_UPDATE)
        # Whatever is known can turn out as it must.
        return not evaluate(self.filter.expression, lambda term: not term.negated if _figure(term) in known else None)

    def asks_of_update(self, before: Collection[str] = ()) -> bool:
        """Whether the condition uses a figure that is known only after a batch's update; `before` as above."""
        known = {*SAMPLE_FIGURES, *before} - set(KNOWN_AFTER_UPDATE)
        return any(_figure(term) not in known for term in terms(self.filter.expression))

    def met(
        self,
        metrics: Mapping[str, float],
        samples: Mapping[str, Sequence[float]],
        rows: Sequence[int] | None = None,
        asked_before: Collection[str] = (),
    ) -> str:
        """The figures that meet the condition, as a text; empty if it is not met, or cannot be decided yet.

        Args:
            metrics: The batch's metrics, by name.
            samples: For each figure, one number per sample.
            rows: The samples' rows in the batch; None if no sample was left out.
            asked_before: Figures that were known when this batch was checked before; if they alone meet the condition,
                it was met then and is not met again.
        """
        figures, expression = BatchFigures(metrics, samples, rows), self.filter.expression
        judged = {term: self._judge(term, figures) for term in terms(expression)}
        if not evaluate(expression, lambda term: judged[term][0]) or evaluate(
            expression, lambda term: judged[term][0] if _figure(term) in asked_before else None
        ):
            return ""
        return ", ".join(words for term, (outcome, words) in judged.items() if outcome is not term.negated and words)

    def _judge(self, term: Term, figures: BatchFigures) -> tuple[bool | None, str]:
        """Whether a term is true, ignoring `negated` (None if not known yet), and the deciding figure, as a text."""
        if isinstance(term, Match):
            problem = figures.not_a_number()
            return bool(problem), problem or "every figure is a number"
        if term.quantifier:
            name, values = _figure(term), figures.samples.get(_figure(term), ())
        else:
            name, value = term.field, self.filter.number_fields[term.field].value(figures)
            values = () if value is None else (value,)
        if not values:
            return None, ""
        outcomes = [term.compares(value) for value in values]
        every = term.quantifier == "all"
        holds = all(outcomes) if every else any(outcomes)
        first = outcomes.index(holds)
        if term.quantifier:
            name += " of every sample" if holds is every else f" of sample {figures.row(first)}"
        return holds, f"{name} is {values[first]:.4g} ({'' if holds else 'not '}{term.operator} {term.number:g})"


def parse(text: str, known: Collection[str] | None = None) -> Condition:
    """Parses a condition.

    Args:
        text: The condition as typed.
        known: The names that can be used besides those that every run has; None allows any name.

    Raises:
        LooptopError: Says what is wrong, and where.
    """

    def field(name: Word, quantifier: str) -> NumberField[BatchFigures]:
        _check_form(name, quantifier)
        figure = _split(name.text, quantifier)[0]
        if known is not None and "/" not in figure and figure not in (names := {*known, *ALIASES, *SAMPLE_FIGURES}):
            raise LooptopError(f"there is no figure '{visible(figure)}'; {suggestion(figure, sorted(names))}")
        return NumberField(lambda figures: figures.value(name.text))

    text = " ".join(text.split())
    vocabulary = Vocabulary(field, "a figure such as kl, or nan", special=("nan",), quantifiers=("any", "all"))
    return Condition(text, grammar.parse(text, vocabulary))


def _check_form(name: Word, quantifier: str) -> None:
    figure = name.text.removeprefix("sample.")
    if quantifier and figure == name.text:
        raise name.unexpected("sample.FIGURE, as in `any sample.kl > 20`")
    if not (figure[:1].isalpha() or figure[:1] == "_") or not all(char.isalnum() or char in "_./" for char in figure):
        raise name.unexpected("a figure such as kl, or nan")
    if not quantifier and figure != name.text:
        raise name.unexpected("`any` or `all` before it, as in `any sample.kl > 20`")
    if quantifier and "." in figure:
        raise name.unexpected("a figure with nothing after it")
    if "." in figure and _split(figure)[1] not in _STATISTICS:
        raise name.unexpected(f"a figure with {', '.join(f'.{each}' for each in _STATISTICS)}")


def _split(name: str, quantifier: str = "") -> tuple[str, str]:
    """The figure and the statistic of a name as it is written: `kl.max`; after `any` or `all`, `sample.kl`."""
    name = name.removeprefix("sample.")
    figure, dot, statistic = name.rpartition(".")
    return (figure, statistic) if dot and not quantifier else (name, "")


def _figure(term: Term) -> str:
    """The figure that a term uses; empty for `nan`."""
    return _split(term.field, term.quantifier)[0] if isinstance(term, Comparison) else ""
