"""Reads the evaluations of a run from its journal, in threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from looptop.engine.journal.answer_outcomes import SampleKey, read_outcomes
from looptop.engine.journal.decode import result_step
from looptop.engine.journal.reader import AnswerSample, Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.breakdown import Breakdown, TypeAccuracy, read_breakdowns

ACCURACY = "eval_accuracy"


TypeKind = Literal["answer type", "question type"]

Past: TypeAlias = Mapping[tuple[TypeKind, str], tuple[float | None, ...]]
"""By the kind and the name of a type: its accuracies, None where it was not journalled."""


def types_of(breakdown: Breakdown, kind: TypeKind) -> tuple[TypeAccuracy, ...]:
    """The types of a kind."""
    return breakdown.by_answer_type if kind == "answer type" else breakdown.by_question_type


def past_by_type(breakdowns: Mapping[int, Breakdown], steps: Sequence[int]) -> Past:
    """The accuracy of each type over time.

    Args:
        breakdowns: By step.
        steps: The steps of all evaluations.
    """
    past: dict[tuple[TypeKind, str], list[float | None]] = {}
    for index, step in enumerate(steps):
        if step in breakdowns:
            for kind in get_args(TypeKind):
                for one in types_of(breakdowns[step], kind):
                    past.setdefault((kind, one.name), [None] * len(steps))[index] = one.accuracy
    return {key: tuple(values) for key, values in past.items()}


class Timeline(Struct, frozen=True, eq=False):
    """All evaluations of a run, and the answers of the shown one."""

    state: RunState
    steps: tuple[int, ...] = ()
    """The steps of the evaluations."""
    accuracies: tuple[float | None, ...] = ()
    """The accuracy at each of them."""
    outcomes: Mapping[SampleKey, Mapping[int, bool]] = {}
    """Whether each sample question was answered right, by step."""
    breakdowns: Mapping[int, Breakdown] = {}
    """Accuracy by type and confusions, by step; empty if an older looptop made the run."""
    past_by_type: Past = {}
    """The accuracy of each type at each of `steps`."""
    result_step: int | None = None
    """The evaluation whose weights are the run's result; None before there is one."""
    index: int = -1
    """The shown evaluation; -1 if there is none."""
    epoch: float | None = None
    """The epoch of the shown evaluation."""
    samples: tuple[AnswerSample, ...] = ()
    """The answers of the shown evaluation."""
    before: tuple[AnswerSample, ...] = ()
    """The answers of the evaluation before it."""

    @property
    def step(self) -> int | None:
        """The step of the shown evaluation; None if there is none."""
        return self.steps[self.index] if self.steps else None

    @property
    def step_before(self) -> int | None:
        """The step of the evaluation before the shown one; None if there is none."""
        return self.steps[self.index - 1] if self.index > 0 else None

    @property
    def breakdown(self) -> Breakdown | None:
        """Accuracy by type and confusions of the shown evaluation; None if they are not in the journal."""
        return None if self.step is None else self.breakdowns.get(self.step)

    @property
    def is_newest(self) -> bool:
        """Whether the shown evaluation is the last one."""
        return self.index == len(self.steps) - 1


class TimelineReader:
    """Reads the evaluations of one run again and again, and only what has changed.

    May be called from any thread, but from one at a time.

    Args:
        run: A VQA run.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._journal = Journal(run.db)
        self._last = Timeline(RunState.CREATED)
        self._read_for: object = None
        """The journal's version and the wanted step of `_last`."""
        self._evaluations: object = None
        """The evaluations whose outcomes and breakdowns `_last` holds."""

    def poll(self, step: int | None = None) -> Timeline:
        """The evaluations; the same object as last time if nothing has changed.

        Args:
            step: The evaluation to show; None, or one that is not in the journal any more, for the last one.

        Raises:
            LooptopError: The run cannot be read; says why.
        """
        live = bool(self.run.live_by())
        with self._journal.snapshot():
            wanted = (self._journal.version(), live, step)
            if wanted != self._read_for:
                self._last = self._read(live, step)
                self._read_for = wanted
        return self._last

    def _read(self, live: bool, step: int | None) -> Timeline:
        journal, last = self._journal, self._last
        accuracies = {point.step: point.value for point in journal.values(ACCURACY)}
        # A resume makes evaluations of the same steps again.
        evaluations = (tuple(accuracies), tuple(journal.answer_steps()), len(journal.states()))
        outcomes, breakdowns, past, steps = last.outcomes, last.breakdowns, last.past_by_type, last.steps
        if evaluations != self._evaluations:
            outcomes, breakdowns = read_outcomes(journal), dict(read_breakdowns(journal))
            steps = tuple(sorted({*accuracies, *evaluations[1], *breakdowns}))
            past = past_by_type(breakdowns, steps)
            self._evaluations = evaluations
        index = steps.index(step) if step in steps else len(steps) - 1
        epoch = journal.last_until("epoch", steps[index]) if steps else None
        return Timeline(
            journal.state()[0].observed(live),
            steps,
            tuple(accuracies.get(each) for each in steps),
            outcomes,
            breakdowns,
            past,
            result_step(journal.facts()),
            index,
            epoch.value if epoch is not None else None,
            tuple(journal.answer_samples(steps[index])) if steps else (),
            tuple(journal.answer_samples(steps[index - 1])) if index > 0 else (),
        )
