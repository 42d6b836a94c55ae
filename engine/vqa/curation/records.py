"""Records of a run's training questions, and of the edits of a person."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

EditKind = Literal["relabel", "drop", "restore"]


class TrainingQuestion(Struct, frozen=True, array_like=True, gc=False):
    """One row of a run's training split."""

    question_id: str
    image: str
    """The image's path."""
    question: str
    answer: str
    """The label: the answer in the data."""


class Edit(Struct, frozen=True):
    """A person's change of one training question; a later change of the same question replaces it."""

    row: int
    """The question's row in the training split."""
    kind: EditKind
    """`relabel` gives another answer, `drop` leaves the question out, `restore` takes earlier edits back."""
    answer: str = ""
    """The answer of `relabel`."""
    step: int = 0
    """The run's step when it was made, or its newest checkpoint's if it was not live; it applies from the next epoch
    on."""
    by: str = ""
    """Who made it: `cli`, `app`, `python`, or the id of the run from which this run took it over."""
