"""The official VQA accuracy, as the challenge's own program computes it, and exact match.

A prediction is compared with each nine of the ten people's answers: min(1, matches / 3), averaged over the ten choices
of nine. Unless all ten answers are equal, both sides are normalised first (`data.normalise`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted, visible
from looptop.engine.vqa.data import official_files
from looptop.engine.vqa.data.normalise import normalise
from looptop.engine.vqa.data.official_files import Annotation

VOTES_FOR_FULL_SCORE = 3
"""An answer that this many people gave is fully right."""


@dataclass(frozen=True)
class Official:
    """What the official program prints: percentages, rounded to two decimals."""

    overall: float
    per_question_type: dict[str, float]
    per_answer_type: dict[str, float]
    per_question: dict[str, float]
    """The accuracy of each question, by its id."""

    def as_printed(self) -> dict[str, object]:
        """Under the official program's names."""
        return {
            "overall": self.overall,
            "perQuestionType": self.per_question_type,
            "perAnswerType": self.per_answer_type,
        }


def vqa_score(prediction: str, answers: Sequence[str]) -> float:
    """The accuracy of one prediction, from 0 to 1.

    The official accuracy; with fewer than four answers, which are too few for it (without one of them there are fewer
    than the three it needs), 1 if the prediction is one of them and else 0.

    Args:
        prediction: The model's answer.
        answers: People's answers: ten in VQA, one in most other data.
    """
    if len(answers) <= VOTES_FOR_FULL_SCORE:
        return float(any(exact_match(prediction, answer) for answer in answers))
    answers = [_one_line(answer) for answer in answers]
    prediction = _one_line(prediction)
    if len(set(answers)) > 1:
        answers = [normalise(answer) for answer in answers]
        prediction = normalise(prediction)
    matches = [answer == prediction for answer in answers]
    return sum(min(1.0, (sum(matches) - match) / VOTES_FOR_FULL_SCORE) for match in matches) / len(matches)


def exact_match(prediction: str, answer: str) -> bool:
    """Whether the prediction is the answer, apart from space around it."""
    return _one_line(prediction) == _one_line(answer)


def official(annotations: Iterable[Annotation], predictions: Mapping[str, str]) -> Official:
    """The official program's figures.

    Args:
        annotations: The questions' answers and types.
        predictions: Answers by question id.

    Raises:
        LooptopError: A question has no prediction, a prediction no question, or there are no questions.
    """
    scores: dict[str, float] = {}
    question_types: defaultdict[str, list[float]] = defaultdict(list)
    answer_types: defaultdict[str, list[float]] = defaultdict(list)
    missing: list[str] = []
    for annotation in annotations:
        key = str(annotation.question_id)
        if key in scores:
            raise LooptopError(f"the annotations hold question {visible(key)} twice")
        if key not in predictions:
            missing.append(key)
            continue
        scores[key] = vqa_score(predictions[key], [vote.answer for vote in annotation.answers])
        question_types[annotation.question_type].append(scores[key])
        answer_types[annotation.answer_type].append(scores[key])
    if missing:
        raise LooptopError(f"{_counted(missing)} of the annotations {_have(missing)} no result; predict all of them")
    unknown = [key for key in predictions if key not in scores]
    if unknown:
        raise LooptopError(
            f"{_counted(unknown)} of the results {_have(unknown)} no annotation; are they another split's?"
        )
    if not scores:
        raise LooptopError("the annotations hold no questions")
    return Official(
        overall=_percent(scores.values()),
        per_question_type={kind: _percent(some) for kind, some in question_types.items()},
        per_answer_type={kind: _percent(some) for kind, some in answer_types.items()},
        per_question={key: _percent([score]) for key, score in scores.items()},
    )


def score_files(
    annotations: str | os.PathLike[str], questions: str | os.PathLike[str], results: str | os.PathLike[str]
) -> Official:
    """The official figures from three official files.

    Raises:
        LooptopError: A file is invalid, or the three do not belong together.
    """
    annotated = official_files.read_annotations(annotations)
    known = {str(question.question_id) for question in official_files.read_questions(questions)}
    unknown = [str(row.question_id) for row in annotated if str(row.question_id) not in known]
    if unknown:
        raise LooptopError(
            f"{_counted(unknown)} of {visible(annotations)} {_are(unknown)} not in {visible(questions)};"
            " give the two files of one split"
        )
    return official(annotated, official_files.read_results(results))


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _percent(scores: Collection[float]) -> float:
    # In the program's order of operations, so that halves are rounded in the same way.
    return round(100 * sum(scores) / len(scores), 2)


def _counted(keys: list[str]) -> str:
    shown = ", ".join(visible(key) for key in keys[:3]) + (", ..." if len(keys) > 3 else "")
    return f"{counted(len(keys), 'question')} ({shown})"


def _are(keys: list[str]) -> str:
    return "are" if len(keys) > 1 else "is"


def _have(keys: list[str]) -> str:
    return "have" if len(keys) > 1 else "has"
