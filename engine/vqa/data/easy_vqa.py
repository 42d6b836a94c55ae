"""The easy-VQA benchmark, read from its Python package: 48,248 questions about 5,000 images of one coloured shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import easy_vqa

from looptop.engine.vqa.data import left_out as problem_kinds
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.rows import Row, answer_type

Split = Literal["train", "test"]


def images(split: Split) -> dict[int, Path]:
    """The split's image files by number, in order."""
    paths = easy_vqa.get_train_image_paths() if split == "train" else easy_vqa.get_test_image_paths()
    return {number: Path(paths[number]) for number in sorted(paths)}


def rows(split: Split, problems: Problems) -> Iterator[Row]:
    """The split's questions, in the package's order.

    Args:
        split: The package's own two splits; validation images are taken from `train`.
        problems: Collects images that the package should have and does not.
    """
    files = {number: str(path) for number, path in images(split).items()}
    asked = easy_vqa.get_train_questions() if split == "train" else easy_vqa.get_test_questions()
    missing: set[int] = set()
    for index, (question, answer, number) in enumerate(zip(*asked, strict=True)):
        if number in files:
            yield Row(
                image=files[number],
                image_id=f"{split}-{number}",
                question_id=f"{split}-{index}",
                question=question,
                answer=answer,
                answers=[answer],
                question_type=question_type(question),
                answer_type=answer_type(answer),
            )
        elif number not in missing:
            missing.add(number)
            problems.add(problem_kinds.MISSING_IMAGE, f"{split}/images/{number}.png")


def question_type(question: str) -> str:
    """The question's type: `what color`, `what shape`, `is` or `does`."""
    if question.startswith("what"):
        return "what color" if "color" in question else "what shape"
    return question.partition(" ")[0]
