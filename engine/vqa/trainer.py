"""The VQA training loop as a `transformers.Trainer`, with only what differs from Trainer.

NaN is an error that names tensor and step, and accuracy is measured on answers that the model generated, not on
teacher-forced tokens.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import EvalPrediction, TrainingArguments

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import AnswerSample
from looptop.engine.runs import checkpoint
from looptop.engine.runs.context import RunContext
from looptop.engine.training.trainer import RunTrainer
from looptop.engine.vqa.accuracy import vqa_score
from looptop.engine.vqa.batches import Questions, identity
from looptop.engine.vqa.breakdown import Outcome, breakdown_of, write_breakdown
from looptop.engine.vqa.confidence.fitting import MAX_QUESTIONS, fit_calibration, spread
from looptop.engine.vqa.confidence.training_notes import CONFIDENCE, WORDS, Calibration, write_calibration, write_words
from looptop.engine.vqa.curation.epoch_losses import LossCollector
from looptop.engine.vqa.data.left_out import ProblemReporter
from looptop.engine.vqa.model.decoding import MAX_ANSWER_TOKENS, greedy, longest_answer
from looptop.engine.vqa.model.processing import IGNORED, VqaProcessor
from looptop.engine.vqa.model.vqa_model import NonFiniteError, VqaModel

NO_ROW = -1
"""The row number of padding in a batch of an evaluation."""

_log = logging.getLogger("looptop.vqa")


class VqaTrainer(RunTrainer):
    """Trains a `VqaModel`, journals every step, and measures accuracy by generating.

    Args:
        model: The model, already frozen as configured.
        args: Trainer's arguments; Trainer needs equal strategies for evaluation and saving.
        processor: Saved with every checkpoint, so that each checkpoint can answer questions.
        train: The training split.
        validation: The split of the evaluation curves.
        context: The run: journal, controls, folder.
        answer_samples: Rows of the validation split whose answers are journalled at each evaluation.
        problem_reporter: Collects images that cannot be decoded.
        words: The words of the training questions, kept with every checkpoint; None to keep none.
        **kwargs: Passed on to Trainer.
    """

    replaceable_files: ClassVar[frozenset[str]] = frozenset({CONFIDENCE, WORDS})
    """`looptop calibrate` replaces them."""

    def __init__(
        self,
        model: VqaModel,
        args: TrainingArguments,
        processor: VqaProcessor,
        train: Questions,
        validation: Questions,
        context: RunContext,
        answer_samples: int,
        problem_reporter: ProblemReporter,
        words: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=identity,
            train_dataset=train,
            eval_dataset=validation,
            compute_metrics=self._score,
            **kwargs,
        )
        self.vqa = model
        self.processor = processor
        self.attach_to(context)
        self.answer_samples = answer_samples
        # The model divides by the labels of the whole accumulated batch itself.
        self.model_accepts_loss_kwargs = True
        self.can_return_loss = True
        self.validation = validation
        self.problem_reporter = problem_reporter
        self.measured = 0
        """The number of questions that the last evaluation answered."""
        self._scored = validation
        self._words = words
        self._calibration: tuple[int, Calibration | None] = (0, None)
        """The step of the last evaluation, and what was fitted on its answers."""
        self.collector = LossCollector(len(train), self.args.device)
        """The losses of the questions of this epoch."""
        if context.resume_from is not None:
            self.collector.load(context.resume_from)
        self._rows = torch.empty(0, dtype=torch.long)
        """The rows of the batch that is trained on."""

    # Training ---------------------------------------------------------------------------------------------------

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One forward and backward pass; NaN or infinity is an error that names tensor and step."""
        self._rows = self._take_rows(inputs)
        self.problem_reporter.report(self.state.global_step + 1)
        if not len(self._rows):
            raise LooptopError("none of the images to train on can be read; the log names them")
        try:
            return super().training_step(model, inputs, num_items_in_batch)
        except NonFiniteError as error:
            in_fp32 = not (self.args.fp16 or self.args.bf16)
            step = self.state.global_step + 1
            raise NonFiniteError(error.tensor_name, error.detail, step, in_fp32=in_fp32) from None

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss as Trainer computes it; the losses of the batch's questions are collected from the same logits."""
        if isinstance(num_items_in_batch, Tensor):
            num_items_in_batch = num_items_in_batch.clamp(min=1)  # 0 if all questions of the batch are dropped
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        self.collector.record(self._rows, outputs["logits"], inputs["labels"])
        return (loss, outputs) if return_outputs else loss

    def save_more(self, folder: Path) -> None:
        """Adds the files for calibrating and doubting answers, and the losses of an unfinished epoch.

        Of several processes, the losses are those of the first.
        """
        super().save_more(folder)
        self.collector.save(folder)
        self._save_notes(folder)

    # Evaluation -------------------------------------------------------------------------------------------------

    def evaluate(  # type: ignore[override]
        self,
        eval_dataset: Questions | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Loss and accuracy of a split; journals some of its answers if it is the validation split."""
        self._scored = self.validation if eval_dataset is None else eval_dataset
        if self.context.processes.several:
            # Gather all rows, some twice if the last batches were padded: `_score` takes each once. accelerate's own
            # way drops the last rows, which are the wrong ones if images could not be read.
            self.gather_function = self.accelerator.gather
        try:
            metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        finally:
            self.problem_reporter.report(self.state.global_step)
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
        rows = self._take_rows(inputs)
        inputs = self._prepare_inputs(inputs)
        labels = inputs["labels"]
        if not len(rows):
            empty = torch.zeros(0, device=labels.device)
            return self._padded((labels.new_zeros(0, MAX_ANSWER_TOKENS), empty, empty, empty.long()), empty.long())
        with torch.no_grad(), self.compute_loss_context_manager():
            memory, memory_mask = self.vqa.encode(
                inputs.get("input_ids"),
                inputs["attention_mask"],
                inputs.get("pixel_values"),
                inputs.get("image_features"),
                inputs.get("text_features"),
            )
            logits = self.vqa.decode(inputs["decoder_input_ids"], memory, memory_mask)
            longest = longest_answer(self.vqa)
            decoded = greedy(self.vqa, memory, memory_mask, self.processor.begin_id, self.processor.end_id, longest)
        losses = F.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        ids = F.pad(decoded.ids, (0, MAX_ANSWER_TOKENS - decoded.ids.shape[1]), value=self.processor.end_id)
        counts = (labels != IGNORED).sum(dim=1)
        return self._padded((ids, decoded.confidences.float(), losses.sum(dim=1), counts), rows.to(labels.device))

    def _padded(self, results: tuple[Tensor, ...], rows: Tensor) -> tuple[None, tuple[Tensor, ...], Tensor]:
        """Pads a batch that is short because images could not be read.

        All processes of a run must return the same number of rows.
        """
        if self.context.processes.several:
            missing = self.args.per_device_eval_batch_size - len(rows)
            results = tuple(F.pad(part, (*[0] * (2 * part.dim() - 1), missing)) for part in results)
            rows = F.pad(rows, (0, missing), value=NO_ROW)
        return None, results, rows

    def _take_rows(self, inputs: dict[str, Any]) -> Tensor:
        """Removes a batch's row numbers `[batch]`, which are returned, and its problems, which are reported."""
        problems = inputs.pop("problems", ())
        if self.context.processes.several and "pixel_values" in inputs:
            problems = itertools.chain(*self.context.processes.gather(problems))
        for problem in problems:
            self.problem_reporter(problem)
        rows: Tensor = inputs.pop("rows")
        return rows

    @cached_property
    def _journalled_columns(self) -> tuple[list[str], list[str], list[str]]:
        """Right answer, answer type and question type of each row of the validation split."""
        rows = self.validation.rows
        return rows["answer"][:], rows["answer_type"][:], rows["question_type"][:]

    def _score(self, prediction: EvalPrediction) -> dict[str, float]:
        predictions: Any = prediction.predictions
        indices = _first_of_each_row(prediction.label_ids)
        ids, confidences, losses, counts = (part[indices] for part in predictions)
        self.measured = len(ids)
        if not self.measured:
            raise LooptopError("none of the images to measure on can be read; the log names them")
        rows, truths = self._scored.rows, self._scored.truths
        is_journalled = self._scored is self.validation
        labels, answer_types, question_types = self._journalled_columns
        scores: list[float] = []
        samples: list[AnswerSample] = []
        outcomes: list[Outcome] = []
        shown = set(spread(len(rows), self.answer_samples)) if is_journalled else set()
        row_numbers: list[int] = np.asarray(prediction.label_ids)[indices].tolist()
        for index, row_number in enumerate(row_numbers):
            answer = self.processor.decode(ids[index])
            scores.append(vqa_score(answer, truths[row_number]))
            if is_journalled:
                types = answer_types[row_number], question_types[row_number]
                outcomes.append(Outcome(labels[row_number], answer, *types, scores[-1]))
            if row_number in shown:
                row = rows[row_number]
                samples.append(
                    AnswerSample(
                        question_id=str(row["question_id"]),
                        image=row["image"],
                        question=row["question"],
                        truth=row["answer"],
                        answer=answer,
                        confidence=float(confidences[index]),
                        correct=scores[-1],
                    )
                )
        if is_journalled:
            self._calibrate(row_numbers, confidences.tolist(), scores)
        if samples:
            self.context.journal.answer_samples(self.state.global_step, samples)
        if outcomes:
            write_breakdown(self.context.journal, self.state.global_step, breakdown_of(outcomes))
        return {"loss": float(losses.sum() / counts.sum()), "accuracy": sum(scores) / len(scores)}

    def _calibrate(self, rows: list[int], probabilities: list[float], scores: list[float]) -> None:
        """Fits the confidence of the step's model on its answers, on the questions that the fit at the end takes."""
        step, wanted = self.state.global_step, set(spread(len(self.validation), MAX_QUESTIONS))
        chosen = [index for index, row in enumerate(rows) if row in wanted]
        fitted = fit_calibration([probabilities[index] for index in chosen], [scores[index] for index in chosen])
        self._calibration = step, fitted
        # After a resume, an evaluation that the stop had prevented is made late: its checkpoint exists already.
        folder = self.context.folder.checkpoints / f"checkpoint-{step}"
        if self.context.processes.is_first and checkpoint.is_complete(folder):
            try:
                self._save_notes(folder)
            except (OSError, LooptopError):  # The run goes on; the checkpoint's confidence stays raw.
                _log.exception("the calibration of %s could not be written", folder.name)

    def _save_notes(self, folder: Path) -> None:
        """Writes the words, and the calibration if it was fitted at this step, into a checkpoint."""
        step, fitted = self._calibration
        if fitted is not None and step == self.state.global_step:
            write_calibration(folder, fitted)
        if self._words is not None:
            write_words(folder, self._words)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        self.processor.save_pretrained(Path(output_dir) if output_dir else self.context.folder.checkpoints)


def _first_of_each_row(rows: Any) -> list[int]:
    """The index of the first occurrence of each row number, padding left out."""
    first: dict[int, int] = {}
    for index, row in enumerate(rows):
        first.setdefault(int(row), index)
    first.pop(NO_ROW, None)
    return list(first.values())
