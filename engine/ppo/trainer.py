"""The PPO loop as a `transformers.Trainer`: one of its steps is one PPO batch (listing 7.6, fig 7.12).

A step generates, scores, compares and makes all passes, stepping the optimiser itself for all but the last, which is
Trainer's. A checkpoint stands only between batches: a batch that is held is dropped when the run stops, and is made
again identically, since everything random in it follows from the seed and its step.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainingArguments

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import UNREADABLE, LooptopError, said_of
from looptop.engine.journal.causes import Hold, HoldReason, StopReason
from looptop.engine.ppo import health, update
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.compare import Comparison, compare
from looptop.engine.ppo.data import Query, QueryData
from looptop.engine.ppo.generation import HELD_OUT, TRAINING, uniforms
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.judging import Breakpoints, Judgements
from looptop.engine.ppo.policy import Policy, PolicyOutput
from looptop.engine.ppo.recorder import Draft, Recorder, batch_figures, sample_columns
from looptop.engine.ppo.records import PLACES, JudgementKind, Place
from looptop.engine.ppo.reference import inner
from looptop.engine.ppo.rollout import Measure, Rollout, qualities, rewards_of, roll_out
from looptop.engine.ppo.sharing import share, whole_comparison, whole_rollout
from looptop.engine.ppo.statistics import MiniBatch, Statistics
from looptop.engine.ppo.update import PpoState
from looptop.engine.runs.context import Activity, RunContext
from looptop.engine.text import join_text
from looptop.engine.training.trainer import RunTrainer

STATE_FILE = "ppo_state.json"
"""What a checkpoint holds of PPO besides weights and optimiser."""


_LESS_MEMORY: dict[Place, tuple[str, ...]] = {
    "generated": ("lower ppo.batch_size", "lower generation.max_new_tokens"),
    "scored": ("lower max_tokens of the reward models", "choose smaller reward models"),
    "compared": ("lower ppo.mini_batch_size", "lower generation.max_new_tokens"),
    "updated": ("lower ppo.mini_batch_size", "lower generation.max_new_tokens"),
}
"""By the stage of a batch, what makes it need less memory."""


class BatchDroppedError(Exception):
    """The run stops in the middle of a batch, which will be made again; nothing of it has changed the model."""


class PpoTrainer(RunTrainer):
    """Trains a policy, journals every batch, and measures it on the held-out queries.

    Args:
        model: What is trained: a policy, or a `PeftModel` around it.
        args: Trainer's arguments; a batch of its data loader is a PPO batch.
        measure: Reference, reward, tokenizer and settings.
        data: Queries to train on and held-out ones.
        config: The run's.
        context: The run: journal, controls, folder.
        callbacks: More of Trainer's.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        measure: Measure,
        data: QueryData,
        config: PpoRunConfig,
        context: RunContext,
        callbacks: list[TrainerCallback],
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            train_dataset=data.train,
            eval_dataset=data.held_out,
            data_collator=as_they_are,
            processing_class=measure.tokenizer,
            callbacks=callbacks,
        )
        self.attach_to(context)
        self.measure = measure
        self.config = config
        self.ppo = config.ppo
        self.processes = context.processes
        self.policy = inner(model)
        self.ppo_state = PpoState.begin(config.ppo, config.training.seed)
        self.figures: dict[str, float] = {}
        self.recorder = Recorder(context.journal, measure.tokenizer)
        journal = PpoJournal(context.folder.db)
        self.judgements = Judgements(
            journal,
            context.journal,
            config.ppo.samples,
            done=lambda: self.state.global_step,
            precision="fp16" if args.fp16 else "bf16" if args.bf16 else "fp32",
            rewards=self._rewards_of,
            weight=max([1.0, *(abs(part.weight) for part in config.rewards if part.person)]),
        )
        names = [part.name for part in config.rewards]
        self.breakpoints = Breakpoints(journal, context.journal, [*names, *self._quality_names(data)])
        self.health = health.Health(journal, health.Settings.of(config))
        self._draft: Draft | None = None
        self._said: PolicyOutput | None = None
        self._since = 0.0
        self._asked: list[str] = []
        context.gate.stages = PLACES
        context.gate.on_pause = self._write_draft
        self.judgements.listen(context.gate)
        self.breakpoints.listen(context.gate)

    # A batch ----------------------------------------------------------------------------------------------------

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """One PPO batch, up to the gradients of its last pass; Trainer steps the optimiser on these.

        Args:
            model: The policy, as Trainer wrapped it.
            inputs: The batch's queries.
            num_items_in_batch: Not used.

        Raises:
            BatchDroppedError: The run stops before the batch's update.
            LooptopError: A score or a log-probability is no number.
        """
        model.train()
        self._since = self.context.running_seconds()
        step = self.state.global_step + 1
        self.context.activity = self._stage_activity(step, "generated")
        draft = self._generate(inputs)
        self._pass(draft, "generated")
        self.context.activity = self._stage_activity(step, "scored")
        self._score(draft)
        self._pass(draft, "scored")
        self.context.activity = self._stage_activity(step, "compared")
        batch, comparison = self._compare(draft)
        self._pass(draft, "compared", self._why_to_hold(draft) if self.processes.is_first else None)
        # Until Trainer has made the last step of the optimiser.
        self.context.activity = self._stage_activity(step, "updated")
        loss = self._update(model, draft, batch, comparison)
        self.step_loss = self.step_loss + loss
        return loss

    def _generate(self, queries: Sequence[Query]) -> Draft:
        step = self.state.global_step + 1
        rows = share(self.config.ppo.samples, self.processes)
        with self._autocast():
            mine = self._roll_out(self.policy, queries, step, rows)
            self._said = mine.responses.judged
            draft = Draft(step, whole_rollout(mine, self.processes))
            asked = min(self.config.training.reference_responses, len(draft))
            if asked and self.processes.is_first:
                with self.measure.reference.as_policy() as reference:
                    theirs = self._roll_out(reference, draft.rollout.queries[:asked], step, range(asked))
                draft.references = dict(enumerate(theirs.texts))
        self._draft = draft
        return draft

    def _roll_out(self, policy: Policy, queries: Sequence[Query], step: int, rows: range) -> Rollout:
        settings = self.config.generation
        numbers = uniforms(self.args.seed, TRAINING, step, rows, settings.max_new_tokens)
        return roll_out(policy, queries, numbers, settings, self.measure.tokenizer, self.measure.ends)

    def _score(self, draft: Draft) -> None:
        if not self.processes.is_first:
            return
        rollout = draft.rollout
        try:
            draft.scores = self.measure.reward.score([query.text for query in rollout.queries], rollout.texts)
        except LooptopError as error:
            raise LooptopError(f"batch {draft.step}: {error}") from None
        draft.rewards = rewards_of(self.measure.reward, draft.scores, rollout.responses.ended, self.config.generation)
        draft.quality = qualities(rollout, self.measure.quality)

    def _compare(self, draft: Draft) -> tuple[Batch, Comparison]:
        rollout, ends = draft.rollout, self.measure.ends
        batch = Batch.of(
            [query.ids for query in rollout.queries],
            rollout.responses.ids,
            pad_id=ends.pad_id,
            end_id=ends.end_id,
            start_tokens=self.policy.start_tokens,
        ).to(self.args.device)
        with self._autocast():
            comparison = whole_comparison(
                lambda part: compare(self.policy, self.measure.reference, part, self.ppo, self._said),
                batch,
                self.processes,
            )
        draft.compared(batch, comparison)
        return batch, comparison

    def _update(self, model: nn.Module, draft: Draft, batch: Batch, comparison: Comparison) -> Tensor:
        """Teaches the batch, except for the last step of the optimiser."""
        used, left_out = self.processes.decide(lambda: (self._rewards_used(draft), self._left_out(draft)))
        rewards = torch.tensor(used, device=batch.mask.device)
        rows = [row for row in range(len(batch)) if row not in left_out]
        if not rows:
            self.context.journal.event(
                "ppo", f"batch {draft.step}: every sample was left out, no update is made", draft.step, "warning"
            )
            self._finish(draft, {})
            return torch.zeros((), device=self.args.device)
        kept = torch.tensor(rows, device=batch.mask.device)
        if left_out:
            rewards, batch = rewards[kept], batch.select(kept)
            comparison = comparison.select(kept, batch.mask.shape[1])
        scores, taught = update.teach(batch, comparison, rewards, self.ppo_state, self.ppo)
        mini_batches: list[MiniBatch] = []
        optimizer: Any = self.optimizer
        steps = update.passes(
            model,
            batch,
            comparison,
            taught,
            self.ppo_state.order,
            self.ppo,
            self.accelerator.backward,
            self.processes,
        )
        for ready in steps:
            mini_batches += ready.mini_batches
            self._refuse_nan(draft.step, ready.mini_batches)
            if not ready.last:
                if self.args.max_grad_norm > 0:
                    self._clip_grad_norm(model)
                optimizer.step()
                model.zero_grad()
        rate = self._get_learning_rate()
        found = update.report(batch, comparison, scores, taught, mini_batches, rate, self.ppo_state, self.ppo)
        draft.updated(kept, taught, mini_batches)
        self._finish(draft, found)
        return torch.tensor(float(found["ppo/loss/total"]), device=self.args.device)

    def _finish(self, draft: Draft, found: Statistics) -> None:
        if not self.processes.is_first:
            return
        draft.place = "updated"
        self._clock(draft)
        used, rows = self._rewards_used(draft), self._taking_part(draft)
        self.figures = batch_figures(draft, found, used, rows)
        draft.marks = self.health.look(draft.step, self.figures)
        for mark in draft.marks:
            if mark.kind in health.ALERTS and mark.begins(draft.step):
                text = f"batch {draft.step}: {mark.text}"
                self.context.journal.event("alert", text, draft.step, "warning", code=mark.kind)
        self.recorder.write(draft)
        if hit := self.breakpoints.hit(self.figures, sample_columns(draft, used, rows), self._asked, rows):
            self.context.gate.hold_at_step_end(Hold(draft.step, "", HoldReason.BREAKPOINT, hit))
        self._draft = None

    # Where a batch can be held ----------------------------------------------------------------------------------

    def _pass(self, draft: Draft, place: Place, hold: Hold | None = None) -> None:
        """Reaches a place: takes controls, waits while held, and makes the checkpoint that is wanted.

        Raises:
            BatchDroppedError: The run stops here.
        """
        draft.place = place
        self._clock(draft)
        if self.processes.is_first:
            self.recorder.write_when_due(draft)
        verdict = self.context.gate.at_stage(draft.step, place, hold)
        while verdict.checkpoint or verdict.stop:
            if verdict.checkpoint:
                # Of the step before: this batch has changed no weight.
                self._save_checkpoint(self.model, trial=None)  # type: ignore[arg-type]  # there is a model
            if self.context.gate.after_checkpoint(draft.step - 1) or verdict.stop:
                if self.processes.is_first:
                    self._write_draft()
                raise BatchDroppedError
            verdict = self.context.gate.at_stage(draft.step, place)
        self._since = self.context.running_seconds()

    def _clock(self, draft: Draft) -> None:
        now = self.context.running_seconds()
        draft.seconds[draft.place] = now - self._since
        self._since = now

    def _write_draft(self) -> None:
        """What a person looks at while the run is held."""
        if self._draft is not None:
            self.recorder.write(self._draft)

    def _why_to_hold(self, draft: Draft) -> Hold | None:
        """Why to hold the batch before its update, if there is a reason; stops a run whose KL runs away."""
        rows = self._taking_part(draft)
        columns = sample_columns(draft, self._rewards_used(draft), rows)
        kl = columns["kl"]
        mean = sum(kl) / len(kl) if kl else 0.0
        hit = self.breakpoints.hit({}, columns, (), rows)
        self._asked = list(columns)
        if not math.isfinite(mean) and not hit:
            raise LooptopError(
                f"batch {draft.step}: the policy's or the reference's log-probabilities are no numbers;"
                f" {self._way_out(draft.step)}"
            )
        limit = self.config.training.kl_limit
        if mean > limit:
            reason = f"the mean KL of batch {draft.step} is {mean:.1f}, above training.kl_limit ({limit:g})"
            self.context.journal.event(
                "alert", f"{reason}: the run stops, with a checkpoint", draft.step, "error", code="kl_limit"
            )
            self.context.gate.request_stop(reason=StopReason.KL_LIMIT, detail=reason)
        if hit:
            return Hold(draft.step, draft.place, HoldReason.BREAKPOINT, hit)
        if self.measure.reward.asks_a_person:
            return Hold(draft.step, draft.place, HoldReason.RATING, "waits for ratings")
        return None

    def _left_out(self, draft: Draft) -> set[int]:
        """The rows that a person left out."""
        return {row for row, value in self.judgements.of(draft.step, "leave_out").items() if value}

    def _taking_part(self, draft: Draft) -> list[int]:
        """The rows that nobody left out."""
        left_out = self._left_out(draft)
        return [row for row in range(len(draft)) if row not in left_out]

    def _rewards_of(self, step: int) -> Sequence[float]:
        """The models' rewards of the batch in the making."""
        return self._draft.rewards if self._draft is not None and self._draft.step == step else ()

    def _way_out(self, step: int) -> str:
        """What to do where numbers have overflowed in a batch: its edits are the first to blame."""
        counts: list[JudgementKind] = ["reward", "rating"] if self.measure.reward.asks_a_person else ["reward"]
        for at in (step, step - 1):  # a batch's update may be seen only in the next one
            for kind in counts:
                edits = self.judgements.of(at, kind)
                if edits:
                    row = max(edits, key=lambda each: abs(edits[each]))
                    run = self.context.folder.id
                    return (
                        f"sample {row} of batch {at} has the {kind} {edits[row]:g} by hand: resume without it"
                        f" (`looptop resume {run} --drop-edits`), or lower training.learning_rate"
                    )
        return "lower training.learning_rate, or resume from an earlier checkpoint"

    def _rewards_used(self, draft: Draft) -> list[float]:
        """The models' rewards, with what a person said in their place."""
        rewards = list(draft.rewards)
        ratings = self.judgements.of(draft.step, "rating")
        for part in self.config.rewards:
            if part.person:
                for row, rating in ratings.items():
                    rewards[row] += part.weight * rating
        for row, reward in self.judgements.of(draft.step, "reward").items():
            rewards[row] = reward
        return rewards

    def _refuse_nan(self, step: int, mini_batches: Sequence[MiniBatch]) -> None:
        for part in mini_batches:
            for name in ("loss/policy", "loss/value", "policy/approxkl"):
                if not math.isfinite(part.scalars[name]):
                    if self.processes.is_first:
                        self._write_draft()
                    raise LooptopError(f"batch {step}: ppo/{name} is {part.scalars[name]}; {self._way_out(step)}")

    # What Trainer asks for --------------------------------------------------------------------------------------

    def step_activity(self, step: int) -> Activity:
        """What the run is doing when a step begins."""
        return self._stage_activity(step, "generated")

    def _stage_activity(self, step: int, stage: Place) -> Activity:
        ways = list(_LESS_MEMORY[stage])
        if stage == "updated" and not self.config.model.lora_rank:
            ways.append("set model.lora_rank")
        return Activity(f"while batch {step} was {stage}", join_text(ways, "or"))

    def evaluation_activity(self) -> Activity:
        """What the run is doing while it evaluates."""
        activity = super().evaluation_activity()
        return activity._replace(advice=f"{activity.advice} or generation.max_new_tokens")

    def samples_of_a_step(self) -> int:
        """The samples of a PPO batch, in all processes."""
        return self.config.ppo.samples

    def step_values(self) -> Mapping[str, float]:
        """The batch's figures."""
        return self.figures

    def save_more(self, folder: Path) -> None:
        """Beta, the order's random numbers, and the moments of all scores."""
        (folder / STATE_FILE).write_text(json.dumps(self.ppo_state.state_dict()), "utf-8")

    def go_on_from(self, folder: Path) -> None:
        """Takes over what `save_more` wrote.

        Raises:
            LooptopError: The checkpoint does not hold it.
        """
        try:
            self.ppo_state.load_state_dict(json.loads((folder / STATE_FILE).read_text("utf-8")))
        except (OSError, KeyError, TypeError, AttributeError, *UNREADABLE) as error:
            raise LooptopError(
                f"the checkpoint {folder.name} holds no readable {STATE_FILE}: {said_of(error)}"
            ) from None

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Answers the held-out queries with fixed random numbers; the run's own are not touched."""
        data: Any = self.eval_dataset
        queries = [data[place] for place in range(len(data))]
        with self._autocast():
            answered = self.measure.answer(self.policy, queries, HELD_OUT, self.pass_in_evaluation, self.processes)
        found = self.processes.decide(lambda: self.measure.judge(queries, answered).figures())
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _autocast(self) -> Any:
        return self.accelerator.autocast()

    def _quality_names(self, data: QueryData) -> list[str]:
        return [*(data.quality(data.held_out[0].text, "") if data.quality else ()), "distinct"]


def as_they_are(queries: Any) -> Any:
    """The data loader's collator: a batch is its queries."""
    return queries
