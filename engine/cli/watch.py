"""Watches a run in the foreground until it ends, and hands ctrl-C on to it.

The run lives in an engine process of its own, in a session of its own: a terminal that goes away takes only the watcher
with it. Ctrl-C, or a SIGTERM to the watcher, is handed on: the first as a stop with a checkpoint, the second at once.
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
from looptop.engine.cli.progress import Progress, Reading
from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Cause
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import Point, RunState, state_text
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder, result_step
from looptop.engine.runs.listing import Figure, figures_of
from looptop.engine.runs.liveness import full_disk, why_interrupted
from looptop.engine.runs.notify import ALERTS, hit_breakpoint
from looptop.engine.runs.progress import Progress as RunProgress
from looptop.engine.runs.progress import progress_of, progress_text
from looptop.engine.text import visible

POLL_SECONDS = 0.2
_NOW = {"vqa": (("loss", "loss"),), "ppo": (("reward", "env/reward_mean"), ("kl", "objective/kl"))}
"""What a progress line says of the step itself: word and metric."""
DONE, FAILED, LEFT = 0, 1, 130


class Interrupts:
    """Counts ctrl-C (and SIGTERM) instead of being thrown out of the middle of something."""

    def __init__(self) -> None:
        self.count = 0

    def _take(self, _number: int, _frame: object) -> None:
        self.count += 1

    @contextlib.contextmanager
    def taken(self) -> Iterator[Interrupts]:
        """Counts while the block runs; a signal that was ignored before (`nohup`, `&`) stays ignored."""
        before = {}
        for which in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(which) is not signal.SIG_IGN:
                before[which] = signal.signal(which, self._take)
        try:
            yield self
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    run: str
    kind: str
    state: RunState
    reason: str
    figures: dict[str, float | None]
    """What its kind is judged by, of its final evaluation: accuracy and loss, or reward and kl."""
    seconds: float
    """From the command to the final evaluation, or to the end where it was not reached."""
    interrupted: bool
    """A person left with ctrl-C."""
    alerts: int = 0
    """How many the run raised, in all of its lives."""
    step: int | None = None
    """The step that the figures are of, where it is not the last."""
    name: str = ""
    """What a person types to mean it, where that is not `run`."""

    @property
    def exit_code(self) -> int:
        """The exit code of the command that watched."""
        if self.state in (RunState.FAILED, RunState.INTERRUPTED):
            return LEFT if self.interrupted else FAILED
        return LEFT if self.interrupted and self.state is not RunState.FINISHED else DONE


def watch(folder: RunFolder, began: float, interrupts: Interrupts, progress: Progress) -> Outcome:
    """Shows how the run goes until it has ended.

    Args:
        folder: A run that is live or was a moment ago.
        began: When the command was given, in seconds since the epoch.
        interrupts: Counts ctrl-C.
        progress: Where to show it.
    """
    reader = _Reader(folder, began)
    handed_on = 0
    was_held = was_full = False
    with contextlib.closing(progress):
        while True:
            state, reason, cause = _state(folder)
            ended = (state.ended or state is RunState.INTERRUPTED) and not folder.is_live()
            for line in reader.news():
                progress.note(line)
            held = hit_breakpoint(cause)
            if ended or reader.alerts or (held and not was_held):
                reader.alerts = 0
                progress.ring()
            was_held = held
            if ended:
                break
            progress.show(reader.reading(state))
            if interrupts.count > handed_on:
                handed_on += 1
                progress.note(_hand_on(folder, handed_on, stepped=reader.stepped))
            full = full_disk(folder.path)
            if full and not was_full:
                progress.note(f"{folder.id}  {full}; what the run has to say waits in its memory, make room")
            was_full = bool(full)
            time.sleep(POLL_SECONDS)
    return reader.outcome(state, reason, interrupted=interrupts.count > 0)


def show_outcome(outcome: Outcome, *, as_json: bool) -> int:
    """Prints what became of a run.

    Returns:
        The exit code.
    """
    if as_json:
        ended = {"run": outcome.run, "state": outcome.state.value}
        say_json({**ended, **outcome.figures, "alerts": outcome.alerts, "seconds": round(outcome.seconds, 3)})
    else:
        figures = [
            f"{figure.label} {said(figure, outcome.figures.get(figure.label), 2)}"
            for figure in figures_of(outcome.kind)
        ]
        state = state_text(outcome.state, outcome.alerts)
        of = f", of step {outcome.step}, the best evaluation" if outcome.step is not None else ""
        say(f"{outcome.run} {state}: {', '.join(figures)}, {duration(outcome.seconds)}{of}")
        if outcome.state is RunState.FINISHED:
            say(what_next(outcome.kind, outcome.name or outcome.run))
        else:
            if outcome.state is RunState.STOPPED and outcome.reason:
                say(visible(outcome.reason))
            name = outcome.name or outcome.run
            say(f"go on: looptop resume {name}; its log: looptop logs {name}")
    if outcome.state is RunState.FAILED or (outcome.state is RunState.INTERRUPTED and not outcome.interrupted):
        note(f"looptop: {outcome.run} {outcome.state}: {visible(outcome.reason)}")
    return outcome.exit_code


def said(figure: Figure, value: float | None, places: int = 1) -> str:
    """A figure's value for people."""
    return percent(value, places) if figure.percent else number(value)


def what_next(kind: str, run: str) -> str:
    """What to do with the result."""
    return {
        "vqa": f"ask it: looptop ask IMAGE QUESTION --model {run}",
        "ppo": f"before and after: looptop compare {run}; use it: looptop generate {run} TEXT",
        "reward": f"train with it: looptop train ppo --set rewards.NAME.model={run} --set rewards.NAME.label=LABEL_0",
    }.get(kind, f"see it: looptop show {run}")


def _hand_on(folder: RunFolder, count: int, *, stepped: bool) -> str:
    """Hands the first, second or a later ctrl-C on to the run; says what was done."""
    if count == 1:
        try:
            send(folder, "stop", by="cli")
        except LooptopError:
            # It has ended in this moment, or the disk is full and takes no control: a signal needs no room.
            _signal(folder, signal.SIGTERM)
        how = "with a checkpoint" if stepped else "before its first step"
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
    """Reads a run's journal, each thing once."""

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
        self._doing = ""
        self.alerts = 0
        """Alerts since they were last looked at."""

    @property
    def stepped(self) -> bool:
        """Whether the run has made a step since it was watched."""
        loss = self._latest.get("loss")
        return loss is not None and loss.time >= self.began

    def reading(self, state: RunState) -> Reading:
        """Where the run stands now."""
        if self._changed("reading"):
            self._latest = self.journal.latest()
            facts = self.journal.facts()
            self._total = facts.get("total_steps") or 0
            self._progress = progress_of(facts)
        loss = self._latest.get("loss")
        now_doing = progress_text(self._progress, duration) if self._progress is not None else ""
        if loss is None:
            doing = now_doing or self._doing
            phase = self._progress.text if self._progress is not None else self._doing
            return Reading(self.folder.id, f"{state.value} {phase}", 0.0, [state.value, *filter(None, [doing])])
        words = [f"step {loss.step}/{self._total}" if self._total else f"step {loss.step}"]
        for word, name in _NOW.get(self.folder.kind, _NOW["vqa"]):
            if (now := self._latest.get(name)) is not None:
                words.append(f"{word} {number(now.value)}")
        if now_doing:
            words.insert(1, now_doing)
        headline = self._figures[0]
        if (evaluated := headline.of(self._latest)) is not None:
            held_out = "held-out " if self.folder.kind == "ppo" else ""
            words.append(f"{held_out}{headline.label} {said(headline, evaluated.value)}")
        if state is not RunState.RUNNING:
            words.insert(0, state.value)
        elif (left := self._latest.get("seconds_left")) and left.value is not None:
            words.append(f"{duration(left.value)} left")
        if (speed := self._latest.get("samples_per_second")) and speed.value is not None:
            words.append(f"{speed.value:,.0f} samples/s")
        return Reading(self.folder.id, state.value, min(1.0, loss.step / self._total) if self._total else 0.0, words)

    def news(self) -> Iterator[str]:
        """Lines about what has happened since the last call: evaluations, warnings, errors."""
        if not self._changed("news"):
            return
        for event in self.journal.events(after=self._seen_event):
            self._seen_event = event.id
            if event.time < self.began:  # of an earlier life of the run
                continue
            self.alerts += event.kind in ALERTS
            if event.level == "info":
                self._doing = visible(event.text)
            elif event.kind != "failed":  # Said at the end, as the outcome.
                yield f"{self.folder.id}  {event.level}: {visible(event.text)}"
        curves = {
            figure: {point.step: point for point in self.journal.values(figure.metrics[-1])} for figure in self._figures
        }
        # By time and not by step: a resumed run makes some evaluations again.
        fresh = [point for point in curves[self._figures[0]].values() if point.time > self._seen_evaluation]
        for point in fresh:
            self._seen_evaluation = point.time
            values = {figure: curve.get(point.step) for figure, curve in curves.items()}
            words = [f"{figure.label} {said(figure, found.value)}" for figure, found in values.items() if found]
            yield f"{self.folder.id}  evaluation at step {point.step}: {', '.join(words)}"

    def outcome(self, state: RunState, reason: str, *, interrupted: bool) -> Outcome:
        """What became of the run."""
        latest = self.journal.latest()
        found = {figure.label: figure.of(latest) for figure in self._figures}
        final = found[self._figures[0].label]
        result = self.journal.facts().get("result") or {}
        last = latest["loss"].step if "loss" in latest else None
        ended = final.time if state is RunState.FINISHED and final else time.time()
        return Outcome(
            run=self.folder.id,
            kind=self.folder.kind,
            state=state,
            reason=reason,
            # What the run gave as its result is of its best evaluation, which need not be the last.
            figures={word: result.get(word, point.value if point else None) for word, point in found.items()},
            seconds=max(0.0, ended - self.began),
            interrupted=interrupted,
            alerts=self.journal.alerts(),
            step=best if (best := result_step({"result": result})) != last else None,
            name=self.folder.shell_name,
        )

    def _changed(self, what: str) -> bool:
        """Whether the run has written since this was last asked for the same."""
        version = self.journal.version()
        before, self._versions[what] = self._versions.get(what), version
        return version != before


def _state(folder: RunFolder) -> tuple[RunState, str, Cause | None]:
    state, journal = folder.state(), Journal(folder.db)
    with journal.snapshot():
        reason, cause = journal.state()[1], journal.cause()
    return (state, why_interrupted(folder), None) if state is RunState.INTERRUPTED else (state, reason, cause)
