"""Reads the data of a run for the PPO screen: its state, where it is held, its curves.

The pages read batches, samples and tokens themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from looptop.engine.journal.causes import HOLD_WORDS, Cause, Hold, HoldReason
from looptop.engine.journal.reader import Event, Outline, Point, total_steps
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import BatchRecord
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.liveness import why_interrupted
from looptop.tui.plots.composing import RunCurves
from looptop.tui.screens.curve_reader import CurveReader, CurveRequest, OverlaidRuns
from looptop.tui.screens.watch import RunWatcher


class HoldPosition(NamedTuple):
    """The batch and stage at which a run is held, or that it has reached, and why it is held."""

    step: int
    """The batch's step."""
    stage: str
    """The batch's stage; empty at the end of a step without stages."""
    why: str
    """The breakpoint that was hit, or what the run waits for; empty if a person paused it or let it step."""
    stepped: str = ""
    """What a person let it do before it was held: `stepped` or `stage reached`; empty for another hold."""


class Reward(NamedTuple):
    """One part of the reward."""

    name: str
    weight: float
    person: bool = False
    """Whether a person rates the samples."""


@dataclass(frozen=True)
class PpoSnapshot:
    """The data of a run at one moment."""

    id: str
    state: RunState
    version: int
    """Grows with everything that the run writes."""
    reason: str = ""
    cause: Cause | None = None
    """Why it is held, or has stopped."""
    live: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    latest: dict[str, Point] = field(default_factory=dict)
    first: int = 0
    """The first batch's step; 0 if there is none."""
    last: int = 0
    batch: BatchRecord | None = None
    """The last batch."""
    runs: tuple[RunCurves, ...] = ()
    """The curves of this run, and of those that are laid over it; none while no chart is on the screen."""
    request: CurveRequest | None = None
    """What the curves were read for."""
    breakpoints: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    started: float | None = None
    ended: float | None = None
    idle: float = 0.0
    """Seconds that it had ended before it was resumed."""
    alerts: int = 0
    """The number of alerts that the run raised."""
    trouble: str = ""
    """Why it was interrupted, if it was."""

    @property
    def count(self) -> int:
        """The number of batches."""
        return self.last - self.first + 1 if self.last else 0

    @property
    def held(self) -> HoldPosition | None:
        """Where the run is held; None if it is not."""
        hold = self.cause
        if self.state is not RunState.PAUSED or not isinstance(hold, Hold) or not hold.step:
            return None
        # Held because of the disk or an alert, not of a batch.
        if hold.reason in (HoldReason.DISK, HoldReason.ERROR, HoldReason.ALERT):
            return None
        return HoldPosition(hold.step, hold.stage or "updated", hold.detail, HOLD_WORDS.get(hold.reason, ""))

    @property
    def reached(self) -> HoldPosition | None:
        """The stage that the batch in progress has reached, held or not; None if there is none."""
        if self.held is not None:
            return self.held
        if self.live and self.batch is not None and self.batch.stage != "updated":
            return HoldPosition(self.batch.step, self.batch.stage, "")
        return None

    @property
    def total(self) -> int:
        """How many batches there will be; 0 if not known yet."""
        return total_steps(self.facts)

    @property
    def rewards(self) -> list[Reward]:
        """The parts of the reward, from the run's facts or, without these, from its configuration."""
        listed = self.facts.get("rewards") or self.settings.get("rewards") or []
        parts = [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []
        return [
            Reward(str(part.get("name", "?")), _weight(part.get("weight")), part.get("person") is True)
            for part in parts
        ]

    def setting(self, table: str, name: str, default: float) -> float:
        """A number of the configuration."""
        settings = self.settings.get(table)
        value = settings.get(name) if isinstance(settings, dict) else None
        return float(value) if isinstance(value, int | float) else default

    def names(self, prefix: str) -> list[str]:
        """The names of the metrics with this prefix, without the prefix."""
        return [name.removeprefix(prefix) for name in self.latest if name.startswith(prefix)]

    def value(self, name: str) -> float | None:
        """The last value of a metric."""
        point = self.latest.get(name)
        return point.value if point else None


def _weight(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 1.0


@dataclass
class ShownRun:
    """The run that the PPO screen shows, and its last snapshot."""

    folder: RunFolder | None = None
    journal: PpoJournal | None = None
    snapshot: PpoSnapshot | None = None


class PpoWatcher(RunWatcher):
    """Reads one run for the PPO screen."""

    def __init__(self, run: RunFolder) -> None:
        self.journal = PpoJournal(run.db)
        super().__init__(run, self.journal)
        self.overlaid = OverlaidRuns()
        """Runs that are laid over this one."""
        self._curves = CurveReader(run, self.journal)
        self._last: PpoSnapshot | None = None
        self._last_arguments: object = None
        """The journal's version and the arguments of the call that made `_last`."""

    def poll(self, request: CurveRequest | None = None) -> PpoSnapshot:
        """The current data; the same object as last time if nothing has changed.

        Args:
            request: The curves that are on the screen; None for none.

        Raises:
            LooptopError: The run cannot be read; says why.
        """
        live = self.run.is_live()
        with self.journal.snapshot():
            version, outline = self.refresh()
            arguments = (version, request)
            late = request is not None and self._curves.is_late
            if self._last is None or arguments != self._last_arguments or late:
                self._last = self._read(version, outline, live, request)
                self._last_arguments = arguments
        state = outline.state.observed(live)
        trouble = why_interrupted(self.run) if state is RunState.INTERRUPTED else ""
        current: dict[str, Any] = {"state": state, "live": live, "trouble": trouble}
        if request is not None:
            current["runs"] = (self._last.runs[0], *self.overlaid.read(self._last.runs[0], request))
        if any(getattr(self._last, name) != value for name, value in current.items()):
            self._last = replace(self._last, **current)
        return self._last

    def _read(self, version: int, outline: Outline, live: bool, request: CurveRequest | None) -> PpoSnapshot:
        first, last = self.journal.batch_ends()
        return PpoSnapshot(
            id=self.run.id,
            state=outline.state.observed(live),
            version=version,
            reason=outline.reason,
            cause=outline.cause,
            live=live,
            facts=outline.facts,
            settings=self.settings,
            latest=outline.latest,
            first=first,
            last=last,
            batch=self.journal.last_batch(),
            runs=() if request is None else (self._curves.read(outline, request, self.settings),),
            request=request,
            breakpoints=tuple(self.journal.breakpoints()),
            events=self.events,
            started=outline.started,
            ended=outline.ended,
            idle=outline.idle,
            alerts=outline.alerts,
        )
