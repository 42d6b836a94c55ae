"""Watches a run in the foreground until it ends, and forwards ctrl-C to it.

The run has an engine process and a session of its own, so closing the terminal ends only the watcher. Ctrl-C, or a
SIGTERM to the watcher, is forwarded to the run: the first stops it with a checkpoint, the second stops it
immediately.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from looptop.engine.cli.output import duration, note, number, percent, say, say_json
from looptop.engine.cli.progress import Progress, Status
from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Cause
from looptop.engine.journal.decode import result_step
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import Point, RunState, state_text
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.listing import FIGURES, Figure, MeasuredModel, figures_of
from looptop.engine.runs.liveness import full_disk, why_interrupted
from looptop.engine.runs.notify import ALERTS, hit_breakpoint
from looptop.engine.runs.progress import Progress as RunProgress
from looptop.engine.runs.progress import progress_of, progress_text
from looptop.engine.text import visible

POLL_SECONDS = 0.2
_STEP_FIGURES = {"vqa": (("loss", "loss"),), "ppo": (("reward", "env/reward_mean"), ("kl", "objective/kl"))}
"""The figures of the last step on a progress line, by kind of run: label and metric."""
EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


class Interrupts:
    """Counts ctrl-C and SIGTERM, so that they do not interrupt the command in the middle of something."""

    def __init__(self) -> None:
        self.count = 0

    def _add(self, _number: int, _frame: object) -> None:
        self.count += 1

    @contextlib.contextmanager
    def counted(self) -> Iterator[Interrupts]:
        """Counts while the block runs; a signal that was ignored before (`nohup`, `&`) stays ignored."""
        before = {}
        for which in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(which) is not signal.SIG_IGN:
                before[which] = signal.signal(which, self._add)
        try:
            yield self
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: str
    kind: str
    state: RunState
    reason: str
    figures: dict[str, float | None]
    """The main figures of its final evaluation: accuracy and loss, or reward and kl."""
    seconds: float
    """From the command to the final evaluation, or to the end if that was not reached."""
    interrupted: bool
    """Whether ctrl-C was pressed."""
    alerts: int = 0
    """How many alerts the run raised, from its first start on."""
    split: str = ""
    """`test` if the figures are of the test split; empty for the held-out or validation data."""
    model: MeasuredModel | None = None
    """The model that the figures are of; None if there was no evaluation."""
    name: str = ""
    """The name to type in commands, if it is not `run`."""

    @property
    def exit_code(self) -> int:
        """The exit code of the command that watched."""
        if self.state in (RunState.FAILED, RunState.INTERRUPTED):
            return EXIT_INTERRUPTED if self.interrupted else EXIT_FAILED
        return EXIT_INTERRUPTED if self.interrupted and self.state is not RunState.FINISHED else EXIT_DONE


def watch(folder: RunFolder, began: float, interrupts: Interrupts, progress: Progress) -> Outcome:
    """Shows the run's progress until it has ended.

    Args:
        folder: A run that is live or was a moment ago.
        began: When the command started, in seconds since the epoch.
        interrupts: Counts ctrl-C.
        progress: Where the progress is shown.
    """
    reader = _Reader(folder, began)
    forwarded = 0
    was_held = was_full = False
    with contextlib.closing(progress):
        while True:
            state, reason, cause = _state(folder)
            ended = state.over and not folder.is_live()
            for line in reader.news():
                progress.note(line)
            held = hit_breakpoint(cause)
            if ended or reader.alerts or (held and not was_held):
                reader.alerts = 0
                progress.ring()
            was_held = held
            if ended:
                break
            full = full_disk(folder.path)
            # The journal cannot be written then: what it says of the run is old.
            progress.show(_full_disk_status(folder, full) if full else reader.status(state))
            if interrupts.count > forwarded:
                forwarded += 1
                progress.note(_forward_interrupt(folder, forwarded, has_stepped=reader.has_stepped))
            if full and not was_full:
                then = f"If it is held: looptop continue {folder.shell_name}"
                progress.note(f"{folder.id}  {full}; make room: until then the run keeps its metrics in memory. {then}")
            was_full = bool(full)
            time.sleep(POLL_SECONDS)
    return reader.outcome(state, reason, interrupted=interrupts.count > 0)


def _full_disk_status(folder: RunFolder, full: str) -> Status:
    return Status(folder.id, "disk full", 0.0, [f"{full}; make room"])


def show_outcome(outcome: Outcome, *, as_json: bool) -> int:
    """Prints how a run ended.

    Returns:
        The exit code.
    """
    if as_json:
        ended = {"run": outcome.run, "state": outcome.state.value}
        of = {
            "split": outcome.split or None,
            "checkpoint": None if outcome.model is None else outcome.model.which,
            "step": None if outcome.model is None else outcome.model.step,
        }
        rest = {"alerts": outcome.alerts, "seconds": round(outcome.seconds, 3)}
        say_json({**ended, **outcome.figures, **of, **rest})
    else:
        figures = [
            f"{outcome.split} {figure.label} {figure_text(figure, outcome.figures.get(figure.label), 2)}".strip()
            for figure in figures_of(outcome.kind)
        ]
        state = state_text(outcome.state, outcome.alerts)
        model = outcome.model
        which = f", {model.which} evaluation, step {model.step:,}" if model is not None else ""
        say(f"{outcome.run} {state}: {', '.join(figures)}, {duration(outcome.seconds)}{which}")
        if outcome.state is RunState.FINISHED:
            say(what_next(outcome.kind, outcome.name or outcome.run))
        else:
            if outcome.state is RunState.STOPPED and outcome.reason:
                say(visible(outcome.reason))
            name = outcome.name or outcome.run
            say(f"resume it: looptop resume {name}; its log: looptop logs {name}")
    if outcome.state is RunState.FAILED or (outcome.state is RunState.INTERRUPTED and not outcome.interrupted):
        note(f"looptop: {outcome.run} {outcome.state}: {visible(outcome.reason)}")
    return outcome.exit_code


def figure_text(figure: Figure, value: float | None, decimals: int = 1) -> str:
    """A figure's value for people; `decimals` are those of a percentage."""
    return percent(value, decimals) if figure.percent else number(value)


def what_next(kind: str, run: str) -> str:
    """The commands that use the result of a finished run."""
    return {
        "vqa": f"ask it: looptop ask IMAGE QUESTION --model {run}",
        "ppo": f"before and after: looptop compare {run}; use it: looptop generate {run} TEXT",
        "reward": f"train with it: looptop train ppo --set rewards.NAME.model={run} --set rewards.NAME.label=LABEL_0",
    }.get(kind, f"see it: looptop show {run}")


def _forward_interrupt(folder: RunFolder, count: int, *, has_stepped: bool) -> str:
    """Forwards the first, second or a later ctrl-C to the run; returns a sentence about what was done."""
    if count == 1:
        try:
            send(folder, "stop", by="cli")
        except LooptopError:
            # It has just ended, or the disk is full and takes no control; a signal needs no disk.
            _signal(folder, signal.SIGTERM)
        how = "with a checkpoint" if has_stepped else "before its first step"
        return f"{folder.id}  stopping, {how}; ctrl-C again stops it at once"
    owner = folder.owner()
    if owner is None or owner.host != socket.gethostname():
        return f"{folder.id}  its process cannot be reached from this machine"
    _signal(folder, signal.SIGTERM if count == 2 else signal.SIGKILL)
    return f"{folder.id}  stopping at once"


def _signal(folder: RunFolder, number: signal.Signals) -> None:
    owner = folder.owner()
    if owner is not None and owner.host == socket.gethostname() and folder.is_live():
        with contextlib.suppress(ProcessLookupError):
            os.kill(owner.pid, number)


class _Reader:
    """Reads what is new in a run's journal, each entry once."""

    def __init__(self, folder: RunFolder, began: float) -> None:
        self.folder = folder
        self.began = began
        self.journal = Journal(folder.db)
        self._figures = figures_of(folder.kind)
        self._seen_event = 0
        self._seen_evaluation = began
        self._versions: dict[str, int] = {}
        self._latest: dict[str, Point] = {}
        self._total = 0
        self._progress: RunProgress | None = None
        self._last_event = ""
        self.alerts = 0
        """Alerts since the bell was last rung; whoever rings it sets this to 0."""

    @property
    def has_stepped(self) -> bool:
        """Whether the run has made a step since the command started."""
        loss = self._latest.get("loss")
        return loss is not None and loss.time >= self.began

    def status(self, state: RunState) -> Status:
        """How far the run is now."""
        if self._changed("status"):
            self._latest = self.journal.latest()
            facts = self.journal.facts()
            self._total = facts.get("total_steps") or 0
            self._progress = progress_of(facts)
        loss = self._latest.get("loss")
        activity = progress_text(self._progress, duration) if self._progress is not None else ""
        if loss is None:
            phase = self._progress.text if self._progress is not None else self._last_event
            details = [state.value, *filter(None, [activity or self._last_event])]
            return Status(self.folder.id, f"{state.value} {phase}", 0.0, details)
        details = [f"step {loss.step}/{self._total}" if self._total else f"step {loss.step}"]
        for label, name in _STEP_FIGURES.get(self.folder.kind, _STEP_FIGURES["vqa"]):
            if (now := self._latest.get(name)) is not None:
                details.append(f"{label} {number(now.value)}")
        if activity:
            details.insert(1, activity)
        headline = self._figures[0]
        if (evaluated := headline.of(self._latest)) is not None:
            held_out = "held-out " if self.folder.kind == "ppo" else ""
            details.append(f"{held_out}{headline.label} {figure_text(headline, evaluated.value)}")
        if state is not RunState.RUNNING:
            details.insert(0, state.value)
        elif (left := self._latest.get("seconds_left")) and left.value is not None:
            details.append(f"about {duration(left.value)} left")
        if (speed := self._latest.get("samples_per_second")) and speed.value is not None:
            details.append(f"{speed.value:,.0f} samples/s")
        return Status(self.folder.id, state.value, min(1.0, loss.step / self._total) if self._total else 0.0, details)

    def news(self) -> Iterator[str]:
        """Lines about what has happened since the last call: evaluations, warnings, errors."""
        if not self._changed("news"):
            return
        for event in self.journal.events(after=self._seen_event):
            self._seen_event = event.id
            if event.time < self.began:  # from before the run was resumed
                continue
            self.alerts += event.kind in ALERTS
            if event.level == "info":
                self._last_event = visible(event.text)
            elif event.kind != "failed":  # printed at the end, as the outcome
                yield f"{self.folder.id}  {event.level}: {visible(event.text)}"
        curves = {
            figure: {point.step: point for point in self.journal.values(figure.metrics[-1])} for figure in self._figures
        }
        # By time and not by step: a resumed run makes some evaluations again.
        fresh = [point for point in curves[self._figures[0]].values() if point.time > self._seen_evaluation]
        for point in fresh:
            self._seen_evaluation = point.time
            values = {figure: curve.get(point.step) for figure, curve in curves.items()}
            texts = [f"{figure.label} {figure_text(figure, value.value)}" for figure, value in values.items() if value]
            yield f"{self.folder.id}  evaluation at step {point.step}: {', '.join(texts)}"

    def outcome(self, state: RunState, reason: str, *, interrupted: bool) -> Outcome:
        """How the run ended."""
        latest = self.journal.latest()
        points = {figure.label: figure.of(latest) for figure in self._figures}
        final = points[self._figures[0].label]
        result = self.journal.facts().get("result") or {}
        best, headline, model = result_step({"result": result}), self._figures[0], None
        if headline.label in result:
            model = None if best is None else MeasuredModel("best", best)
        elif final is not None and self.folder.kind in FIGURES:
            model = MeasuredModel("last", final.step)
        ended = final.time if state is RunState.FINISHED and final else time.time()
        return Outcome(
            run=self.folder.id,
            kind=self.folder.kind,
            state=state,
            reason=reason,
            # The run's own result comes from its best evaluation, which need not be the last.
            figures={label: result.get(label, point.value if point else None) for label, point in points.items()},
            seconds=max(0.0, ended - self.began),
            interrupted=interrupted,
            alerts=self.journal.alerts(),
            split="test" if headline.label in result and "test_accuracy" in latest else "",
            model=model,
            name=self.folder.shell_name,
        )

    def _changed(self, reader: str) -> bool:
        """Whether the run has written since the last call with this name."""
        version = self.journal.version()
        before, self._versions[reader] = self._versions.get(reader), version
        return version != before


def _state(folder: RunFolder) -> tuple[RunState, str, Cause | None]:
    state, journal = folder.state(), Journal(folder.db)
    with journal.snapshot():
        reason, cause = journal.state()[1], journal.cause()
    return (state, why_interrupted(folder), None) if state is RunState.INTERRUPTED else (state, reason, cause)
