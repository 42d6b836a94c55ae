"""The official VQA accuracy, as the challenge's own program computes it, and exact match.

A prediction is compared with nine of the ten people's answers, ten times over: min(1, matches / 3), averaged. Before
that, and only where the ten do not all say the same, both sides are normalised. The program's punctuation rule has
oddities that its figures depend on; they are kept here, each with a word, and held by recordings of what it printed.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.engine.vqa import vqa_files
from looptop.engine.vqa.vqa_files import Annotation

ENOUGH = 3
"""So many people who gave an answer make it fully right."""

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_STOP = re.compile(r"\.(?!\d)")
_STOPS_TAKEN = 32
"""The program takes no more full stops than this from an answer (it passes a flag where a count is asked for)."""

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_ARTICLES = frozenset(("a", "an", "the"))

# Those with a capital (I'm, I've) are missing: the program looks them up after lower-casing, and never finds them.
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _with_one_apostrophe_left_out(word: str) -> Iterable[str]:
    return (word[:place] + word[place + 1 :] for place, char in enumerate(word) if char == "'")


_CONTRACTIONS = {variant: word for word in _CONTRACTED.split() for variant in _with_one_apostrophe_left_out(word)} | {
    "somebody'd": "somebodyd"
}  # The one entry that the program holds the wrong way round.


@dataclass(frozen=True)
class Official:
    """What the official program prints: percentages, rounded to two places."""

    overall: float
    per_question_type: dict[str, float]
    per_answer_type: dict[str, float]
    per_question: dict[str, float]
    """By question id."""

    def as_printed(self) -> dict[str, object]:
        """Under the official program's names."""
        return {
            "overall": self.overall,
            "perQuestionType": self.per_question_type,
            "perAnswerType": self.per_answer_type,
        }


def vqa_score(prediction: str, answers: Sequence[str]) -> float:
    """How right a prediction is, from 0 to 1.

    The official accuracy of one question; where there are too few answers for it (fewer than four, so that leaving one
    out leaves fewer than the three it asks for), whether the prediction is one of them.

    Args:
        prediction: What the model answered.
        answers: What people answered: ten in VQA, one in most other data.
    """
    if len(answers) <= ENOUGH:
        return float(any(exact_match(prediction, answer) for answer in answers))
    answers = [_one_line(answer) for answer in answers]
    prediction = _one_line(prediction)
    if len(set(answers)) > 1:
        answers = [normalise(answer) for answer in answers]
        prediction = normalise(prediction)
    matches = [answer == prediction for answer in answers]
    return sum(min(1.0, (sum(matches) - match) / ENOUGH) for match in matches) / len(matches)


def exact_match(prediction: str, answer: str) -> bool:
    """Whether the prediction is the answer, but for space around it."""
    return _one_line(prediction) == _one_line(answer)


@lru_cache(maxsize=1 << 16)
def normalise(answer: str) -> str:
    """The answer in the official program's normal form: no punctuation, lower case, digits, no articles."""
    words = (_DIGITS.get(word, word) for word in _without_punctuation(answer).lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


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
        LooptopError: A file is not as it should be, or the three do not belong together.
    """
    answered = vqa_files.read_annotations(annotations)
    asked = {str(question.question_id) for question in vqa_files.read_questions(questions)}
    strange = [str(row.question_id) for row in answered if str(row.question_id) not in asked]
    if strange:
        raise LooptopError(
            f"{_counted(strange)} of {visible(annotations)} {_have(strange)} no place in {visible(questions)};"
            " give the two files of one split"
        )
    return official(answered, vqa_files.read_results(results))


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _without_punctuation(text: str) -> str:
    # Every mark is looked for in the text as it came: beside a space it goes, elsewhere it becomes a space. One comma
    # between digits, anywhere, makes all marks go.
    out = text
    delete_all = _COMMA_IN_NUMBER.search(text) is not None
    for mark in _MARKS:
        if mark in text:
            deleted = delete_all or f"{mark} " in text or f" {mark}" in text
            out = out.replace(mark, "" if deleted else " ")
    return _STOP.sub("", out, count=_STOPS_TAKEN)


def _percent(scores: Collection[float]) -> float:
    # In the program's order of operations, so that halves round as there.
    return round(100 * sum(scores) / len(scores), 2)


def _counted(keys: list[str]) -> str:
    shown = ", ".join(visible(key) for key in keys[:3]) + (", ..." if len(keys) > 3 else "")
    return f"{len(keys):,} question{'s' if len(keys) > 1 else ''} ({shown})"


def _have(keys: list[str]) -> str:
    return "have" if len(keys) > 1 else "has"
