"""Filters of the list of runs: `kind:ppo state:running (loss<0.5 or "new data") -note:bad`, by the grammar of filters.

- `KEY:VALUE`, or `KEY:VALUE,VALUE`: `kind` and `state` are one of the values; `id`, `title`, `note`, `device`, `preset`
  and `host` contain one of them.
- A comparison is of the last value of a metric, or of `step`, `progress` (in percent), `took` or `age` (in seconds, or
  with a unit: `90s 5m 2h 3d`) or `alerts`; `loss=nan` finds what is not a number.
- Any other word occurs in the run's id, kind, state, title, note, device or preset.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from operator import attrgetter

from looptop.engine.errors import LooptopError
from looptop.engine.filters import grammar
from looptop.engine.filters.expressions import Comparison, terms
from looptop.engine.filters.vocabulary import Filter, NumberField, TextField, Vocabulary, Word, suggestion
from looptop.engine.journal.records import RunState, RunSummary
from looptop.engine.runs.listing import progress, took
from looptop.engine.text import visible

_DURATION_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERCENT_UNITS = {"": 0.01, "%": 0.01}
_PLAIN_OR_PERCENT_UNITS = {"": 1.0, "%": 0.01}


def _age(summary: RunSummary) -> float | None:
    return None if summary.created is None else time.time() - summary.created


NUMBER_FIELDS: dict[str, NumberField[RunSummary]] = {
    "step": NumberField(attrgetter("step"), _PLAIN_OR_PERCENT_UNITS),
    "progress": NumberField(progress, _PERCENT_UNITS),
    "took": NumberField(took, _DURATION_UNITS),
    "age": NumberField(_age, _DURATION_UNITS),
    "alerts": NumberField(attrgetter("alerts"), _PLAIN_OR_PERCENT_UNITS),
}
"""The fields that a comparison can use besides the metrics, which have their own names."""
_bare_word_texts = attrgetter("id", "kind", "state", "title", "note", "device", "preset")


def parse(text: str) -> Filter[RunSummary]:
    """Reads a filter of runs.

    Raises:
        LooptopError: The filter is wrong; the message says how to write it.
    """
    return grammar.parse(text, _VOCABULARY)


def check_metrics(chosen: Filter[RunSummary], summaries: Sequence[RunSummary]) -> None:
    """Checks that the runs have the metrics that a filter compares.

    Raises:
        LooptopError: No run has one of them; the message suggests a similar name.
    """
    for term in terms(chosen.expression):
        if isinstance(term, Comparison) and term.field not in NUMBER_FIELDS:
            refuse_unknown_metric(term.field, summaries, hints=NUMBER_FIELDS)


def refuse_unknown_metric(name: str, summaries: Sequence[RunSummary], hints: Iterable[str]) -> None:
    """Refuses a name that is not a metric of any run. Accepts every name if there are no runs.

    Args:
        name: The name of a metric.
        summaries: All runs.
        hints: Other names that the caller accepts, for the suggestion in the error.

    Raises:
        LooptopError: No run has the metric; the message suggests a similar name.
    """
    known = {metric for summary in summaries for metric in summary.metrics}
    if summaries and name not in known:
        hint = suggestion(name, [*hints, *sorted(known)], f"besides metrics there are: {', '.join(hints)}")
        raise LooptopError(f"no run has a metric '{visible(name)}'; {hint}")


def _number_field(name: Word, _quantifier: str) -> NumberField[RunSummary]:
    def last(summary: RunSummary) -> float | None:
        """The last value of a metric; NaN if it is not a number."""
        value = summary.metrics.get(name.text)
        return math.nan if value is None and name.text in summary.metrics else value

    return NUMBER_FIELDS.get(name.text) or NumberField(last, _PLAIN_OR_PERCENT_UNITS)


_VOCABULARY = Vocabulary(
    _number_field,
    text_fields={
        "kind": TextField(attrgetter("kind"), whole=True, example="vqa"),
        "state": TextField(attrgetter("state"), whole=True, choices=tuple(RunState), example="running,paused"),
        **{key: TextField(attrgetter(key)) for key in ("id", "title", "note", "device", "preset", "host")},
    },
    searched_texts=_bare_word_texts,
)
