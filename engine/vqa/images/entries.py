"""Images and the questions that are asked about them: what every list of images is made of.

Imports neither torch nor datasets, so that the app can use it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from msgspec import Struct


class AskedQuestion(Struct, frozen=True):
    """A question that a data set asks about an image."""

    question: str
    answers: tuple[str, ...]
    """Every answer that people gave: one, or ten."""
    question_type: str = ""
    answer_type: str = ""
    """`yes/no`, `number` or `other`."""

    @property
    def answer(self) -> str:
        """The most common answer, the first of several that are equally common; empty if there is none."""
        return Counter(self.answers).most_common(1)[0][0] if self.answers else ""


class ImageEntry(Struct, frozen=True):
    """An image of a list, and its questions."""

    image: Path
    split: str = ""
    """`train`, `validation` or `test`; empty if the list has no splits."""
    questions: tuple[AskedQuestion, ...] = ()
