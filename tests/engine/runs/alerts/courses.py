"""Courses of runs for the tests of alerts, and the alerts that they raise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import Event, Point, RunState
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.alerts.listener import Alerts
from looptop.engine.runs.alerts.records import Timing

RECORDED = Path(__file__).parent / "recorded"

Values = Sequence[tuple[int, dict[str, float]]]


class Raised(JournalWriter):
    """Keeps the alerts that are added to it, and nothing else."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, int, str]] = []
        """Code, step and text of each."""

    def event(
        self,
        kind: str,
        text: str,
        step: int | None = None,
        level: str = "info",
        time: float | None = None,
        code: str = "",
    ) -> None:
        assert (kind, level) == ("alert", "warning")
        self.alerts.append((code, step or 0, text))

    @property
    def codes(self) -> list[str]:
        return [code for code, _, _ in self.alerts]


def judged(values: Values, *, kind: str = "vqa", finish: bool = True, **facts: Any) -> Raised:
    """The alerts of a run with these values of its steps."""
    raised = Raised()
    alerts = Alerts(raised, kind)
    alerts.on_facts(facts)
    for step, each in values:
        alerts.on_metrics(step, each)
    if finish:
        alerts.on_state(RunState.FINISHED, "", None)
    return raised


class Journalled(Journal):
    """What a run journalled of these values, as a resumed run reads it.

    Args:
        values: The values of its steps.
        alerts: The alerts that it raised.
        facts: Its facts.
    """

    def __init__(self, values: Values, alerts: Raised, facts: Mapping[str, Any]) -> None:
        self._values, self._alerts, self._facts = values, alerts.alerts, facts

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def events(self, after: int = 0) -> list[Event]:
        return [Event(1, 0.0, step, "alert", "warning", text, code=code) for code, step, text in self._alerts]

    def values(self, name: str, after_step: int = -1, limit: int = -1) -> list[Point]:
        return [Point(step, each[name], 0.0) for step, each in self._values if name in each]


def resumed(values: Values, at: int, *, kind: str = "vqa", **facts: Any) -> list[tuple[str, int]]:
    """Code and step of each alert of a run that was stopped after a step and resumed."""
    before = [(step, each) for step, each in values if step <= at]
    first = judged(before, kind=kind, finish=False, **facts)
    second = Raised()
    alerts = Alerts(second, kind)
    alerts.replay(Journalled(before, first, facts), at)
    for step, each in values:
        if step > at:
            alerts.on_metrics(step, each)
    alerts.on_state(RunState.FINISHED, "", None)
    return [(code, step) for code, step, _ in [*first.alerts, *second.alerts]]


def timed(
    throughputs: Sequence[float],
    *,
    loading: float = 0.0,
    cores: Callable[[float], float] = lambda throughput: 0.0,
    kind: str = "vqa",
    **options: Any,
) -> Raised:
    """The alerts of a run with these numbers of samples a second, in steps of 100 samples.

    `cores` is how many cores the run has while it computes, by its throughput.
    """
    raised = Raised()
    alerts = Alerts(raised, kind, **options)
    for step, throughput in enumerate(throughputs, 1):
        seconds = 100 / throughput
        cpu_seconds = cores(throughput) * (1 - loading) * seconds
        alerts.on_timing(Timing(step, seconds, loading * seconds, 100.0, cpu_seconds=cpu_seconds))
    return raised


def losses(course: Callable[[int], float], steps: int, before: float | None = None) -> Values:
    """Training losses from step 1 on, after an evaluation before training."""
    first: list[tuple[int, dict[str, float]]] = [] if before is None else [(0, {"eval_loss": before})]
    return [*first, *((step, {"loss": course(step)}) for step in range(1, steps + 1))]


def recorded(name: str) -> tuple[Values, str, Mapping[str, Any]]:
    """A recorded run: the values of its steps, its kind and its facts."""
    run = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    points = sorted(
        (each["first"] + index * each["every"], metric, math.nan if value is None else value)
        for metric, each in run["metrics"].items()
        for index, value in enumerate(each["values"])
    )
    # As a run journals them: a step's own values before those of the evaluation after it.
    return (
        [
            (step, {metric: value for _, metric, value in group})
            for (step, _), group in groupby(points, key=lambda point: (point[0], point[1].startswith("eval_")))
        ],
        run["kind"],
        run["facts"],
    )
