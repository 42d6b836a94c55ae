"""A run's journal as plain tables, which every export format writes.

To export another kind of rows in all formats, add its `Table` to `tables_of`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from looptop.engine.interchange.curation_tables import curation_tables
from looptop.engine.interchange.ppo_tables import ppo_tables
from looptop.engine.interchange.table import Row, Table
from looptop.engine.journal.completions import read_completion_steps, read_completions
from looptop.engine.journal.reader import Journal
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.vqa.breakdown import StepBreakdown, read_breakdowns
from looptop.engine.vqa.curation.journal import CurationJournal

ROWS_PER_PAGE = 50_000
"""Rows that are in memory at a time."""


def tables_of(journal: Journal, batches: tuple[int, int] | None = None) -> list[Table]:
    """The tables that are not empty, metrics first.

    Args:
        journal: The run's journal.
        batches: The first and the last PPO batch whose rows are included; None for all.
    """
    tables = [
        Table(
            "metrics",
            {"name": str, "step": int, "value": float, "time": float},
            lambda: _metrics(journal),
            parts=len(journal.names()),
        ),
        Table(
            "events",
            {"time": float, "step": int, "kind": str, "level": str, "text": str, "superseded": bool},
            lambda: _events(journal),
        ),
    ]
    if steps := journal.answer_steps():
        columns = {"step": int, "question_id": str, "image": str, "question": str, "truth": str, "answer": str}
        tables.append(
            Table("answers", {**columns, "confidence": float, "correct": float}, lambda: _answers(journal), len(steps))
        )
    if evaluations := read_breakdowns(journal):
        columns = {"step": int, "kind": str, "type": str, "questions": int, "accuracy": float}
        tables.append(Table("accuracy_by_type", columns, lambda: _accuracy_by_type(evaluations)))
        columns = {"step": int, "truth": str, "answer": str, "questions": int}
        tables.append(Table("confusion", columns, lambda: _confusion(evaluations)))
    tables += curation_tables(CurationJournal(journal.path))
    if steps := read_completion_steps(journal):
        columns = {"step": int, "place": int, "prompt": str, "completion": str, "rewards": str}
        tables.append(Table("completions", {**columns, "advantage": float}, lambda: _completions(journal), len(steps)))
    return [*tables, *ppo_tables(PpoJournal(journal.path), batches)]


def _metrics(journal: Journal) -> Iterator[list[Row]]:
    for name in journal.names():
        after = -(2**63)
        while points := journal.values(name, after, ROWS_PER_PAGE):
            yield [(name, each.step, math.nan if each.value is None else each.value, each.time) for each in points]
            after = points[-1].step


def _events(journal: Journal) -> Iterator[list[Row]]:
    yield [(each.time, each.step, each.kind, each.level, each.text, each.superseded) for each in journal.events()]


def _answers(journal: Journal) -> Iterator[list[Row]]:
    for step in journal.answer_steps():
        yield [
            (step, each.question_id, each.image, each.question, each.truth, each.answer, each.confidence, each.correct)
            for each in journal.answer_samples(step)
        ]


def _accuracy_by_type(evaluations: Sequence[StepBreakdown]) -> Iterator[list[Row]]:
    for step, breakdown in evaluations:
        kinds = ("answer type", breakdown.by_answer_type), ("question type", breakdown.by_question_type)
        yield [(step, kind, one.name, one.questions, one.accuracy) for kind, types in kinds for one in types]


def _confusion(evaluations: Sequence[StepBreakdown]) -> Iterator[list[Row]]:
    """The cells of the tables that are not 0; both labels of the row and column of all other answers are `*`."""
    for step, breakdown in evaluations:
        labels = ["*" if label is None else label for label in breakdown.confusion.labels]
        yield [
            (step, truth, answer, count)
            for truth, counts in zip(labels, breakdown.confusion.counts, strict=True)
            for answer, count in zip(labels, counts, strict=True)
            if count
        ]


def _completions(journal: Journal) -> Iterator[list[Row]]:
    import json

    for step in read_completion_steps(journal):
        yield [
            (step, index, each.prompt, each.completion, json.dumps(each.rewards), each.advantage)
            for index, each in enumerate(read_completions(journal, step))
        ]
