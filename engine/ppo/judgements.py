"""What a person changes in a PPO batch by hand, sample by sample: a reward, an exclusion, a rating.

A live run takes judgements as controls, keeps them in its journal and uses them in the batch's update. They are kept by
batch and sample, so a batch that is made again after a resume gets the same ones. In the journal of a run that is not
live they are written by whoever holds its lock for that moment.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.records import Answer, accepted, refused
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.journal import PpoJournal, write_judgement
from looptop.engine.ppo.records import JudgementKind
from looptop.engine.runs.checkpoint import newest_complete, step_of
from looptop.engine.runs.control import Control, send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate

JUDGEMENTS: tuple[JudgementKind, ...] = ("reward", "leave_out", "rating")
_TAKEN_BACK = {
    "reward": "its reward by hand is taken back",
    "leave_out": "leaving it out is taken back",
    "rating": "its rating is taken back",
}
LARGEST = {"fp32": 3.4028234663852886e38, "bf16": 3.3895313892515355e38, "fp16": 65504.0}
"""The largest number of each precision."""
FAR = 10.0
"""How many standard deviations from the mean of its batch a reward is called far."""


class Judgements:
    """All judgements of a run, in the run that applies them.

    Args:
        journal: A reader of those made before the run was resumed.
        writer: Keeps them.
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
        self._values: dict[tuple[int, int], dict[str, float]] = {}
        for judgement in journal.judgements():
            if judgement.value is not None:
                self._values.setdefault((judgement.step, judgement.row), {})[judgement.kind] = judgement.value

    def attach_to(self, gate: Gate) -> None:
        """Has the gate hand over the controls of these kinds."""
        for kind in JUDGEMENTS:
            gate.handlers[kind] = self.take

    def take(self, control: Control) -> Answer:
        """Keeps a control's judgement; the answer says what it will change."""
        step, row, value = control.batch, control.sample, control.value
        if step is None or row is None or step < 1 or not 0 <= row < self._batch_size:
            return refused(
                "no_such_sample", f"there is no sample {row} of batch {step}; a batch has {self._batch_size}"
            )
        if control.kind not in JUDGEMENTS:
            return refused("no_judgement", f"{control.kind} is no judgement of a sample")
        if control.kind != "rating" and step <= self._done():
            return refused("updated_already", f"batch {step} was updated already")
        try:
            check_value(control.kind, value, self._precision, self._weight)
        except LooptopError as error:
            return refused("bad_value", str(error))
        write_judgement(self._writer, step, row, control.kind, value, control.by)
        values = self._values.setdefault((step, row), {})
        if value is None:
            values.pop(control.kind, None)
            return accepted("taken_back", f"batch {step}, sample {row}: {_TAKEN_BACK[control.kind]}")
        values[control.kind] = value
        words = {
            "reward": f"its reward is {value:g}, and the update uses that",
            "leave_out": "it is left out of the update" if value else "it takes part in the update",
            "rating": f"rated {value:+g}",
        }
        far = far_from(self._rewards(step), value) if control.kind == "reward" else ""
        return accepted(control.kind, f"batch {step}, sample {row}: {far}{words[control.kind]}")

    def of(self, step: int, kind: JudgementKind) -> dict[int, float]:
        """The values of one kind for a batch's samples, by row."""
        return {row: values[kind] for (at, row), values in self._values.items() if at == step and kind in values}


def check_value(kind: str, value: float | None, precision: str, weight: float = 1.0) -> None:
    """Refuses a value that the run cannot compute with.

    Args:
        kind: `reward`, `leave_out` or `rating`.
        value: None takes the judgement back.
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


def judge(folder: RunFolder, step: int, row: int, kind: JudgementKind, value: float | None, by: str) -> Control | None:
    """Judges a sample, whether its run is live or not.

    Args:
        folder: A PPO run.
        step: The batch's step.
        row: The sample's index in it.
        kind: `reward`, `leave_out` or `rating`.
        value: None takes the judgement back.
        by: Who judges.

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
    if kind != "rating" and (done := PpoJournal(folder.db).batch(step)) is not None and done.stage == "updated":
        raise LooptopError(f"batch {step} of {folder.id} was updated already; a rating can still be given")
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
        writer = JournalWriter(folder.db)
        write_judgement(writer, step, row, kind, value, by)
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return None


def warning(folder: RunFolder, step: int, kind: JudgementKind, value: float | None) -> str:
    """The warning of `far_from` for a value that was written into the journal of a run that is not live."""
    if kind != "reward":
        return ""
    return far_from([each.reward for each in PpoJournal(folder.db).samples(step) if each.reward is not None], value)


def drop_edits(folder: RunFolder) -> tuple[int, int]:
    """Takes back the edits of the last batch that a resume would make again with them, after a failed update.

    Edits are rewards and exclusions, and ratings where the run's reward counts them.

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
        edits = [each for each in journal.judgements() if each.step > begins and each.kind in kinds]
        if not edits:
            raise LooptopError(
                f"{folder.id} has no edits to drop: no batch after its checkpoint was edited; resume it as it is"
            )
        step = max(each.step for each in edits)
        dropped = [each for each in edits if each.step == step]
        writer = JournalWriter(folder.db)
        for each in dropped:
            write_judgement(writer, each.step, each.row, each.kind, None, "cli")
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return step, len(dropped)


def _computes_with(folder: RunFolder) -> tuple[str, float]:
    """The run's precision, and the largest weight of a rating."""
    precision = str(PpoJournal(folder.db).facts().get("precision") or "")
    settings = folder.settings()
    training = settings.get("training")
    if precision not in LARGEST and isinstance(training, dict):
        precision = str(training.get("precision", ""))
    return precision if precision in LARGEST else "fp32", rating_weight(settings.get("rewards", ()))


def rating_weight(parts: object) -> float:
    """The largest weight by which a rating is multiplied, from a configuration's rewards as read; at least 1."""
    tables = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list | tuple) else []
    return max([1.0, *(abs(float(part.get("weight", 1.0))) for part in tables if part.get("person"))])
