"""A run's training questions as plain tables: their figures, the data after edits, and the losses by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from looptop.engine.interchange.table import Row, Table
from looptop.engine.vqa.curation.journal import CHUNK, CurationJournal
from looptop.engine.vqa.curation.questions import CuratedQuestion, read_questions
from looptop.engine.vqa.curation.statistics import confidences_of


def curation_tables(journal: CurationJournal) -> list[Table]:
    """The tables of a run's training questions; none if it has recorded none.

    `curated_questions` is a table that `looptop train vqa --data` reads.

    Args:
        journal: The run's journal.
    """
    count = journal.question_count()
    if not count:
        return []
    columns = {"question_id": str, "image": str, "question": str, "answer": str}
    figures = {"edited_answer": str, "dropped": bool, "last_loss": float, "mean_confidence": float}
    parts = math.ceil(count / CHUNK)
    tables = [
        Table("training_questions", {**columns, **figures, "variability": float}, lambda: _questions(journal), parts),
        Table("curated_questions", columns, lambda: _curated(journal), parts),
    ]
    if epochs := len(journal.losses()):
        losses = {"epoch": int, "question_id": str, "loss": float, "confidence": float}
        tables.append(Table("question_losses", losses, lambda: _losses(journal), epochs))
    return tables


def _pages(journal: CurationJournal) -> Iterator[list[CuratedQuestion]]:
    questions = read_questions(journal)
    for first in range(0, len(questions), CHUNK):
        yield [questions[row] for row in range(first, min(first + CHUNK, len(questions)))]


def _questions(journal: CurationJournal) -> Iterator[list[Row]]:
    for page in _pages(journal):
        yield [
            (
                each.question_id,
                each.image,
                each.question,
                each.answer,
                each.edited_answer,
                each.is_dropped,
                each.loss,
                each.confidence,
                each.variability,
            )
            for each in page
        ]


def _curated(journal: CurationJournal) -> Iterator[list[Row]]:
    for page in _pages(journal):
        yield [
            (each.question_id, each.image, each.question, each.trained_answer) for each in page if not each.is_dropped
        ]


def _losses(journal: CurationJournal) -> Iterator[list[Row]]:
    """One page an epoch; a question that an epoch did not train on has no row in it."""
    ids = [each.question_id for each in journal.questions()]
    for epoch, _, losses in journal.losses():
        figures = zip(ids, losses.tolist(), confidences_of(losses).tolist(), strict=True)
        yield [(epoch, name, loss, confidence) for name, loss, confidence in figures if not math.isnan(loss)]
