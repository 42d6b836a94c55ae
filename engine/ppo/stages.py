"""What a run does with a PPO batch at each stage: records it, takes controls, holds it, and checks its numbers.

A person's judgements (rewards, ratings, samples left out) are applied to the batch's update.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Hold, HoldReason, StopReason
from looptop.engine.ppo import health
from looptop.engine.ppo.batch_recorder import RecordedBatch, Recorder, batch_figures, sample_columns
from looptop.engine.ppo.breakpoints import Breakpoints
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.judgements import Judgements, rating_weight
from looptop.engine.ppo.records import STAGES, JudgementKind
from looptop.engine.ppo.statistics import MiniBatch
from looptop.engine.ppo.step import BatchProgress
from looptop.engine.runs.context import RunContext


class BatchDroppedError(Exception):
    """The run stops in the middle of a batch, which will be made again; it has not changed the model."""


class StageControl:
    """Records, holds and checks the batches of a run.

    Args:
        context: The run: journal, controls, folder.
        config: The run's configuration.
        tokenizer: The policy's tokenizer.
        quality_names: Names of the figures of quality.
        precision: The precision in which the run computes.
        last_step: Returns the step of the last batch that was updated.
        save: Makes a checkpoint of that step.

    Attributes:
        metrics: Those of the last batch, by name; in processes other than the first, empty.
    """

    def __init__(
        self,
        context: RunContext,
        config: PpoRunConfig,
        tokenizer: Any,
        *,
        quality_names: Sequence[str],
        precision: str,
        last_step: Callable[[], int],
        save: Callable[[], None],
    ) -> None:
        self.metrics: dict[str, float] = {}
        self._context = context
        self._config = config
        self._save = save
        self._asks_a_person = any(part.person for part in config.rewards)
        self._recorder = Recorder(context.journal, tokenizer)
        journal = PpoJournal(context.folder.db)
        self._judgements = Judgements(
            journal,
            context.journal,
            config.ppo.samples,
            last_updated=last_step,
            precision=precision,
            rewards=self._model_rewards,
            weight=rating_weight(msgspec.to_builtins(list(config.rewards))),
        )
        self._breakpoints = Breakpoints(
            journal, context.journal, [*(part.name for part in config.rewards), *quality_names]
        )
        self._health = health.Health(journal, health.Settings.of(config))
        self._batch: RecordedBatch | None = None
        self._since = 0.0
        self._checked_before: list[str] = []
        context.gate.stages = STAGES
        context.gate.on_pause = self._record
        self._judgements.attach_to(context.gate)
        self._breakpoints.attach_to(context.gate)

    def begin(self) -> None:
        """Starts the clock of a new batch."""
        self._since = self._context.running_seconds()

    def generated(self, progress: BatchProgress, references: dict[int, str]) -> None:
        """Starts recording a batch that has its responses.

        Args:
            progress: The batch.
            references: The reference's responses to some of its queries, by row.
        """
        self._batch = RecordedBatch(progress)
        self._batch.references = references

    def reached(self, progress: BatchProgress) -> None:
        """Takes controls, waits while the run is held, and makes the checkpoint that was asked for.

        Raises:
            BatchDroppedError: The run stops here.
            LooptopError: The batch's KL is not a number.
        """
        batch, gate, processes = self._current(), self._context.gate, self._context.processes
        hold = self._reason_to_hold(batch) if progress.stage == "compared" and processes.is_first else None
        self._note_seconds(batch)
        if processes.is_first:
            self._recorder.write_when_due(batch)
        verdict = gate.at_stage(progress.step, progress.stage, hold)
        while verdict.checkpoint or verdict.stop:
            if verdict.checkpoint:
                # The checkpoint is that of the previous step: this batch has changed no weight.
                self._save()
            if gate.after_checkpoint(progress.step - 1) or verdict.stop:
                if processes.is_first:
                    self._record()
                raise BatchDroppedError
            verdict = gate.at_stage(progress.step, progress.stage)
        self._since = self._context.running_seconds()

    def rewards_and_rows(self) -> tuple[list[float], list[int]]:
        """The reward of every sample of the batch, a person's among them, and the rows that nobody left out."""
        batch = self._current()
        return self._rewards_used(batch), self._rows(batch)

    def check_numbers(self, step: int, mini_batches: Sequence[MiniBatch]) -> None:
        """Checks the losses and the approximate KL before the optimiser's step.

        Raises:
            LooptopError: One of them is not a finite number.
        """
        for part in mini_batches:
            for name in ("loss/policy", "loss/value", "policy/approxkl"):
                if not math.isfinite(part.scalars[name]):
                    if self._context.processes.is_first:
                        self._record()
                    raise LooptopError(f"batch {step}: ppo/{name} is {part.scalars[name]}; {self._advice(step)}")

    def updated(self, progress: BatchProgress) -> None:
        """Records a batch that has made its passes, with health marks; holds the run if a breakpoint is hit."""
        if not self._context.processes.is_first:
            return
        batch, journal = self._current(), self._context.journal
        if not progress.rows:
            journal.event(
                "ppo", f"batch {progress.step}: every sample was left out, no update is made", progress.step, "warning"
            )
        self._note_seconds(batch)
        used, rows = self._rewards_used(batch), self._rows(batch)
        self.metrics = batch_figures(batch, used, rows)
        batch.marks = self._health.check(progress.step, self.metrics)
        for mark in batch.marks:
            if mark.kind in health.ALERT_KINDS and mark.begins(progress.step):
                text = f"batch {progress.step}: {mark.text}"
                journal.event("alert", text, progress.step, "warning", code=mark.kind)
        self._recorder.write(batch)
        columns = sample_columns(batch, used, rows)
        if hit := self._breakpoints.hit(self.metrics, columns, self._checked_before, rows):
            self._context.gate.hold_at_step_end(Hold(progress.step, "", HoldReason.BREAKPOINT, hit))
        self._batch = None

    def _current(self) -> RecordedBatch:
        assert self._batch is not None
        return self._batch

    def _note_seconds(self, batch: RecordedBatch) -> None:
        now = self._context.running_seconds()
        batch.seconds[batch.progress.stage] = now - self._since
        self._since = now

    def _record(self) -> None:
        """Records the batch so far: what screens show while the run is held."""
        if self._batch is not None:
            self._recorder.write(self._batch)

    def _reason_to_hold(self, batch: RecordedBatch) -> Hold | None:
        """The reason to hold the batch before its update, or None; stops a run whose KL is above the limit."""
        step, rows = batch.step, self._rows(batch)
        columns = sample_columns(batch, self._rewards_used(batch), rows)
        kl = columns["kl"]
        mean = sum(kl) / len(kl) if kl else 0.0
        hit = self._breakpoints.hit({}, columns, (), rows)
        self._checked_before = list(columns)
        if not math.isfinite(mean) and not hit:
            raise LooptopError(
                f"batch {step}: the policy's or the reference's log-probabilities are not numbers; {self._advice(step)}"
            )
        limit = self._config.training.kl_limit
        if mean > limit:
            reason = f"the mean KL of batch {step} is {mean:.1f}, above training.kl_limit ({limit:g})"
            self._context.journal.event(
                "alert", f"{reason}: the run stops, with a checkpoint", step, "error", code="kl_limit"
            )
            self._context.gate.request_stop(reason=StopReason.KL_LIMIT, detail=reason)
        if hit:
            return Hold(step, "compared", HoldReason.BREAKPOINT, hit)
        if self._asks_a_person:
            return Hold(step, "compared", HoldReason.RATING, "waits for ratings")
        return None

    def _rows(self, batch: RecordedBatch) -> list[int]:
        """The rows that nobody left out."""
        left_out = {row for row, value in self._judgements.values(batch.step, "leave_out").items() if value}
        return [row for row in range(len(batch)) if row not in left_out]

    def _model_rewards(self, step: int) -> Sequence[float]:
        """The models' rewards of the batch in progress; none for another step's."""
        return self._batch.progress.rewards if self._batch is not None and self._batch.step == step else ()

    def _rewards_used(self, batch: RecordedBatch) -> list[float]:
        """The models' rewards, with a person's instead or added."""
        rewards = list(batch.progress.rewards)
        ratings = self._judgements.values(batch.step, "rating")
        for part in self._config.rewards:
            if part.person:
                for row, rating in ratings.items():
                    rewards[row] += part.weight * rating
        for row, reward in self._judgements.values(batch.step, "reward").items():
            rewards[row] = reward
        return rewards

    def _advice(self, step: int) -> str:
        """What to do if numbers of a batch have overflowed: edits are the likeliest cause."""
        kinds: list[JudgementKind] = ["reward", "rating"] if self._asks_a_person else ["reward"]
        for batch in (step, step - 1):  # A batch's update may show only in the next one.
            for kind in kinds:
                edits = self._judgements.values(batch, kind)
                if edits:
                    row = max(edits, key=lambda row: abs(edits[row]))
                    run = self._context.folder.shell_name
                    return (
                        f"sample {row} of batch {batch} has the edited {kind} {edits[row]:g}: resume without it"
                        f" (`looptop resume {run} --drop-edits`), or lower training.learning_rate"
                    )
        return "lower training.learning_rate, or resume from an earlier checkpoint"
