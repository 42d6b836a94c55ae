"""Fits PPO batches into `transformers.Trainer`: one of its steps is one batch (`step.PpoStep`).

The step makes all of a batch's optimiser steps but the last, which is Trainer's. Checkpoints are made only between
batches: a batch that is held is dropped when the run stops, and a resume makes it again identically, since everything
random in it follows from the seed and its step.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainingArguments

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.ppo.data import QueryData
from looptop.engine.ppo.policy_evaluator import PolicyEvaluator
from looptop.engine.ppo.records import STAGES, Stage
from looptop.engine.ppo.reference import inner
from looptop.engine.ppo.rollout import HELD_OUT, TRAINING, roll_out, uniforms
from looptop.engine.ppo.stages import StageControl
from looptop.engine.ppo.statistics import MiniBatch
from looptop.engine.ppo.step import BatchProgress, Hooks, PpoState, PpoStep, Setup
from looptop.engine.runs.context import Activity, RunContext
from looptop.engine.text import join_text
from looptop.engine.training.trainer import RunTrainer

STATE_FILE = "ppo_state.json"
"""The file in a checkpoint with PPO's state besides weights and optimiser."""

_LESS_MEMORY: dict[Stage, tuple[str, ...]] = {
    "generated": ("lower ppo.batch_size", "lower generation.max_new_tokens"),
    "scored": ("lower max_tokens of the reward models", "choose smaller reward models"),
    "compared": ("lower ppo.mini_batch_size", "lower generation.max_new_tokens"),
    "updated": ("lower ppo.mini_batch_size", "lower generation.max_new_tokens"),
}
"""For each stage of a batch, advice that makes it need less memory."""


class PpoTrainer(RunTrainer):
    """Trains a policy, journals every batch, and measures the policy on the held-out queries.

    Args:
        model: The model that is trained: a policy, or a `PeftModel` around it.
        args: Trainer's arguments; a batch of its data loader is a PPO batch.
        setup: Reference, reward, tokenizer and settings.
        data: Queries to train on and held-out ones.
        config: The run's configuration.
        context: The run: journal, controls, folder.
        callbacks: Further callbacks of Trainer.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        setup: Setup,
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
            data_collator=identity,
            processing_class=setup.tokenizer,
            callbacks=callbacks,
        )
        self.attach_to(context)
        self.config = config
        self.setup = setup
        self.evaluator = PolicyEvaluator(setup, config.training.per_device_eval_batch_size)
        self.policy = inner(model)
        self.ppo_state = PpoState.begin(config.ppo, config.training.seed)
        quality = data.quality(data.held_out[0].text, "") if data.quality else {}
        self.stages = StageControl(
            context,
            config,
            setup.tokenizer,
            quality_names=[*quality, "distinct"],
            precision="fp16" if args.fp16 else "bf16" if args.bf16 else "fp32",
            last_step=lambda: self.state.global_step,
            save=lambda: self._save_checkpoint(self.model, trial=None),  # type: ignore[arg-type]  # there is a model
        )
        self.ppo_step = PpoStep(self.policy, setup, self.ppo_state, TrainerHooks(self), context.processes)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """One PPO batch, up to the gradients of its last pass, with which Trainer steps the optimiser.

        Args:
            model: The policy, as Trainer wrapped it.
            inputs: The batch's queries.
            num_items_in_batch: Not used.

        Raises:
            BatchDroppedError: The run stops before the batch's update.
            LooptopError: A score, a log-probability or a loss is not a finite number.
        """
        model.train()
        step = self.state.global_step + 1
        self.context.activity = self.stage_activity(step, "generated")
        self.stages.begin()
        progress = self.ppo_step.run(model, step, inputs)
        self.stages.updated(progress)
        loss = torch.tensor(float(progress.statistics.get("ppo/loss/total", 0.0)), device=self.args.device)
        self.step_loss = self.step_loss + loss
        return loss

    def optimizer_step(self) -> None:
        """Makes an optimiser step within a batch, in the way Trainer makes the last one."""
        optimizer: Any = self.optimizer
        model: Any = self.model_wrapped
        if self.args.max_grad_norm > 0:
            self._clip_grad_norm(model)
        optimizer.step()
        model.zero_grad()

    def reference_responses(self, progress: BatchProgress) -> dict[int, str]:
        """The reference's responses to the batch's first queries, by row, for people to compare with the policy's."""
        count = min(self.config.training.reference_responses, len(progress))
        if not count or not self.context.processes.is_first:
            return {}
        setup = self.setup
        numbers = uniforms(setup.seed, TRAINING, progress.step, range(count), setup.generation.max_new_tokens)
        with self.accelerator.autocast(), setup.reference.as_policy() as reference:
            queries = progress.rollout.queries[:count]
            rollout = roll_out(reference, queries, numbers, setup.generation, setup.tokenizer, setup.special)
        return dict(enumerate(rollout.texts))

    def step_activity(self, step: int) -> Activity:
        """What the run is doing when a step begins."""
        return self.stage_activity(step, "generated")

    def stage_activity(self, step: int, stage: Stage) -> Activity:
        """What the run is doing until a batch reaches a stage."""
        advice = list(_LESS_MEMORY[stage])
        if stage == "updated" and not self.config.model.lora_rank:
            advice.append("set model.lora_rank")
        return Activity(f"while batch {step} was {stage}", join_text(advice, "or"))

    def evaluation_activity(self) -> Activity:
        """What the run is doing while it evaluates."""
        activity = super().evaluation_activity()
        return activity._replace(advice=f"{activity.advice} or generation.max_new_tokens")

    def samples_of_a_step(self) -> int:
        """The samples of a PPO batch, in all processes."""
        return self.config.ppo.samples

    def work_of_a_step(self) -> tuple[float, str]:
        """The tokens of the batch's responses: how long it takes depends on them."""
        return self.samples_of_a_step() * self.stages.metrics.get("env/length", math.nan), "tokens"

    def step_values(self) -> Mapping[str, float]:
        """The batch's figures."""
        return self.stages.metrics

    def save_more(self, folder: Path) -> None:
        """Saves beta, the random numbers of the order, and the moments of all scores."""
        (folder / STATE_FILE).write_text(json.dumps(self.ppo_state.state_dict()), "utf-8")

    def resume_from(self, folder: Path) -> None:
        """Restores what `save_more` wrote.

        Raises:
            LooptopError: The checkpoint does not hold PPO's state.
        """
        try:
            self.ppo_state.load_state_dict(json.loads((folder / STATE_FILE).read_text("utf-8")))
        except (OSError, KeyError, TypeError, AttributeError, *UNREADABLE) as error:
            raise LooptopError(
                f"the checkpoint {folder.name} holds no readable {STATE_FILE}: {error_text(error)}"
            ) from None

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Answers the held-out queries with fixed random numbers, apart from the run's own."""
        data: Any = self.eval_dataset
        queries = [data[index] for index in range(len(data))]
        processes = self.context.processes
        with self.accelerator.autocast():
            batches = self.evaluator.answer(self.policy, queries, HELD_OUT, self.pass_in_evaluation, processes)
        figures = processes.decide(lambda: self.evaluator.score(queries, batches).figures())
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class TrainerHooks(Hooks):
    """Has Trainer compute gradients and step the optimiser, and a run hold its batches.

    Args:
        trainer: The trainer whose steps call these hooks.
    """

    def __init__(self, trainer: PpoTrainer) -> None:
        self._trainer = trainer

    def reached(self, progress: BatchProgress) -> None:
        """Records and may hold the batch at a stage."""
        trainer = self._trainer
        if progress.stage == "generated":
            trainer.stages.generated(progress, trainer.reference_responses(progress))
        trainer.stages.reached(progress)
        # The activity of the last stage lasts until Trainer has made the optimiser's last step.
        next_stage = STAGES[STAGES.index(progress.stage) + 1]
        trainer.context.activity = trainer.stage_activity(progress.step, next_stage)

    def rewards_and_rows(self, progress: BatchProgress) -> tuple[list[float], list[int]]:
        """The reward of every sample, and the rows of those that take part in the update."""
        return self._trainer.stages.rewards_and_rows()

    def autocast(self) -> AbstractContextManager[object]:
        """The precision in which responses are written and compared."""
        autocast: AbstractContextManager[object] = self._trainer.accelerator.autocast()
        return autocast

    def backward(self, loss: Tensor) -> None:
        """Computes the gradients of a mini-batch's loss."""
        self._trainer.accelerator.backward(loss)

    def optimizer_step(self, step: int, mini_batches: Sequence[MiniBatch], last: bool) -> None:
        """Steps the optimiser; the last step of a batch is left to Trainer."""
        trainer = self._trainer
        trainer.stages.check_numbers(step, mini_batches)
        if not last:
            trainer.optimizer_step()

    def learning_rate(self) -> float:
        """Trainer's learning rate."""
        return float(self._trainer._get_learning_rate())


def identity(queries: Any) -> Any:
    """The data loader's collator: a batch is its queries."""
    return queries
