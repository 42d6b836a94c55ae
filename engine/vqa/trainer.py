"""The VQA loop as a `transformers.Trainer`: what it does differently, and nothing else.

Trainer brings accelerate, mixed precision, schedules, checkpoints and reporters. Its habits that would hurt a run that
is watched and resumed are settled here: every step's own loss is journalled (Trainer's is a window's mean, which starts
anew on resume), NaN is an error that names tensor and step, a checkpoint counts only when it is whole on disk, and
accuracy is measured on answers that the model wrote, not on teacher-forced tokens.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from looptop.engine.runs import checkpoint
from looptop.engine.runs.journal import AnswerSample
from looptop.engine.runs.worker import RunContext
from looptop.engine.text import visible
from looptop.engine.vqa.accuracy import vqa_score
from looptop.engine.vqa.batches import Questions, as_is
from looptop.engine.vqa.decoding import MAX_ANSWER_TOKENS, greedy
from looptop.engine.vqa.model import IGNORED, NonFiniteError, VqaModel
from looptop.engine.vqa.processing import VqaProcessor

_log = logging.getLogger("looptop.training")

STEP_METRICS = ("loss", "grad_norm", "learning_rate", "epoch")
"""Journalled for every step here, so Trainer's own, which are a window's, are left out."""

MEAN_WEIGHT = 0.02
"""What the latest step counts for in the mean time of a step."""


class VqaTrainer(Trainer):
    """Trains a `VqaModel`, journals every step, and measures accuracy by generating.

    Args:
        model: The model, already frozen as the configuration says.
        args: Trainer's arguments; evaluation and saving strategies must agree, as Trainer asks.
        processor: Saved with every checkpoint, so that each one answers questions by itself.
        train: The training split.
        validation: The split of the curves.
        context: The run: journal, controls, folder.
        answer_samples: Rows of the validation split whose answers are journalled at each evaluation.
        **kwargs: Passed on to Trainer.
    """

    def __init__(
        self,
        model: VqaModel,
        args: TrainingArguments,
        processor: VqaProcessor,
        train: Questions,
        validation: Questions,
        context: RunContext,
        answer_samples: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=as_is,
            train_dataset=train,
            eval_dataset=validation,
            compute_metrics=self._score,
            **kwargs,
        )
        self.vqa = model
        self.processor = processor
        self.context = context
        self.answer_samples = answer_samples
        # The model divides by the labels of the whole accumulated batch itself.
        self.model_accepts_loss_kwargs = True
        self.can_return_loss = True
        self.step_loss: Tensor | float = 0.0
        self.step_gradient_norm: Tensor | float | None = None
        self.validation = validation
        self._scored = validation
        self.callback_handler.callbacks.insert(0, StepJournal(self))

    # Training ---------------------------------------------------------------------------------------------------

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One forward and backward pass; NaN or infinity is an error that names tensor and step."""
        inputs.pop("rows", None)
        try:
            loss = super().training_step(model, inputs, num_items_in_batch)
        except NonFiniteError as error:
            raise NonFiniteError(error.tensor_name, error.detail, self.state.global_step + 1) from None
        self.step_loss = self.step_loss + loss
        return loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: float | None = None) -> Any:
        self.step_gradient_norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        return self.step_gradient_norm

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: Trainer's estimate knows one input of token ids, and this model has three models' worth."""
        return 0

    # Evaluation -------------------------------------------------------------------------------------------------

    def evaluate(  # type: ignore[override]
        self,
        eval_dataset: Questions | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Loss and accuracy of a split; journals some of its answers where it is the validation split."""
        self._scored = self.validation if eval_dataset is None else eval_dataset
        metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        return metrics

    def prediction_step(  # type: ignore[override]
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, tuple[Tensor, ...], Tensor]:
        """Answers a batch.

        Returns:
            No loss (it is summed by token in `_score`), then answers' token ids `[batch, MAX_ANSWER_TOKENS]`, their
            confidences, summed losses and label counts `[batch]`; and the rows `[batch]`.
        """
        rows = inputs.pop("rows")
        inputs = self._prepare_inputs(inputs)
        labels = inputs["labels"]
        with torch.no_grad(), self.compute_loss_context_manager():
            memory, memory_mask = self.vqa.encode(
                inputs.get("input_ids"),
                inputs["attention_mask"],
                inputs.get("pixel_values"),
                inputs.get("image_features"),
                inputs.get("text_features"),
            )
            logits = self.vqa.decode(inputs["decoder_input_ids"], memory, memory_mask)
            written = greedy(self.vqa, memory, memory_mask, self.processor.begin_id, self.processor.end_id)
        losses = F.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        ids = F.pad(written.ids, (0, MAX_ANSWER_TOKENS - written.ids.shape[1]), value=self.processor.end_id)
        counts = (labels != IGNORED).sum(dim=1)
        return None, (ids, written.confidences.float(), losses.sum(dim=1), counts), rows.to(labels.device)

    def _score(self, prediction: EvalPrediction) -> dict[str, float]:
        predictions: Any = prediction.predictions
        ids, confidences, losses, counts = predictions
        rows, truths = self._scored.rows, self._scored.truths
        scores: list[float] = []
        samples: list[AnswerSample] = []
        shown = set(_spread(len(rows), self.answer_samples)) if self._scored is self.validation else set()
        for place, index in enumerate(prediction.label_ids):
            answer = self.processor.decode(ids[place])
            scores.append(vqa_score(answer, truths[int(index)]))
            if int(index) in shown:
                row = rows[int(index)]
                samples.append(
                    AnswerSample(
                        question_id=str(row["question_id"]),
                        image=row["image"],
                        question=row["question"],
                        truth=row["answer"],
                        answer=answer,
                        confidence=float(confidences[place]),
                        correct=scores[-1],
                    )
                )
        if samples:
            self.context.journal.answer_samples(self.state.global_step, samples)
        return {"loss": float(losses.sum() / counts.sum()), "accuracy": sum(scores) / max(len(scores), 1)}

    # Checkpoints ------------------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        self.processor.save_pretrained(Path(output_dir) if output_dir else self.context.folder.checkpoints)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """A whole checkpoint or none: journal first, then the files, then the manifest that makes it count.

        A disk that is full costs this checkpoint, not the run: it is said in the journal, and training goes on with the
        checkpoints that stand.
        """
        folder = self.context.folder.checkpoints / f"checkpoint-{self.state.global_step}"
        if checkpoint.is_whole(folder):
            # Of this same step: written again it could only be lost, on a disk that has become full.
            return
        self.context.journal.flush()
        checkpoint.begin(folder, self.context.journal)
        try:
            checkpoint.ensure_space(folder.parent, self._checkpoint_bytes())
            super()._save_checkpoint(model, trial)
            checkpoint.seal(folder)
        except Exception as error:
            # A full disk is an OSError, a RuntimeError of torch.save, or safetensors' own error, a plain Exception.
            shutil.rmtree(folder, ignore_errors=True)
            _log.exception("the checkpoint of step %d failed", self.state.global_step)
            said = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
            self.context.journal.event(
                "checkpoint",
                f"the checkpoint of step {self.state.global_step} could not be written: {visible(said)};"
                " training goes on, make room on the disk",
                step=self.state.global_step,
                level="warning",
            )
            return
        self.context.journal.event(
            "checkpoint", f"checkpoint of step {self.state.global_step} written", step=self.state.global_step
        )
        checkpoint.rotate(folder.parent, best=self.state.best_global_step)

    def _checkpoint_bytes(self) -> int:
        """What a checkpoint will take: all weights, and two more numbers for each that is trained (Adam)."""
        weights = sum(p.numel() * p.element_size() for p in self.vqa.parameters())
        trained = sum(p.numel() * p.element_size() for p in self.vqa.parameters() if p.requires_grad)
        return weights + 2 * trained


class StepJournal(TrainerCallback):
    """Journals each optimiser step: loss, gradient norm, learning rate, throughput, time left."""

    def __init__(self, trainer: VqaTrainer) -> None:
        self.trainer = trainer
        self.learning_rate = 0.0
        self.since = 0.0
        self.steps = 0
        self.seconds = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Starts the clock, which stands still while the run is paused."""
        self.since = self.trainer.context.running_seconds()

    # Evaluations and checkpoints are not training: the next step is timed from their end.
    on_evaluate = on_save = on_train_begin

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        """Remembers the rate that this step is made with; the scheduler moves on before the step ends."""
        self.learning_rate = self.trainer._get_learning_rate()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Writes the step."""
        trainer = self.trainer
        now = trainer.context.running_seconds()
        took, self.since = now - self.since, now
        self.steps += 1
        # A plain mean at first, then one that forgets, so that the time left follows a machine that slows down.
        self.seconds += (took - self.seconds) * max(1 / self.steps, MEAN_WEIGHT)
        samples = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        values = {
            "loss": float(trainer.step_loss),
            "learning_rate": self.learning_rate,
            "epoch": state.epoch or 0.0,
            "samples_per_second": samples / self.seconds,
            "seconds_left": self.seconds * (state.max_steps - state.global_step),
        }
        if trainer.step_gradient_norm is not None:
            values["grad_norm"] = float(trainer.step_gradient_norm)
        trainer.context.journal.metrics(state.global_step, values)
        trainer.step_loss = 0.0


def _spread(total: int, wanted: int) -> list[int]:
    """`wanted` places spread evenly over `total`."""
    count = min(total, wanted)
    return [place * total // count for place in range(count)] if count else []
