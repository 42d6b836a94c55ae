"""Which sample questions were answered right at each evaluation of a run."""

from __future__ import annotations

from typing import NamedTuple

from looptop.engine.journal import decode
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import AnswerSample

RIGHT = 0.5
"""From this accuracy on an answer counts as right where there is only right and wrong."""

MAX_OUTCOMES = 200_000
"""The most outcomes that are read, those of the last evaluations."""


class SampleKey(NamedTuple):
    """What makes a sample question the same one at all evaluations."""

    question_id: str
    question: str

    @classmethod
    def of(cls, sample: AnswerSample) -> SampleKey:
        """The key of a sample."""
        return cls(sample.question_id, sample.question)


def read_outcomes(journal: Journal) -> dict[SampleKey, dict[int, bool]]:
    """For each sample question the steps of its evaluations, and whether the answer was right.

    Raises:
        LooptopError: The journal cannot be read.
    """
    with journal.transaction() as read:
        rows = (
            read(
                "SELECT step, question_id, question, correct FROM answer_samples ORDER BY step DESC LIMIT ?",
                (MAX_OUTCOMES,),
            ).fetchall()
            if read
            else []
        )
    outcomes: dict[SampleKey, dict[int, bool]] = {}
    for step, question_id, question, correct in rows:
        if isinstance(step, int):
            key = SampleKey(decode.text(question_id), decode.text(question))
            outcomes.setdefault(key, {})[step] = decode.real_or_nan(correct) >= RIGHT
    return outcomes
