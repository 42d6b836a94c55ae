"""What a person says while PPO runs: of samples (a reward, to leave it out, a rating), and when to stop and look.

A live run takes it as controls, journals it as a person's, and applies it: a sample's reward in the batch's update, a
breakpoint at each batch. It is kept by batch and sample, so a batch that is made again after a resume is judged as it
was. Of a run that is not live the journal is written by whoever takes its lock for that moment.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.records import Answer, RunState, accepted, refused
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.conditions import Condition, parse
from looptop.engine.ppo.journal import PpoJournal, write_judgement
from looptop.engine.ppo.records import JudgementKind
from looptop.engine.runs.checkpoint import newest_complete, step_of
from looptop.engine.runs.control import Control, send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate

JUDGEMENTS: tuple[JudgementKind, ...] = ("reward", "leave_out", "rating")
LARGEST = {"fp32": 3.4028234663852886e38, "bf16": 3.3895313892515355e38, "fp16": 65504.0}
"""The largest number of each precision."""
FAR = 10.0
"""A reward is far from the batch's others beyond so many of their standard deviations from their mean."""
_ADD_BREAKPOINT = "INSERT OR REPLACE INTO breakpoints VALUES (?, ?)"
_REMOVE_BREAKPOINT = "DELETE FROM breakpoints WHERE condition = ?"


class Judgements:
    """What was said of samples so far, in the run that applies it.

    Args:
        journal: A reader of what was said in earlier lives of the run.
        writer: Where it is kept.
        batch_size: The samples of a batch.
        done: Gives the step of the last batch that was updated.
        precision: The run's.
        rewards: Gives the models' rewards of a batch, by its step; none where they are not known.
        weight: The largest by which a rating is multiplied.
    """

    def __init__(
        self,
        journal: PpoJournal,
        writer: JournalWriter,
        batch_size: int,
        done: Callable[[], int],
        *,
        precision: str = "fp32",
        rewards: Callable[[int], Sequence[float]] = lambda _step: (),
        weight: float = 1.0,
    ) -> None:
        self._writer = writer
        self._precision = precision
        self._rewards = rewards
        self._weight = weight
        self._batch_size = batch_size
        self._done = done
        self._said: dict[tuple[int, int], dict[str, float]] = {}
        for judgement in journal.judgements():
            if judgement.value is not None:
                self._said.setdefault((judgement.step, judgement.row), {})[judgement.kind] = judgement.value

    def listen(self, gate: Gate) -> None:
        """Takes the gate's controls of these kinds."""
        for kind in JUDGEMENTS:
            gate.handlers[kind] = self.take

    def take(self, control: Control) -> Answer:
        """Keeps what a control says; the answer says what will come of it."""
        step, row, value = control.batch, control.sample, control.value
        if step is None or row is None or step < 1 or not 0 <= row < self._batch_size:
            return refused(
                "no_such_sample", f"there is no sample {row} of batch {step}; a batch has {self._batch_size}"
            )
        if control.kind not in JUDGEMENTS:
            return refused("no_judgement", f"{control.kind} says nothing of a sample")
        if control.kind != "rating" and step <= self._done():
            return refused("updated_already", f"batch {step} was updated already")
        try:
            check_value(control.kind, value, self._precision, self._weight)
        except LooptopError as error:
            return refused("bad_value", str(error))
        write_judgement(self._writer, step, row, control.kind, value, control.by)
        said = self._said.setdefault((step, row), {})
        if value is None:
            said.pop(control.kind, None)
            what = control.kind.replace("_", " ")
            return accepted("taken_back", f"batch {step}, sample {row}: what was said of its {what} is taken back")
        said[control.kind] = value
        words = {
            "reward": f"its reward is {value:g}, and the update uses that",
            "leave_out": "it is left out of the update" if value else "it takes part in the update",
            "rating": f"rated {value:+g}",
        }
        far = far_from(self._rewards(step), value) if control.kind == "reward" else ""
        return accepted(control.kind, f"batch {step}, sample {row}: {far}{words[control.kind]}")

    def of(self, step: int, kind: JudgementKind) -> dict[int, float]:
        """What was said of a batch's samples, by row."""
        return {row: said[kind] for (at, row), said in self._said.items() if at == step and kind in said}


def when_it_holds(condition: Condition, before: Sequence[str]) -> str:
    """When a breakpoint holds the run, in words.

    Args:
        condition: The breakpoint's.
        before: Names of scores and figures of quality.
    """
    if condition.waits_for_update(before):
        return f"holds the run after the update of a batch when {condition.text}: that is known only then"
    if not condition.figures():
        return f"holds the run before an update, or after it, when {condition.text}"
    return f"holds the run before an update when {condition.text}"


def check_value(kind: str, value: float | None, precision: str, weight: float = 1.0) -> None:
    """Refuses a value that the run cannot compute with.

    Args:
        kind: What is said.
        value: None takes back what was said.
        precision: The run's.
        weight: By which a rating is multiplied.

    Raises:
        LooptopError: The value is no number, or larger than the precision holds.
    """
    if value is None:
        return
    word = {"reward": "reward", "rating": "rating"}.get(kind, "value")
    if not math.isfinite(value):
        raise LooptopError(f"a {word} must be a finite number, and {value:g} is none")
    largest = LARGEST.get(precision, LARGEST["fp32"])
    if abs(value) * (max(1.0, abs(weight)) if kind == "rating" else 1.0) > largest:
        times = f" times its weight of {weight:g}" if kind == "rating" and abs(weight) > 1 else ""
        raise LooptopError(
            f"the {word} {value:g}{times} is larger than {precision} can hold ({largest:.3g}); give a smaller one"
        )


def far_from(rewards: Sequence[float], value: float | None) -> str:
    """A warning, with a semicolon behind it, where a reward is far from the batch's others; else empty."""
    known = [reward for reward in rewards if math.isfinite(reward)]
    if value is None or len(known) < 2:
        return ""
    low, high = min(known), max(known)
    spread = max(statistics.pstdev(known), 0.01 * max(abs(low), abs(high)), 1e-6)
    if abs(value - statistics.fmean(known)) <= FAR * spread:
        return ""
    return f"{value:g} is far from the rewards of its batch, which go from {low:.4g} to {high:.4g}; "


class Breakpoints:
    """Conditions at which the run is held.

    Args:
        journal: A reader of those that were set in earlier lives of the run.
        writer: Where they are kept.
        known: The names of scores and figures of quality that can be asked for.
    """

    def __init__(self, journal: PpoJournal, writer: JournalWriter, known: Sequence[str]) -> None:
        self._writer = writer
        self._known = list(known)
        self._conditions = {text: parse(text) for text in journal.breakpoints()}

    def listen(self, gate: Gate) -> None:
        """Takes the gate's controls of these kinds."""
        gate.handlers["break"] = self.add
        gate.handlers["unbreak"] = self.remove

    def add(self, control: Control) -> Answer:
        """Sets a breakpoint."""
        try:
            condition = parse(control.condition, self._known)
        except LooptopError as error:
            return refused("bad_condition", str(error))
        self._conditions[condition.text] = condition
        self._writer.rows(_ADD_BREAKPOINT, [(condition.text, control.created)])
        return accepted("breakpoint_set", when_it_holds(condition, self._known))

    def remove(self, control: Control) -> Answer:
        """Takes a breakpoint back."""
        text = " ".join(control.condition.split())
        if self._conditions.pop(text, None) is None:
            there = "; ".join(self._conditions) or "none"
            return refused("no_such_breakpoint", f"there is no breakpoint '{text}'; there are: {there}")
        self._writer.rows(_REMOVE_BREAKPOINT, [(text,)])
        return accepted("breakpoint_removed", f"the breakpoint {text} is gone")

    def hit(
        self,
        metrics: Mapping[str, float],
        samples: Mapping[str, Sequence[float]],
        asked_before: Collection[str] = (),
        rows: Sequence[int] | None = None,
    ) -> str:
        """The first breakpoint that is met, and what meets it, in words; empty where none is.

        Args:
            metrics: The batch's, by name.
            samples: By figure, a number a sample.
            asked_before: Figures that were known when this batch was asked before: what needs only these had its turn.
            rows: The samples' rows in the batch, where some were left out.
        """
        for condition in self._conditions.values():
            figures = condition.figures()
            if figures and all(name in asked_before for name in figures):
                continue
            if found := condition.met(metrics, samples, rows):
                return f"breakpoint {condition.text}: {found}"
        return ""


def judge(folder: RunFolder, step: int, row: int, kind: JudgementKind, value: float | None, by: str) -> Control | None:
    """Says something of a sample, whether its run is live or not.

    Args:
        folder: A PPO run.
        step: The batch's step.
        row: The sample's place in it.
        kind: What is said.
        value: None takes back what was said.
        by: Who says it.

    Returns:
        The control, whose answer the run will journal; None where the run is not live and it is written already.

    Raises:
        LooptopError: There is no such sample, the run is not live and would not use it, or cannot be written.
    """
    check_value(kind, value, *_computes_with(folder))
    if folder.is_live():
        return send(folder, kind, by, batch=step, sample=row, value=value)
    if PpoJournal(folder.db).sample(step, row) is None:
        raise LooptopError(f"{folder.id} has no sample {row} of a batch {step}")
    if kind != "rating" and (done := PpoJournal(folder.db).batch(step)) is not None and done.place == "updated":
        raise LooptopError(f"batch {step} of {folder.id} was updated already; a rating can still be given")
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
        writer = JournalWriter(folder.db)
        write_judgement(writer, step, row, kind, value, by)
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return None


def warning(folder: RunFolder, step: int, kind: JudgementKind, value: float | None) -> str:
    """What `far_from` says of a value that was written into the journal of a run that is not live."""
    if kind != "reward":
        return ""
    return far_from([each.reward for each in PpoJournal(folder.db).samples(step) if each.reward is not None], value)


def drop_edits(folder: RunFolder) -> tuple[int, int]:
    """Takes back what a person said of the last batch that a resume would make again with it: after a failed update.

    Rewards and what was left out; ratings too where the run's reward counts them.

    Returns:
        The batch's step, and how many edits were dropped.

    Raises:
        LooptopError: The run is live, or no batch that would be made again has edits.
    """
    journal, newest = PpoJournal(folder.db), newest_complete(folder.checkpoints)
    begins = 0 if newest is None else step_of(newest)
    rated = any(part.get("person") for part in folder.settings().get("rewards", ()) if isinstance(part, dict))
    kinds = ("reward", "leave_out", "rating") if rated else ("reward", "leave_out")
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
        edits = [said for said in journal.judgements() if said.step > begins and said.kind in kinds]
        if not edits:
            raise LooptopError(
                f"{folder.id} has no edits to drop: no batch after its checkpoint was edited; resume it as it is"
            )
        step = max(said.step for said in edits)
        dropped = [said for said in edits if said.step == step]
        writer = JournalWriter(folder.db)
        for said in dropped:
            write_judgement(writer, said.step, said.row, said.kind, None, "cli")
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return step, len(dropped)


def set_for_later(folder: RunFolder) -> str:
    """What becomes of a breakpoint that was set while the run is not live."""
    if folder.state() is RunState.FINISHED:
        return f"is set, but {folder.id} is finished: it cannot take effect unless the run is resumed"
    return "is set, for when the run goes on"


def _computes_with(folder: RunFolder) -> tuple[str, float]:
    """The run's precision, and the largest weight of a rating."""
    precision = str(PpoJournal(folder.db).facts().get("precision") or "")
    settings = folder.settings()
    training = settings.get("training")
    if precision not in LARGEST and isinstance(training, dict):
        precision = str(training.get("precision", ""))
    return precision if precision in LARGEST else "fp32", rating_weight(settings.get("rewards", ()))


def rating_weight(parts: object) -> float:
    """The largest weight by which a rating is multiplied, of the rewards in a configuration; 1 where there is none."""
    found = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list | tuple) else []
    return max([1.0, *(abs(float(part.get("weight", 1.0))) for part in found if part.get("person"))])


def set_breakpoint(folder: RunFolder, text: str, by: str, *, remove: bool = False) -> Control | None:
    """Sets a breakpoint of a run, or takes one back, whether the run is live or not.

    Returns:
        The control, whose answer the run will journal; None where the run is not live and it is written already.

    Raises:
        LooptopError: The condition is not one, or the run cannot be written.
    """
    condition: Condition = parse(text)
    if folder.is_live():
        return send(folder, "unbreak" if remove else "break", by, condition=condition.text)
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False) as lock:
        writer = JournalWriter(folder.db)
        sql, row = (
            (_REMOVE_BREAKPOINT, (condition.text,)) if remove else (_ADD_BREAKPOINT, (condition.text, lock.started))
        )
        writer.rows(sql, [row])
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return None
