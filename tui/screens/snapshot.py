"""Reads a run for the screen: its journal, its lock, its process's memory. The same for every run, live or long over.

Nothing is read again that has not changed, and series come thinned to the columns of the chart.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field, replace
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import AnswerSample, Event, Journal, Point, Series
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.liveness import full_disk, why_interrupted

EVENTS = 200
"""So many of the last events are kept."""

NO_SERIES = Series([], [], [], [], [])


@dataclass(frozen=True)
class Snapshot:
    """What is known of a run at one moment."""

    id: str
    state: RunState
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    latest: dict[str, Point] = field(default_factory=dict)
    loss: Series = NO_SERIES
    eval_loss: Series = NO_SERIES
    eval_accuracy: Series = NO_SERIES
    sample_steps: tuple[int, ...] = ()
    sample_step: int | None = None
    samples: tuple[AnswerSample, ...] = ()
    events: tuple[Event, ...] = ()
    started: float | None = None
    ended: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    """What a person calls it."""
    elsewhere: str = ""
    """The host whose heartbeat tells that it lives; empty where its lock does."""
    alerts: int = 0
    """How many the run raised."""
    memory: int | None = None
    """Bytes that the run's process holds; None where it is not on this machine."""
    trouble: str = ""
    """What keeps the run from saying how it goes, in half a sentence: the disk is full, its process is gone."""

    @property
    def live(self) -> bool:
        """Whether it is going on, or should be."""
        return self.state in (RunState.CREATED, RunState.RUNNING, RunState.PAUSED)

    def value(self, name: str) -> float | None:
        """The last value of a metric."""
        point = self.latest.get(name)
        return point.value if point else None

    @property
    def step(self) -> int:
        """The last step that was made."""
        return self.latest["loss"].step if "loss" in self.latest else 0

    @property
    def total_steps(self) -> int:
        """How many steps there will be; 0 where it is not known yet."""
        total = self.facts.get("total_steps")
        return int(total) if isinstance(total, int | float) and total > 0 else 0


class Watcher:
    """Reads one run, from any thread but one at a time."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._journal = Journal(run.db)
        self._version = -1
        self._asked: tuple[tuple[int, float], int | None] | None = None
        self._last: Snapshot | None = None
        self._settings: dict[str, Any] | None = None
        self._event = 0
        self._state = RunState.CREATED

    def look(self, columns: int, sample_step: int | None = None, weight: float = 0.0) -> Snapshot:
        """What is known now; the very same object as before where nothing changed.

        Args:
            columns: Of the chart.
            sample_step: Of which evaluation to show the answers; None for the latest.
            weight: Of the smoothing of the loss; 0 for none.

        Raises:
            LooptopError: The run cannot be read; says why.
        """
        by = self.run.live_by()
        live = bool(by)
        about, owner = self.run.about(), self.run.owner() if by == "heartbeat" else None
        elsewhere = owner.host if owner is not None else ""
        memory = self._memory() if live else None
        with self._journal.snapshot():
            return self._look(live, memory, (columns, weight), sample_step, about.title, elsewhere)

    def _look(
        self,
        live: bool,
        memory: int | None,
        how: tuple[int, float],
        sample_step: int | None,
        title: str,
        elsewhere: str,
    ) -> Snapshot:
        version = self._journal.version()
        asked = (how, sample_step)
        if self._last is not None and (version, asked) == (self._version, self._asked):
            said: dict[str, Any] = {"state": self._state.observed(live), "memory": memory}
            said |= {"title": title, "elsewhere": elsewhere, "trouble": self._trouble(said["state"])}
            if any(getattr(self._last, name) != value for name, value in said.items()):
                self._last = replace(self._last, **said)
            return self._last
        read = self._read(live, memory, how, sample_step)
        self._last = replace(read, title=title, elsewhere=elsewhere, trouble=self._trouble(read.state))
        self._version, self._asked = version, asked
        return self._last

    def _read(self, live: bool, memory: int | None, how: tuple[int, float], sample_step: int | None) -> Snapshot:
        journal, before = self._journal, self._last
        if self._settings is None:
            self._settings = {}
            with contextlib.suppress(LooptopError):
                self._settings = self.run.settings()
        outline = journal.outline()
        self._state = outline.state
        latest = outline.latest
        columns, weight = how

        def series(name: str, old: Series) -> Series:
            same = before is not None and self._asked is not None and self._asked[0] == how
            if same and before is not None and before.latest.get(name) == latest.get(name):
                return old
            found = journal.series(name, columns) if name in latest else NO_SERIES
            return journal.smoothed(name, found, weight if name == "loss" else 0.0)

        steps = tuple(journal.answer_steps())
        step = sample_step if sample_step in steps else (steps[-1] if steps else None)
        samples = before.samples if before and before.sample_step == step else ()
        if step is not None and not samples:
            samples = tuple(journal.answer_samples(step))
        fresh = journal.events(self._event)
        if fresh:
            self._event = fresh[-1].id
        return Snapshot(
            id=self.run.id,
            state=outline.state.observed(live),
            reason=outline.reason,
            facts=outline.facts,
            latest=latest,
            loss=series("loss", before.loss if before else NO_SERIES),
            eval_loss=series("eval_loss", before.eval_loss if before else NO_SERIES),
            eval_accuracy=series("eval_accuracy", before.eval_accuracy if before else NO_SERIES),
            sample_steps=steps,
            sample_step=step,
            samples=samples,
            events=((before.events if before else ()) + tuple(fresh))[-EVENTS:],
            started=outline.started,
            ended=outline.ended,
            settings=self._settings,
            memory=memory,
            alerts=outline.alerts,
        )

    def _trouble(self, state: RunState) -> str:
        if state is RunState.INTERRUPTED:
            return why_interrupted(self.run)
        return "" if state.ended else full_disk(self.run.path)

    def _memory(self) -> int | None:
        owner = self.run.owner()
        if owner is None or owner.host != socket.gethostname():
            return None
        import psutil

        try:
            held: int = psutil.Process(owner.pid).memory_info().rss
        except psutil.Error:
            return None
        # To two figures: what changes with every look would be drawn with every look.
        unit = 2 ** max(20, held.bit_length() - 7)
        rounded: int = held // unit * unit
        return rounded
