"""What runs are described with: the records that cross between processes, and nothing that does anything.

They stand apart so that folder, journal and lock can share them without importing one another.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from looptop.engine.journal.causes import Cause


class RunState(StrEnum):
    """Where a run stands: created → running ⇄ paused → finished | stopped | failed.

    `INTERRUPTED` is never journalled: it is what a reader makes of a run that should be live and holds no lock.
    """

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        """Whether the run says itself that nothing more will come."""
        return self in (RunState.FINISHED, RunState.STOPPED, RunState.FAILED)

    def observed(self, live: bool) -> RunState:
        """What a reader makes of this state, journalled by a run that lives or does not."""
        return self if live or self.ended else RunState.INTERRUPTED


def state_text(state: RunState, alerts: int) -> str:
    """A state for people; a run that finished and raised alerts on its way is not said to be well.

    Args:
        state: Of the run.
        alerts: How many it raised.
    """
    return f"{state.value}, with alerts" if state is RunState.FINISHED and alerts else state.value


class Answer(Struct, frozen=True):
    """What a run answers to a control."""

    ok: bool
    """Whether it was taken."""
    code: str
    """What came of it, in a word for programs: `paused`, `no_checkpoint_yet`."""
    message: str
    """The same for people."""


def accepted(code: str, message: str) -> Answer:
    """The answer to a control that was taken."""
    return Answer(True, code, message)


def refused(code: str, why: str) -> Answer:
    """The answer to a control that was not taken."""
    return Answer(False, code, why)


class RunSummary(Struct, frozen=True):
    """One line of a list of runs."""

    id: str
    kind: str
    state: RunState
    reason: str = ""
    """Why it stopped or failed; or why the run cannot be read."""
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    eval_loss: float | None = None
    eval_accuracy: float | None = None
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    preset: str = ""
    device: str = ""
    title: str = ""
    """What a person calls it."""
    note: str = ""
    live: str = ""
    """How it is known to live: `lock` (a process holds it), `heartbeat` (of `host`, not long ago); empty: not."""
    host: str = ""
    """Where it lives, or lived last."""
    trouble: str = ""
    """What is wrong with its files, where something is."""
    metrics: dict[str, float | None] = {}
    """The last value of every metric; None stands for NaN."""
    alerts: int = 0
    """How many alerts it raised, but for those that a resume has gone back over."""
    result_step: int | None = None
    """The step that its model and its test figures are of: the best evaluation's, which need not be the last."""
    evaluation_step: int | None = None
    """The step of its last evaluation."""


class Point(Struct, frozen=True):
    """One value of a metric; None stands for NaN."""

    step: int
    value: float | None
    time: float


class Series(Struct, frozen=True):
    """A metric thinned for a chart: one entry a column, and the true smallest and largest value of each."""

    steps: list[int]
    """The middle of each column, or the exact step where nothing had to be thinned."""
    mean: list[float | None]
    minimum: list[float | None]
    maximum: list[float | None]
    missing: list[int]
    """How many of each column's values were NaN."""
    smoothed: list[tuple[int, float | None]] = []
    """Steps and exponential averages; empty where nobody asked for them."""


class Event(Struct, frozen=True):
    """Something that happened, in words."""

    id: int
    time: float
    step: int | None
    kind: str
    level: str
    """`info`, `warning` or `error`."""
    text: str
    superseded: bool = False
    """It belongs to steps that a resume has gone back over."""
    code: str = ""
    """Of an alert: which one, in a word for programs."""


class StateChange(Struct, frozen=True):
    """A change of state."""

    time: float
    state: RunState
    reason: str
    """Why, for people."""
    cause: Cause | None = None
    """Why, for programs, of a run that is held or has stopped; None in journals of version 1."""


class AnswerSample(Struct, frozen=True):
    """An answer that the model gave at an evaluation."""

    question_id: str
    image: str
    """A path or an id."""
    question: str
    truth: str
    answer: str
    confidence: float
    correct: float
    """The answer's accuracy, from 0 to 1."""


class ControlAnswer(Struct, frozen=True):
    """What became of a control."""

    id: str
    kind: str
    time: float
    step: int | None
    """The step at whose end it was taken."""
    message: str
    """What came of it, for people."""
    ok: bool | None = None
    """Whether it was taken; None in journals of version 1, whose messages say it."""
    code: str = ""
    """What came of it, for programs; empty in journals of version 1."""

    @property
    def text(self) -> str:
        """The whole answer, for people."""
        return f"ignored: {self.message}" if self.ok is False else self.message
