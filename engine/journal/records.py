"""The records that describe runs, without any behaviour.

They are in a module of their own so that folder, journal and lock can share them without importing each other.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from looptop.engine.journal.causes import Cause
from looptop.engine.text import counted


class RunState(StrEnum):
    """The state of a run: created → (queued →) running ⇄ paused → finished | stopped | failed.

    `INTERRUPTED` is never journalled: readers show it for a run that has not ended, but whose lock nobody holds.
    """

    CREATED = "created"
    QUEUED = "queued"
    """It waits for another run to end."""
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        """Whether the run has journalled its end."""
        return self in (RunState.FINISHED, RunState.STOPPED, RunState.FAILED)

    @property
    def over(self) -> bool:
        """Whether nothing trains the run any more: it has ended, or was interrupted."""
        return self.ended or self is RunState.INTERRUPTED

    def observed(self, live: bool) -> RunState:
        """The state to show for a run that journalled this one: `INTERRUPTED` if it should be live and is not."""
        return self if live or self.ended else RunState.INTERRUPTED


def state_text(state: RunState, alerts: int) -> str:
    """A state for people, with the number of alerts: "finished, with 2 alerts".

    Args:
        state: The run's state.
        alerts: The number of its alerts.
    """
    return f"{state.value}, with {counted(alerts, 'alert')}" if alerts else state.value


class Reply(Struct, frozen=True):
    """A run's reply to a control."""

    ok: bool
    """Whether the control was accepted."""
    code: str
    """The outcome in a word, for programs: `paused`, `no_step_yet`."""
    message: str
    """The same for people."""


def accepted(code: str, message: str) -> Reply:
    """The reply to a control that was accepted."""
    return Reply(True, code, message)


def refused(code: str, why: str) -> Reply:
    """The reply to a control that was refused."""
    return Reply(False, code, why)


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
    """The title that a person gave it."""
    note: str = ""
    live: str = ""
    """How it is known to be live: by its `lock`, or by a recent `heartbeat` on `host`; empty if it is not."""
    host: str = ""
    """The machine that it runs on, or last ran on."""
    trouble: str = ""
    """What is wrong with its files; empty if nothing is."""
    metrics: dict[str, float | None] = {}
    """The last value of every metric; None stands for NaN."""
    alerts: int = 0
    """The number of its alerts, without those of steps that a resume discarded."""
    alert_codes: tuple[str, ...] = ()
    """The kinds of its alerts in words for programs, each once, in the order in which they were raised."""
    result_step: int | None = None
    """The step of its resulting model and test figures: that of the best evaluation, which may not be the last."""
    evaluation_step: int | None = None
    """The step of its last evaluation."""
    after: str = ""
    """The run that it waits for, if it is queued."""
    idle: float = 0.0
    """Seconds that it had ended before it was resumed."""

    @property
    def is_live_elsewhere(self) -> bool:
        """Whether it is live on another host, as only its heartbeat shows."""
        return self.live == "heartbeat"


class Point(Struct, frozen=True):
    """One value of a metric; None stands for NaN."""

    step: int
    value: float | None
    time: float


class Series(Struct, frozen=True):
    """A metric thinned for a chart: one entry for each column, with its exact smallest and largest value."""

    steps: list[int]
    """The middle of each column, or the exact step if nothing was thinned."""
    mean: list[float | None]
    minimum: list[float | None]
    maximum: list[float | None]
    missing: list[int]
    """The number of NaN values in each column."""
    smoothed: list[tuple[int, float | None]] = []
    """Steps and exponential averages; empty if not requested."""


class Event(Struct, frozen=True):
    """Something that happened, described in words."""

    id: int
    time: float
    step: int | None
    kind: str
    level: str
    """`info`, `warning` or `error`."""
    text: str
    superseded: bool = False
    """Whether it belongs to steps that a resume discarded."""
    code: str = ""
    """For an alert, its kind in a word, for programs."""


class StateChange(Struct, frozen=True):
    """A change of state."""

    time: float
    state: RunState
    reason: str
    """Why, for people."""
    cause: Cause | None = None
    """Why, for programs, if the run is held or has stopped; None in journals of version 1."""


class AnswerSample(Struct, frozen=True):
    """An answer of the model at an evaluation."""

    question_id: str
    image: str
    """A path or an id."""
    question: str
    truth: str
    answer: str
    confidence: float
    correct: float
    """The answer's accuracy, from 0 to 1."""


class ControlReply(Struct, frozen=True):
    """A control and the run's reply to it."""

    id: str
    kind: str
    time: float
    step: int | None
    """The step at whose end it was taken."""
    message: str
    """The outcome, for people."""
    ok: bool | None = None
    """Whether it was accepted; None in journals of version 1, whose messages contain it."""
    code: str = ""
    """The outcome, for programs; empty in journals of version 1."""

    @property
    def text(self) -> str:
        """The whole reply, for people."""
        return f"ignored: {self.message}" if self.ok is False else self.message
