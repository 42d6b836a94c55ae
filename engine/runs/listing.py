"""The list of runs: summaries, headline figures, progress, and the order of the list.

A summary is read again only when the run's files change, so that thousands of runs are listed quickly. Summaries are
also saved in `summaries.msgpack` in the home for the next program; that file can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.replacing import replace_private
from looptop.engine.home import home
from looptop.engine.journal.records import Point, RunSummary
from looptop.engine.runs.folder import RunFolder

_VERSION = 6
_STAMPED_FILES = ("run.db", "run.db-wal", "about.toml", "config.toml")
# The file is written once this many summaries are new.
_WORTH_WRITING = 20


class _CachedSummary(msgspec.Struct):
    stamp: tuple[int, ...]
    live: str
    summary: RunSummary


class _File(msgspec.Struct):
    version: int
    kept: dict[str, _CachedSummary]


class Summaries:
    """Reads the runs' summaries, from any thread."""

    def __init__(self) -> None:
        self._kept: dict[str, _CachedSummary] = {}
        self._loaded = False
        self._fresh = 0
        self._lock = threading.Lock()

    def all(self, on_part: Callable[[list[RunSummary]], object] | None = None) -> list[RunSummary]:
        """The summaries of all runs of this home, the newest first.

        Args:
            on_part: Receives the summaries so far, now and then while many are read for the first time.
        """
        with self._lock:
            return self._read(on_part)

    def _read(self, on_part: Callable[[list[RunSummary]], object] | None) -> list[RunSummary]:
        if not self._loaded:
            self._loaded = True
            self._kept = _load()
        folders = RunFolder.all()
        summaries = []
        for number, folder in enumerate(folders):
            summaries.append(self._summary(folder))
            if on_part is not None and self._fresh and number % 200 == 199:
                on_part(list(summaries))
        if len(self._kept) > len(folders):
            ids = {folder.id for folder in folders}
            self._kept = {run_id: kept for run_id, kept in self._kept.items() if run_id in ids}
        if self._fresh >= _WORTH_WRITING:
            _store(self._kept)
            self._fresh = 0
        return summaries

    def _summary(self, folder: RunFolder) -> RunSummary:
        stamp = _stamp(folder.path)
        kept = self._kept.get(folder.id)
        if kept is not None and kept.stamp == stamp:
            # A run that journalled its end, and has not changed since, is not live.
            if kept.summary.state.ended and not kept.live:
                return kept.summary
            if folder.live_by() == kept.live:
                return kept.summary
        summary = folder.summary()
        self._kept[folder.id] = _CachedSummary(stamp, summary.live, summary)
        self._fresh += 1
        return summary


def _stamp(folder: Path) -> tuple[int, ...]:
    stamp: list[int] = []
    for name in _STAMPED_FILES:
        try:
            status = os.stat(f"{folder}/{name}")  # noqa: PTH116 (thousands of them, twice a second)
            stamp += [status.st_mtime_ns, status.st_size]
        except OSError:
            stamp += [0, 0]
    # A live run updates its lock file every two seconds, so only the size of that file tells whether it was written.
    try:
        stamp.append(os.stat(f"{folder}/run.lock").st_size)  # noqa: PTH116
    except OSError:
        stamp.append(0)
    return tuple(stamp)


def _path() -> Path:
    return home() / "summaries.msgpack"


def _load() -> dict[str, _CachedSummary]:
    try:
        file = msgspec.msgpack.decode(_path().read_bytes(), type=_File)
    except (OSError, LooptopError, *UNREADABLE):
        return {}
    return file.kept if file.version == _VERSION else {}


def _store(kept: dict[str, _CachedSummary]) -> None:
    with contextlib.suppress(OSError, LooptopError):
        try:
            content = msgspec.msgpack.encode(_File(_VERSION, kept))
        except UnicodeEncodeError:  # a title that is not UTF-8: each program reads this run itself
            encodable = {name: each for name, each in kept.items() if _is_encodable(each)}
            content = msgspec.msgpack.encode(_File(_VERSION, encodable))
        replace_private(_path(), content)


def _is_encodable(each: _CachedSummary) -> bool:
    try:
        msgspec.msgpack.encode(each)
    except UnicodeEncodeError:
        return False
    return True


def last_in_queue(live: Sequence[RunSummary]) -> str:
    """The id of the run that a new one is queued after: the newest that no other run waits for.

    Args:
        live: The live runs, the newest first; at least one.
    """
    waited_for = {each.after for each in live}
    return next((each.id for each in live if each.id not in waited_for), live[0].id)


_HEADLINE_METRICS = (
    "test_accuracy",
    "eval_accuracy",
    "eval_reward",
    "reward",
    "env/reward_mean",
    "ppo/mean_scores",
    "eval_loss",
    "loss",
    "train_loss",
    "train/loss",
)
"""The metrics for the headline, the best first. A run that has none of them shows its first metric."""

COLUMNS = ("id", "kind", "state", "progress", "headline", "started", "took", "device", "note", "created")
"""What the list can be ordered by, besides metrics."""

_STATES = ("running", "paused", "queued", "created", "interrupted", "failed", "stopped", "finished")


def headline(summary: RunSummary) -> tuple[str, float | None]:
    """The run's headline: a metric and its last value. The name is empty if the run has no metrics."""
    name = next((name for name in _HEADLINE_METRICS if name in summary.metrics), next(iter(summary.metrics), ""))
    return name, summary.metrics.get(name)


class MeasuredModel(msgspec.Struct, frozen=True):
    """Which of a run's models a figure of an evaluation is of."""

    which: str
    """`best`: that of the best evaluation, which is the run's result; `last`: that of the last evaluation."""
    step: int

    def __str__(self) -> str:
        return f"{self.which}, step {self.step:,}"


def measured_model(metric: str, summary: RunSummary) -> MeasuredModel | None:
    """The model that the last value of a metric is of; None if it is not of an evaluation."""
    if metric.startswith("test_"):
        return None if summary.result_step is None else MeasuredModel("best", summary.result_step)
    if metric.startswith("eval_") and summary.evaluation_step is not None:
        return MeasuredModel("last", summary.evaluation_step)
    return None


def progress(summary: RunSummary) -> float | None:
    """The completed fraction of the run, from 0 to 1; None if unknown."""
    if not summary.total_steps:
        return None
    return max(0.0, min(1.0, (summary.step or 0) / summary.total_steps))


class TimedRun(Protocol):
    """What is known of a run's time: a summary, or what a screen has read."""

    @property
    def started(self) -> float | None:
        """When it began to train."""

    @property
    def ended(self) -> float | None:
        """When it ended."""

    @property
    def idle(self) -> float:
        """As in `Outline`."""

    @property
    def live(self) -> str | bool:
        """Whether it is live."""


def took(run: TimedRun) -> float | None:
    """Seconds from the run's start to its end, or until now, without those in which nothing trained it (`idle`).

    None if it never ran or its end is unknown.
    """
    if run.started is None:
        return None
    if run.ended is not None:
        return max(0.0, run.ended - run.started - run.idle)
    return max(0.0, time.time() - run.started - run.idle) if run.live else None


def ordered(summaries: Iterable[RunSummary], by: str, *, reverse: bool = False) -> list[RunSummary]:
    """Sorts runs by a column or a metric; runs without a value always come last.

    Args:
        summaries: The runs.
        by: One of `COLUMNS`, or a metric.
        reverse: Whether the largest comes first.
    """
    value: Callable[[RunSummary], Any] = _KEYS.get(by) or (lambda summary: summary.metrics.get(by))
    keyed = [(value(summary), summary) for summary in summaries]
    with_value = sorted(
        ((key, each) for key, each in keyed if key is not None), key=lambda pair: pair[0], reverse=reverse
    )
    return [each for _, each in with_value] + [each for key, each in keyed if key is None]


def _by_number(run_id: str) -> tuple[str, int]:
    match = re.fullmatch(r"([a-z]+)-(\d+)", run_id)
    return (match[1], int(match[2])) if match else (run_id, 0)


_KEYS: dict[str, Callable[[RunSummary], Any]] = {
    "id": lambda summary: _by_number(summary.id),
    "kind": lambda summary: summary.kind,
    "state": lambda summary: _STATES.index(summary.state.value),
    "progress": progress,
    "headline": lambda summary: headline(summary)[1],
    "started": lambda summary: summary.started,
    "took": took,
    "device": lambda summary: summary.device or None,
    "note": lambda summary: (summary.title or summary.note).lower() or None,
    "created": lambda summary: summary.created,
}


@dataclass(frozen=True)
class Figure:
    """A figure that is shown for a kind of run."""

    label: str
    """Its name."""
    metrics: tuple[str, ...]
    """The metrics that hold it, the preferred first."""
    percent: bool = False
    """Whether it is a fraction that is shown in percent."""

    def of(self, latest: Mapping[str, Point]) -> Point | None:
        """Its latest value; None if there is none."""
        return next((latest[name] for name in self.metrics if name in latest), None)


_ACCURACY = Figure("accuracy", ("test_accuracy", "eval_accuracy"), percent=True)
_LOSS = Figure("loss", ("test_loss", "eval_loss"))

FIGURES: dict[str, tuple[Figure, ...]] = {
    "vqa": (_ACCURACY, _LOSS),
    "reward": (_ACCURACY, _LOSS),
    "ppo": (Figure("reward", ("eval_reward",)), Figure("kl", ("eval_kl",))),
}
"""The figures of each kind of run, the headline first."""


def figures_of(kind: str) -> tuple[Figure, ...]:
    """The figures of a kind of run; for somebody's own Trainer, the loss."""
    return FIGURES.get(kind, (Figure("loss", ("eval_loss", "loss")),))
