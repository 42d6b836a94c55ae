"""Turns questions of an evaluation into the list of their images that the Ask screen shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from looptop.engine.journal.records import AnswerSample
    from looptop.engine.vqa.evaluation.records import QuestionResult
    from looptop.engine.vqa.images.entries import ImageEntry


def entries_of_results(results: Sequence[QuestionResult], first: QuestionResult | None = None) -> list[ImageEntry]:
    """The images of questions, each once and with the questions about it.

    Args:
        results: The questions.
        first: The question whose image comes first; by default the first one's.
    """
    from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry

    ordered = results if first is None else [first, *(one for one in results if one is not first)]
    questions: dict[str, list[AskedQuestion]] = {}
    for one in ordered:
        asked = AskedQuestion(one.question, one.answers, one.question_type, one.answer_type)
        questions.setdefault(one.image, []).append(asked)
    return [ImageEntry(Path(image), questions=tuple(asked)) for image, asked in questions.items()]


def entries_of_samples(samples: Sequence[AnswerSample], first: AnswerSample | None = None) -> list[ImageEntry]:
    """The images of a run's sample answers, as `entries_of_results` lists them."""
    from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry

    ordered = samples if first is None else [first, *(one for one in samples if one is not first)]
    questions: dict[str, list[AskedQuestion]] = {}
    for one in ordered:
        questions.setdefault(one.image, []).append(AskedQuestion(one.question, (one.truth,)))
    return [ImageEntry(Path(image), questions=tuple(asked)) for image, asked in questions.items()]
