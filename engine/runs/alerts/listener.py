"""Hands a run's figures to the rules, and journals the alerts that they raise, each once in a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Cause
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter, Listener
from looptop.engine.runs.alerts.accuracy import QuestionOnly
from looptop.engine.runs.alerts.gradients import Exploding, Vanishing
from looptop.engine.runs.alerts.losses import EvalLossWorse, LossAboveStart, LossRising, NotFinite, Overfitting
from looptop.engine.runs.alerts.records import Alert, AlertCode, Resources, Rule, Timing
from looptop.engine.runs.alerts.resources import Disk, GpuMemory
from looptop.engine.runs.alerts.sentences import SETTINGS, Settings, alert_text
from looptop.engine.runs.alerts.speed import Loading, Throughput


def rules_of(kind: str) -> list[Rule]:
    """New rules for a kind of run.

    PPO's losses do not show how good the policy is; `ppo.health` checks its batches. Somebody's own Trainer logs what
    it likes: all of it must be finite.
    """
    rules: list[Rule] = [NotFinite(None) if kind == "trainer" else NotFinite()]
    rules += [Exploding(), Throughput(), Loading(), Disk(), GpuMemory()]
    if kind != "ppo":
        rules += [LossAboveStart(), LossRising(), EvalLossWorse(), Overfitting(), Vanishing(), QuestionOnly()]
    return rules


class Alerts(Listener):
    """Raises the alerts of one run.

    Args:
        journal: Receives them.
        kind: The kind of run.
        what_slows: Says what else keeps this machine busy.
    """

    def __init__(self, journal: JournalWriter, kind: str, what_slows: Callable[[], str] = str) -> None:
        self._journal = journal
        self._rules = rules_of(kind)
        self._settings = SETTINGS.get(kind, Settings())
        self._what_slows = what_slows
        self._raised: set[tuple[str, str]] = set()
        self._replaying = False
        self._rises_by_design = False

    def on_facts(self, values: Mapping[str, Any]) -> None:
        """Passes the facts on."""
        for rule in self._rules:
            rule.on_facts(values)

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Judges the values of a step."""
        if not self._rises_by_design and any(map(_is_reward, values)):
            self._rises_by_design = True
            self._rules = [rule for rule in self._rules if not rule.needs_falling_loss]
        for rule in self._rules:
            self._raise(rule.on_metrics(step, values))

    def on_state(self, state: RunState, reason: str, cause: Cause | None) -> None:
        """Judges the run when it has finished."""
        if state is RunState.FINISHED:
            for rule in self._rules:
                self._raise(rule.on_finish())

    def on_timing(self, timing: Timing) -> None:
        """Judges how long a step took."""
        for rule in self._rules:
            self._raise(rule.on_timing(timing))

    def on_resources(self, resources: Resources) -> None:
        """Judges what is left of the machine."""
        for rule in self._rules:
            self._raise(rule.on_resources(resources))

    def replay(self, journal: Journal, last_step: int) -> None:
        """Reads what a resumed run journalled up to its checkpoint, so that no alert is raised twice.

        What was measured on the machine is not journalled, and a resumed run may be on another one: only that its
        alerts were raised is known.

        Args:
            journal: A reader of the run's journal.
            last_step: The checkpoint's step.
        """
        names = frozenset().union(*(rule.metrics for rule in self._rules))
        try:
            self.on_facts(journal.facts())
            events = journal.events()
            points = [(each.step, name, each.value) for name in names for each in journal.values(name)]
        except LooptopError:  # a damaged journal: an alert may be raised again
            return
        points.sort(key=lambda point: (point[0], point[1]))
        self._replaying = True
        for step, group in groupby(points, key=lambda point: point[0]):
            if step <= last_step:
                self.on_metrics(step, {name: math.nan if value is None else value for _, name, value in group})
        self._replaying = False
        raised = {each.code for each in events if not each.superseded and (each.step or 0) <= last_step and each.code}
        self._raised |= {(code, "") for code in raised}

    def _raise(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            key = (str(alert.code), alert.metric if alert.code is AlertCode.NOT_FINITE else "")
            if key in self._raised:
                continue
            self._raised.add(key)
            if not self._replaying:
                cause = self._what_slows() if alert.code is AlertCode.THROUGHPUT_FALLEN else ""
                text = alert_text(alert, self._settings, cause)
                self._journal.event("alert", text, alert.step, "warning", code=str(alert.code))


def _is_reward(metric: str) -> bool:
    """Whether TRL's trainers that maximise a reward log this metric; those that learn from pairs do not."""
    return metric in ("reward", "eval_reward") or metric.startswith("objective/")
