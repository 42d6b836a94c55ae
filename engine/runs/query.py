"""A small language for choosing runs: `kind:ppo state:running loss<0.5 "new data" -note:bad`.

All terms must hold. A term is

- `KEY:VALUE` or `KEY:VALUE,VALUE`: `kind` or `state` equals one of the values, or `id`, `title`, `note`, `device`,
  `preset` or `host` contains one of them;
- `NAME OP NUMBER` without blanks, where OP is one of `<  <=  >  >=  =  !=`: compares the last value of a metric, or
  `step`, `progress` (in percent), `took` or `age` (in seconds, or with a unit: `90s 5m 2h 3d`); `loss=nan` matches NaN;
- any other word: the run's id, kind, state, title, note, device or preset contains it;
- `-` before any of these: the term must not hold. Put words or values with blanks in double quotes.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState, RunSummary
from looptop.engine.runs.listing import progress, took
from looptop.engine.text import visible

EQUAL_KEYS = ("kind", "state")
CONTAINING_KEYS = ("id", "title", "note", "device", "preset", "host")
KEYS = (*EQUAL_KEYS, *CONTAINING_KEYS)

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PIECE = re.compile(r'"[^"]*"|\S')
_COMPARISON = re.compile(r"([^\s\"<>=!:]+)(<=|>=|!=|<|>|=)(.*)", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z]+):(.*)", re.DOTALL)
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([smhd%]?)")


@dataclass(frozen=True)
class Word:
    """A word that the text of a run contains."""

    text: str

    def holds(self, summary: RunSummary) -> bool:
        """Whether the run matches."""
        texts = (summary.id, summary.kind, summary.state, summary.title, summary.note, summary.device, summary.preset)
        return any(self.text in each.lower() for each in texts)


@dataclass(frozen=True)
class Field:
    """A property that equals or contains one of several values."""

    key: str
    values: tuple[str, ...]

    def holds(self, summary: RunSummary) -> bool:
        """Whether the run matches."""
        text = str(getattr(summary, self.key)).lower()
        return text in self.values if self.key in EQUAL_KEYS else any(value in text for value in self.values)


@dataclass(frozen=True)
class Comparison:
    """A figure compared with a number, which may be NaN."""

    name: str
    operator: str
    number: float

    def holds(self, summary: RunSummary) -> bool:
        """Whether the run matches; never, if the run does not have the figure."""
        if self.name in _FIGURES:
            value = _FIGURES[self.name](summary)
        elif self.name in summary.metrics:
            value = summary.metrics[self.name]
            value = math.nan if value is None else value
        else:
            return False
        if value is None:
            return False
        if math.isnan(self.number) or math.isnan(value):
            same = math.isnan(self.number) and math.isnan(value)
            return {"=": same, "!=": not same}.get(self.operator, False)
        return _OPERATORS[self.operator](value, self.number)


@dataclass(frozen=True)
class Term:
    """A term, possibly negated."""

    condition: Word | Field | Comparison
    negated: bool = False

    def holds(self, summary: RunSummary) -> bool:
        """Whether the run matches."""
        return self.condition.holds(summary) != self.negated


@dataclass(frozen=True)
class Query:
    """Terms that must all hold."""

    terms: tuple[Term, ...] = ()

    def holds(self, summary: RunSummary) -> bool:
        """Whether the run matches all terms."""
        return all(term.holds(summary) for term in self.terms)

    def refuse_unknown(self, summaries: Sequence[RunSummary]) -> None:
        """Checks that some run has each metric in the query.

        Raises:
            LooptopError: No run has one of them; the message names similar metrics.
        """
        for term in self.terms:
            if isinstance(term.condition, Comparison) and term.condition.name not in _FIGURES:
                refuse_unknown_metric(term.condition.name, summaries, also=_FIGURES)


def refuse_unknown_metric(name: str, summaries: Sequence[RunSummary], also: Iterable[str]) -> None:
    """Refuses a name that is not a metric of any run. If there are no runs, every name is accepted.

    Args:
        name: The name of a metric.
        summaries: All runs.
        also: Other valid names.

    Raises:
        LooptopError: No run has the metric; the message names a similar one.
    """
    known = {metric for summary in summaries for metric in summary.metrics}
    if not summaries or name in known:
        return
    near = difflib.get_close_matches(name, [*also, *sorted(known)], n=1)
    hint = f"did you mean '{visible(near[0])}'?" if near else f"besides metrics there are: {', '.join(also)}"
    raise LooptopError(f"no run has a metric '{visible(name)}'; {hint}")


def parse(text: str) -> Query:
    """Parses a query.

    Raises:
        LooptopError: A term is wrong; the message names it and how to correct it.
    """
    return Query(tuple(_term(piece) for piece in _pieces(text)))


def _pieces(text: str) -> list[str]:
    """Splits a query into terms at blanks outside quotes."""
    pieces: list[str] = []
    end = -1
    for match in _PIECE.finditer(text):
        if match[0] == '"':
            raise LooptopError(f'the quote before {visible(text[match.end() :][:20])!r} is not closed; add a "')
        if match.start() == end:
            pieces[-1] += match[0]
        else:
            pieces.append(match[0])
        end = match.end()
    return pieces


def _term(piece: str) -> Term:
    negated = piece.startswith("-") and len(piece) > 1
    body = piece[1:] if negated else piece
    if field := _FIELD.fullmatch(body):
        return Term(_field(field[1].lower(), field[2]), negated)
    if comparison := _COMPARISON.fullmatch(body):
        return Term(_comparison(*comparison.groups()), negated)
    return Term(Word(_plain(body).lower()), negated)


def _field(key: str, text: str) -> Field:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        hint = f"did you mean {near[0]}:?" if near else f"the keys are: {', '.join(KEYS)}"
        raise LooptopError(f"there is no key '{visible(key)}:'; {hint}")
    values = tuple(_plain(value).lower() for value in re.findall(r'(?:"[^"]*"|[^,"])+', text))
    if not values:
        raise LooptopError(f"'{key}:' has no value; write for example {_EXAMPLES.get(key, f'{key}:word')}")
    if key == "state":
        for value in values:
            if value not in tuple(RunState):
                near = difflib.get_close_matches(value, tuple(RunState), n=1)
                hint = f"did you mean {near[0]}?" if near else f"the states are: {', '.join(RunState)}"
                raise LooptopError(f"there is no state '{visible(value)}'; {hint}")
    return Field(key, values)


def _comparison(name: str, sign: str, text: str) -> Comparison:
    if text.lower() == "nan":
        return Comparison(name, sign, math.nan)
    if text.lower() in ("inf", "-inf"):
        return Comparison(name, sign, float(text))
    match = _NUMBER.fullmatch(text)
    unit = match[2] if match else ""
    allowed = {"took": _UNITS, "age": _UNITS, "progress": {"": 0.01, "%": 0.01}}.get(name, {"": 1.0, "%": 0.01})
    if match is None or unit not in allowed:
        problem = f"'{visible(text)}' is not a number" if text else "the number is missing"
        raise LooptopError(
            f"{problem} in {visible(name)}{sign}{visible(text)}; write for example {visible(name)}{sign}0.5"
        )
    return Comparison(name, sign, float(match[1]) * allowed[unit])


def _plain(text: str) -> str:
    return text.replace('"', "")


def _age(summary: RunSummary) -> float | None:
    return None if summary.created is None else time.time() - summary.created


def _step(summary: RunSummary) -> float | None:
    return summary.step


_FIGURES: dict[str, Callable[[RunSummary], float | None]] = {
    "step": _step,
    "progress": progress,
    "took": took,
    "age": _age,
    "alerts": lambda summary: summary.alerts,
}
_EXAMPLES = {"kind": "kind:vqa", "state": "state:running,paused"}
