"""A person's judgements of the samples of a PPO batch: a reward, an exclusion (`leave_out`) or a rating.

A judgement reaches a live run as a control. The run writes it to its journal and uses it in the batch's update; a batch
that is made again after a resume gets the same judgements. If the run is not live, whoever takes its lock writes the
judgement to the journal. An edit is a judgement that changes the update: a reward, an exclusion, or a rating if the
run's reward counts ratings.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.records import Reply, accepted, refused
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.journal import PpoJournal, write_judgement
from looptop.engine.ppo.records import JudgementKind
from looptop.engine.runs.checkpoint import newest_complete, step_of
from looptop.engine.runs.control import Control, send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate

JUDGEMENTS: tuple[JudgementKind, ...] = ("reward", "leave_out", "rating")
_REMOVED = {
    "reward": "its edited reward is removed",
    "leave_out": "it is no longer left out",
    "rating": "its rating is removed",
}
LARGEST_NUMBERS = {"fp32": 3.4028234663852886e38, "bf16": 3.3895313892515355e38, "fp16": 65504.0}
"""The largest finite number of each precision."""
FAR_DEVIATIONS = 10.0
"""A reward that is more standard deviations than this from the mean of its batch gets a warning."""


class Judgements:
    """All judgements of a live run, which applies them.

    Args:
        journal: Reads the judgements that were made before the run was resumed.
        writer: Writes new judgements to the journal.
        batch_size: The number of samples of a batch.
        last_updated: Returns the step of the last batch that was updated.
        precision: The precision in which the run computes.
        rewards: Returns the models' rewards of the batch of a step; empty if they are not known.
        weight: The largest weight by which the run multiplies a rating.
    """

    def __init__(
        self,
        journal: PpoJournal,
        writer: JournalWriter,
        batch_size: int,
        last_updated: Callable[[], int],
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
        self._last_updated = last_updated
        self._values: dict[tuple[int, int], dict[str, float]] = {}
        for judgement in journal.judgements():
            if judgement.value is not None:
                self._values.setdefault((judgement.step, judgement.row), {})[judgement.kind] = judgement.value

    def attach_to(self, gate: Gate) -> None:
        """Has the gate pass on the controls that are judgements."""
        for kind in JUDGEMENTS:
            gate.handlers[kind] = self.apply

    def apply(self, control: Control) -> Reply:
        """Records a control's judgement; the reply says what the judgement will change."""
        step, row, value = control.batch, control.sample, control.value
        if step is None or row is None or step < 1 or not 0 <= row < self._batch_size:
            return refused(
                "no_such_sample", f"there is no sample {row} of batch {step}; a batch has {self._batch_size}"
            )
        if control.kind not in JUDGEMENTS:
            return refused("no_judgement", f"{control.kind} is not a judgement of a sample")
        if control.kind != "rating" and step <= self._last_updated():
            return refused("updated_already", f"batch {step} was updated already")
        try:
            check_value(control.kind, value, self._precision, self._weight)
        except LooptopError as error:
            return refused("bad_value", str(error))
        write_judgement(self._writer, step, row, control.kind, value, control.by)
        values = self._values.setdefault((step, row), {})
        if value is None:
            values.pop(control.kind, None)
            return accepted("taken_back", f"batch {step}, sample {row}: {_REMOVED[control.kind]}")
        values[control.kind] = value
        effects = {
            "reward": f"its reward is {value:g}, and the update uses that",
            "leave_out": "it is left out of the update" if value else "it takes part in the update",
            "rating": f"rated {value:+g}",
        }
        warning = far_reward_warning(self._rewards(step), value) if control.kind == "reward" else ""
        return accepted(control.kind, f"batch {step}, sample {row}: {warning}{effects[control.kind]}")

    def values(self, step: int, kind: JudgementKind) -> dict[int, float]:
        """The values of one kind of judgement in a batch, by the sample's row."""
        return {row: values[kind] for (at, row), values in self._values.items() if at == step and kind in values}


def check_value(kind: str, value: float | None, precision: str, weight: float = 1.0) -> None:
    """Checks that the run can compute with a judgement's value.

    Args:
        kind: `reward`, `leave_out` or `rating`.
        value: The value; None, which removes the judgement, is always valid.
        precision: The precision in which the run computes.
        weight: The weight by which a rating is multiplied.

    Raises:
        LooptopError: The value is not a finite number, or is larger than the precision can hold.
    """
    if value is None:
        return
    word = {"reward": "reward", "rating": "rating"}.get(kind, "value")
    if not math.isfinite(value):
        raise LooptopError(f"a {word} must be a finite number, not {value:g}")
    largest = LARGEST_NUMBERS.get(precision, LARGEST_NUMBERS["fp32"])
    if abs(value) * (max(1.0, abs(weight)) if kind == "rating" else 1.0) > largest:
        times = f" times its weight of {weight:g}" if kind == "rating" and abs(weight) > 1 else ""
        raise LooptopError(
            f"the {word} {value:g}{times} is larger than {precision} can hold ({largest:.3g}); give a smaller one"
        )


def far_reward_warning(rewards: Sequence[float], value: float | None) -> str:
    """A warning that ends with a semicolon if `value` is far from a batch's other rewards; otherwise empty."""
    known = [reward for reward in rewards if math.isfinite(reward)]
    if value is None or len(known) < 2:
        return ""
    low, high = min(known), max(known)
    spread = max(statistics.pstdev(known), 0.01 * max(abs(low), abs(high)), 1e-6)
    if abs(value - statistics.fmean(known)) <= FAR_DEVIATIONS * spread:
        return ""
    return f"{value:g} is far from the rewards of its batch, which go from {low:.4g} to {high:.4g}; "


def record_judgement(
    folder: RunFolder, step: int, row: int, kind: JudgementKind, value: float | None, by: str
) -> Control | None:
    """Records a person's judgement of a sample, whether the run is live or not.

    Args:
        folder: A PPO run.
        step: The batch's step.
        row: The sample's index in the batch.
        kind: `reward`, `leave_out` or `rating`.
        value: The value; None removes the judgement.
        by: What sent it: `cli` or `app`.

    Returns:
        The control, whose reply the run will journal; None if the run is not live: the judgement has then
            already been written.

    Raises:
        LooptopError: The sample does not exist, the judgement would have no effect, or the journal cannot be written.
    """
    check_value(kind, value, *_precision_and_rating_weight(folder))
    if folder.is_live():
        return send(folder, kind, by, batch=step, sample=row, value=value)
    if PpoJournal(folder.db).sample(step, row) is None:
        raise LooptopError(f"{folder.id} has no sample {row} of a batch {step}")
    if kind != "rating" and (batch := PpoJournal(folder.db).batch(step)) is not None and batch.stage == "updated":
        raise LooptopError(f"batch {step} of {folder.id} was updated already; a rating can still be given")
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
        writer = JournalWriter(folder.db)
        write_judgement(writer, step, row, kind, value, by)
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return None


def warning(folder: RunFolder, step: int, kind: JudgementKind, value: float | None) -> str:
    """The warning of `far_reward_warning` for a judgement of a run that is not live."""
    if kind != "reward":
        return ""
    return far_reward_warning(
        [sample.reward for sample in PpoJournal(folder.db).samples(step) if sample.reward is not None], value
    )


def drop_edits(folder: RunFolder) -> tuple[int, int]:
    """Removes the edits of the last edited batch after the newest checkpoint, after they made its update fail.

    Without this, a resume would make that batch again with the same edits.

    Returns:
        The batch's step, and how many edits were dropped.

    Raises:
        LooptopError: The run is live, or no batch after its newest checkpoint has edits.
    """
    journal, newest = PpoJournal(folder.db), newest_complete(folder.checkpoints)
    checkpoint_step = 0 if newest is None else step_of(newest)
    rated = any(part.get("person") for part in folder.settings().get("rewards", ()) if isinstance(part, dict))
    kinds = ("reward", "leave_out", "rating") if rated else ("reward", "leave_out")
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
        edits = [edit for edit in journal.judgements() if edit.step > checkpoint_step and edit.kind in kinds]
        if not edits:
            raise LooptopError(
                f"{folder.id} has no edits to drop: no batch after its checkpoint was edited; resume it as it is"
            )
        step = max(edit.step for edit in edits)
        dropped = [edit for edit in edits if edit.step == step]
        writer = JournalWriter(folder.db)
        for edit in dropped:
            write_judgement(writer, edit.step, edit.row, edit.kind, None, "cli")
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return step, len(dropped)


def _precision_and_rating_weight(folder: RunFolder) -> tuple[str, float]:
    """The precision in which a run computes, and the largest weight by which it multiplies a rating."""
    precision = str(PpoJournal(folder.db).facts().get("precision") or "")
    settings = folder.settings()
    training = settings.get("training")
    if precision not in LARGEST_NUMBERS and isinstance(training, dict):
        precision = str(training.get("precision", ""))
    return precision if precision in LARGEST_NUMBERS else "fp32", rating_weight(settings.get("rewards", ()))


def rating_weight(parts: object) -> float:
    """The largest weight of a rating, at least 1, from the `rewards` of a configuration as plain dictionaries."""
    tables = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list | tuple) else []
    return max([1.0, *(abs(float(part.get("weight", 1.0))) for part in tables if part.get("person"))])
