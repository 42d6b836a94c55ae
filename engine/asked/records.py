"""One question that was asked, with its answer, and what is known of whether the answer is right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from msgspec import Struct

from looptop.engine.vqa.accuracy import vqa_score
from looptop.engine.vqa.answers.records import Answer
from looptop.engine.vqa.evaluation.records import RIGHT_SCORE


class Judgement(Struct, frozen=True):
    """What a person says of an answer."""

    right: bool
    correction: str = ""
    """The right answer, if the model's is wrong and the person gave it."""


class Entry(Struct, frozen=True, kw_only=True):
    """A question about an image, and a model's answer."""

    image: Path
    """Absolute."""
    question: str
    answer: Answer
    truths: tuple[str, ...] = ()
    """People's answers from the data, if the question is one of the data's; ten in VQA, one in most other data."""
    judgement: Judgement | None = None
    time: float = 0.0
    """When the answer came, in seconds since the epoch."""
    image_stamp: str = ""
    """Tells the image from a later one in the same file; empty if not known."""
    model_stamp: str = ""
    """Tells the model from a later one of the same name, such as a run's next checkpoint; empty if not known."""
    in_table: bool = False
    """Whether it was asked for a table of many images; then it is not among the earlier questions."""
    id: int = 0
    """Its number in the store: 0 before it is stored, negative if it could not be written."""

    @property
    def truth(self) -> str:
        """The most common of the data's answers, the first of several that are equally common; empty without them."""
        return Counter(self.truths).most_common(1)[0][0] if self.truths else ""

    @property
    def score(self) -> float | None:
        """The official accuracy of the answer; None without the data's answers."""
        return vqa_score(self.answer.answer, self.truths) if self.truths else None

    @property
    def right(self) -> bool | None:
        """Whether the answer is right: as the person says, else by the data's answers; None if nobody knows."""
        if self.judgement is not None:
            return self.judgement.right
        score = self.score
        return None if score is None else score >= RIGHT_SCORE

    @property
    def confirmed_answer(self) -> str:
        """The right answer as the person says: what a model can learn from. Empty if no person gave one."""
        if self.judgement is None:
            return ""
        return self.answer.answer if self.judgement.right else self.judgement.correction
