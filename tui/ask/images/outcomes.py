"""A model's answers in its kept evaluations: which questions it got right."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from looptop.engine.errors import LooptopError

if TYPE_CHECKING:
    from looptop.engine.vqa.images.filtering import Outcomes


def outcomes_of(model: str) -> Outcomes:
    """How a model answered each question that an evaluation asked it; the newest evaluation counts.

    Empty if none is kept, or the model's folder cannot be read. Reads files: call it in a thread.
    """
    from looptop.engine.vqa.evaluation.kept import evaluations_of, questions_of
    from looptop.engine.vqa.images.filtering import Outcome
    from looptop.engine.vqa.model.saved_models import folder_of

    outcomes: dict[tuple[Path, str], Outcome] = {}
    with contextlib.suppress(LooptopError):
        for evaluation in reversed(evaluations_of(folder_of(model))):
            with contextlib.suppress(LooptopError):
                for each in questions_of(evaluation):
                    outcomes[Path(each.image).absolute(), each.question] = Outcome(each.right, each.confidence)
    return outcomes
