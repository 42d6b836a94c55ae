"""Reads the data of a run for the Train screen: its journal, its lock, its process's memory."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from typing import Any

from looptop.engine.journal.reader import AnswerSample, Event, Journal, Outline, Point, total_steps
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.liveness import full_disk, why_interrupted
from looptop.tui.plots.composing import RunCurves
from looptop.tui.screens.curve_reader import CurveReader, CurveRequest, OverlaidRuns
from looptop.tui.screens.watch import RunWatcher


@dataclass(frozen=True)
class Snapshot:
    """The data of a run at one moment."""

    id: str
    state: RunState
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    latest: dict[str, Point] = field(default_factory=dict)
    runs: tuple[RunCurves, ...] = ()
    """The curves of this run, and of those that are laid over it."""
    request: CurveRequest | None = None
    """What the curves were read for."""
    sample_steps: tuple[int, ...] = ()
    sample_step: int | None = None
    samples: tuple[AnswerSample, ...] = ()
    events: tuple[Event, ...] = ()
    started: float | None = None
    ended: float | None = None
    idle: float = 0.0
    """Seconds that it had ended before it was resumed."""
    settings: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    """The title that a person gave the run."""
    heartbeat_host: str = ""
    """The host whose heartbeat shows that the run is live; empty if its lock shows it."""
    alerts: int = 0
    """The number of alerts that the run raised."""
    memory: int | None = None
    """Memory of the run's process in bytes; None if it is not on this machine."""
    trouble: str = ""
    """Why the run may not write its progress, as part of a sentence: the disk is full, its process has ended."""

    @property
    def live(self) -> bool:
        """Whether the run is created, running or paused."""
        return self.state in (RunState.CREATED, RunState.QUEUED, RunState.RUNNING, RunState.PAUSED)

    def value(self, name: str) -> float | None:
        """The last value of a metric."""
        point = self.latest.get(name)
        return point.value if point else None

    @property
    def step(self) -> int:
        """The last completed step."""
        return self.latest["loss"].step if "loss" in self.latest else 0

    @property
    def total_steps(self) -> int:
        """How many steps there will be; 0 if not known yet."""
        return total_steps(self.facts)


class VqaWatcher(RunWatcher):
    """Reads one run for the Train screen."""

    def __init__(self, run: RunFolder) -> None:
        self._journal = Journal(run.db)
        super().__init__(run, self._journal)
        self.overlaid = OverlaidRuns()
        """Runs that are laid over this one."""
        self._curves = CurveReader(run, self._journal)
        self._last: Snapshot | None = None
        self._last_arguments: object = None
        """The journal's version and the arguments of the call that made `_last`."""

    def poll(self, request: CurveRequest, sample_step: int | None = None) -> Snapshot:
        """The current data; the same object as last time if nothing has changed.

        Args:
            request: The curves that are on the screen.
            sample_step: The evaluation whose answers are shown; None for the latest.

        Raises:
            LooptopError: The run cannot be read; says why.
        """
        live_by = self.run.live_by()
        live = bool(live_by)
        owner = self.run.owner() if live_by == "heartbeat" else None
        current: dict[str, Any] = {
            "title": self.run.about().title,
            "heartbeat_host": owner.host if owner is not None else "",
            "memory": self._memory() if live else None,
        }
        with self._journal.snapshot():
            version, outline = self.refresh()
            current["state"] = outline.state.observed(live)
            current["trouble"] = self._trouble(current["state"])
            arguments = (version, request, sample_step)
            if self._last is None or arguments != self._last_arguments or self._curves.is_late:
                self._last = self._read(outline, request, sample_step)
                self._last_arguments = arguments
        runs = (self._last.runs[0], *self.overlaid.read(self._last.runs[0], request))
        current["runs"] = runs
        if any(getattr(self._last, name) != value for name, value in current.items()):
            self._last = replace(self._last, **current)
        return self._last

    def _read(self, outline: Outline, request: CurveRequest, sample_step: int | None) -> Snapshot:
        journal, before = self._journal, self._last
        steps = tuple(journal.answer_steps())
        step = sample_step if sample_step in steps else (steps[-1] if steps else None)
        samples = before.samples if before and before.sample_step == step else ()
        if step is not None and not samples:
            samples = tuple(journal.answer_samples(step))
        return Snapshot(
            id=self.run.id,
            state=outline.state,
            reason=outline.reason,
            facts=outline.facts,
            latest=outline.latest,
            runs=(self._curves.read(outline, request, self.settings),),
            request=request,
            sample_steps=steps,
            sample_step=step,
            samples=samples,
            events=self.events,
            started=outline.started,
            ended=outline.ended,
            idle=outline.idle,
            settings=self.settings,
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
            resident_bytes: int = psutil.Process(owner.pid).memory_info().rss
        except psutil.Error:
            return None
        # Rounded to two digits, so that not every reading changes the screen.
        unit = 2 ** max(20, resident_bytes.bit_length() - 7)
        rounded: int = resident_bytes // unit * unit
        return rounded
