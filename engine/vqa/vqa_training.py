"""Trains a VQA model as configured, from loading data and models to saving the result.

It does what the book's listing 7.4 does; `docs/architecture.md` has a table of the listings.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from transformers import TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging as transformers_logging

from looptop.engine.compute.device import Device, pick
from looptop.engine.compute.out_of_memory import is_out_of_memory
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.memory import check_memory
from looptop.engine.runs.alerts import QUESTION_ONLY, read_question_only
from looptop.engine.runs.context import READING_DATA, RunContext, loading
from looptop.engine.text import counted, visible
from looptop.engine.training.callbacks import JournalCallback
from looptop.engine.training.early_stopping import early_stopping
from looptop.engine.training.result import save_result
from looptop.engine.training.trainer import (
    STEP_METRICS,
    EvaluateAtTheEnd,
    starts_with_evaluation,
    trainer_arguments,
)
from looptop.engine.training.unreached import freeze_unreached
from looptop.engine.vqa.accuracy import vqa_score
from looptop.engine.vqa.batches import Questions
from looptop.engine.vqa.confidence.fitting import earlier_words, fit_checks, training_words
from looptop.engine.vqa.curation.setup import curate
from looptop.engine.vqa.data.left_out import ProblemReporter
from looptop.engine.vqa.data.load import load_data
from looptop.engine.vqa.evaluation.baselines import QuestionOnly
from looptop.engine.vqa.model.fast_gpt2 import use_fast_kernels
from looptop.engine.vqa.model.loading import load_with_processor
from looptop.engine.vqa.model.processing import VqaProcessor, resolve
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.model.sizes import vqa_memory_advice, vqa_sizes
from looptop.engine.vqa.model.vqa_model import VqaModel
from looptop.engine.vqa.question_splits import question_splits
from looptop.engine.vqa.trainer import VqaTrainer

PROGRESS_SECONDS = 5.0

_log = logging.getLogger("looptop.vqa")


def train(context: RunContext) -> dict[str, Any]:
    """Trains to the end, or until the run is stopped.

    Returns:
        `accuracy` and `loss` of the best model (on the test split if the data has one, else from its evaluation on
        validation), its `step`, and `seconds` since the run began; only `seconds` if the run was stopped.

    Raises:
        LooptopError: The data, models, device or numbers cannot be used; suggests what to do.
    """
    began = time.time()
    config = context.config
    assert isinstance(config, VqaRunConfig)
    # Loading and saving would draw progress bars on stderr, into the run's log or over the caller's output.
    transformers_logging.disable_progress_bar()
    device = pick(config.training.device, config.training.precision, threads=context.threads)
    context.compute_on(device)
    set_seed(config.training.seed)
    context.journal.event("data", f"reading {visible(config.data.source)} and loading the models")
    problem_reporter = ProblemReporter(context.journal)
    try:
        with context.during(READING_DATA), context.processes.first_process_first():
            splits = load_data(config.data, config.training.seed, problem_reporter, _Progress(context))
    finally:
        problem_reporter.report()
    context.raise_if_stopped()
    advice = vqa_memory_advice(config.model)
    context.activity = loading(advice)
    context.report("loading the models")
    check_memory(context, device, lambda copies: vqa_sizes(config.model, copies), config.training.optim, advice)
    model, processor = build_model(config)
    context.raise_if_stopped()
    model.to(device.torch_device)  # type: ignore[arg-type]  # A decorator of transformers hides the signature.
    if config.model.kernels == "fast":
        use_fast_kernels(model.decoder)
    train_split, validation, test = question_splits(context, config, splits, model, processor, problem_reporter)
    arguments = training_arguments(
        config, context.folder.checkpoints, device, eval_on_start=starts_with_evaluation(context)
    )
    vocabulary = _training_vocabulary(context, train_split)
    trainer = VqaTrainer(
        model,
        arguments,
        processor,
        train_split,
        validation,
        context,
        config.training.answer_samples,
        problem_reporter,
        vocabulary,
        callbacks=_callbacks(context, config),
    )
    trainer.remove_callback(PrinterCallback)
    curate(context, trainer, train_split, trainer.collector)
    context.journal.facts(
        device=device.name,
        precision=device.precision,
        n_train=len(train_split),
        n_validation=len(validation),
        n_validation_images=len(validation.image_paths),
        n_test=len(test) if test is not None else 0,
        processes=context.processes.count,
        parameters=sum(p.numel() for p in model.parameters()),
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
    )
    known = read_question_only(context.folder.db) if context.resume_from else None
    if context.processes.is_first:
        context.journal.facts(
            **{QUESTION_ONLY: question_only_accuracy(train_split, validation) if known is None else known}
        )
    trainer.train(resume_from_checkpoint=str(context.resume_from) if context.resume_from else None)
    if context.stop_requested.is_set():
        return {"seconds": time.time() - began}
    figures = trainer.result_figures("accuracy", "loss")
    if test is not None:
        with context.during(trainer.evaluation_activity()):
            final = trainer.evaluate(test, metric_key_prefix="test")
        figures = {name: final[f"test_{name}"] for name in figures}
    count = {"n": float(trainer.measured)}

    def save(folder: Path) -> None:
        save_model(folder, model, processor, config, figures | count)
        _save_answer_checks(context, folder, model, processor, train_split, validation, vocabulary)

    if not save_result(context, save):
        return {"seconds": time.time() - began}
    return {**figures, "step": trainer.result_step, "seconds": time.time() - began}


def question_only_accuracy(train_split: Questions, validation: Questions) -> float:
    """Validation accuracy of the `QuestionOnly` baseline, built on the training split."""
    rows = train_split.rows
    baseline = QuestionOnly.of_columns(rows["question"][:], rows["question_type"][:], rows["answer"][:])
    asked = zip(validation.rows["question"][:], validation.rows["question_type"][:], validation.truths, strict=True)
    scores = [vqa_score(baseline.answer(question, kind) or "", truths) for question, kind, truths in asked]
    return sum(scores) / len(scores)


def build_model(config: VqaRunConfig) -> tuple[VqaModel, VqaProcessor]:
    """Loads or builds the configured model and its processor, and tries the model on a sample.

    Frozen are the parts that the configuration names, and the weights that the sample's loss does not reach.

    Raises:
        LooptopError: A part cannot be loaded or is incomplete, or the parts do not work together.
    """
    model_config = config.model
    try:
        if model_config.start_from:
            model, processor = load_with_processor(folder_of(model_config.start_from))
            model.config.fusion = model_config.fusion
        else:
            text, image, decoder = (
                resolve(name) for name in (model_config.text_encoder, model_config.image_encoder, model_config.decoder)
            )
            model = VqaModel.from_parts(text, image, decoder, fusion=model_config.fusion)
            processor = VqaProcessor.from_parts(text, image, decoder)
    except OSError as error:
        # The hub's message has several lines; the first names what it did not find.
        raise LooptopError(
            f"a model cannot be loaded: {error_text(error)};"
            " name a local folder or check your connection to the Hugging Face hub"
        ) from None
    model.freeze(model_config.freeze)
    try:
        unreached = freeze_unreached(model, lambda: _loss_of_a_sample(model, processor))
    except LooptopError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise LooptopError(
            f"these three parts cannot answer a question together: {_families(model)}; {error_text(error)}; name others"
        ) from error
    if any(name.startswith(("text_projection", "image_projection")) for name in unreached):
        raise LooptopError(f"the decoder sees neither question nor image: {_families(model)}; name another decoder")
    return model, processor


def _families(model: VqaModel) -> str:
    config = model.config
    parts = {
        "text encoder": config.text_config,
        "image encoder": config.vision_config,
        "decoder": config.decoder_config,
    }
    return ", ".join(f"{name} {visible(part.model_type)}" for name, part in parts.items())


def _loss_of_a_sample(model: VqaModel, processor: VqaProcessor) -> Tensor:
    ids, mask = processor.questions(["what is it?"])
    decoder_ids, labels = processor.answers(["yes"])
    pixels = processor.images([Image.new("RGB", (32, 32))])
    loss: Tensor = model(ids, mask, pixels, decoder_ids, labels).loss
    return loss


def training_arguments(
    config: VqaRunConfig, output_dir: Path, device: Device, *, eval_on_start: bool = True
) -> TrainingArguments:
    """Trainer's arguments for a run."""
    chosen = config.training
    arguments = TrainingArguments(
        **trainer_arguments(chosen, output_dir, device),
        per_device_train_batch_size=chosen.per_device_train_batch_size,
        per_device_eval_batch_size=chosen.per_device_eval_batch_size,
        gradient_accumulation_steps=chosen.gradient_accumulation_steps,
        eval_strategy=chosen.eval_strategy,
        eval_steps=chosen.eval_steps,
        eval_on_start=eval_on_start,
        save_strategy=chosen.eval_strategy,
        save_steps=chosen.eval_steps,
        metric_for_best_model=f"eval_{chosen.metric_for_best_model}",
        greater_is_better=chosen.metric_for_best_model == "accuracy",
        dataloader_num_workers=chosen.dataloader_num_workers,
        label_names=["labels"],
    )
    device.restrict_trainer(arguments)
    return arguments


def save_model(
    folder: Path, model: VqaModel, processor: VqaProcessor, config: VqaRunConfig, figures: dict[str, float]
) -> None:
    """Saves the result as one folder: weights, configuration, tokenizers, image processor, card."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    chosen = config.model
    origin = chosen.start_from or f"{chosen.text_encoder}, {chosen.image_encoder} and {chosen.decoder}"
    (folder / "README.md").write_text(
        "# A visual-question-answering model\n\n"
        f"Made by looptop from {visible(origin)}, fusion `{chosen.fusion}`, frozen: {', '.join(chosen.freeze)}.\n\n"
        f"- data: {visible(config.data.source)}\n"
        f"- epochs: {config.training.num_train_epochs:g}, learning rate: {config.training.learning_rate:g}\n"
        f"- accuracy {figures['accuracy']:.4f} and loss {figures['loss']:.4f}"
        f" on {counted(int(figures['n']), 'question')}\n\n"
        "Ask it with `looptop ask IMAGE QUESTION --model THIS_FOLDER`.\n",
        "utf-8",
    )


def _training_vocabulary(context: RunContext, train_split: Questions) -> list[str] | None:
    """The words that the model has been trained on; None, and a warning, if the earlier model's cannot be read."""
    config = context.config
    assert isinstance(config, VqaRunConfig)
    try:
        return training_words(train_split, earlier_words(config.model))
    except LooptopError as error:
        context.journal.event("calibration", f"unknown words will not be flagged: {error}", level="warning")
        return None


def _save_answer_checks(
    context: RunContext,
    folder: Path,
    model: VqaModel,
    processor: VqaProcessor,
    train_split: Questions,
    validation: Questions,
    vocabulary: list[str] | None,
) -> None:
    """Saves the calibration and the doubt checks; if they cannot be computed, the model is saved without them."""
    try:
        checks = fit_checks(
            model,
            processor,
            train_split,
            validation,
            vocabulary,
            lambda done, total: context.report("calibrating the confidence", done, total),
        )
    except Exception as error:  # A mistake here must not cost the trained model.
        _log.exception("the confidence could not be calibrated")
        sentence = (
            "the model's confidence could not be calibrated, and its answers cannot be checked for doubts:"
            f" {error_text(error)}"
        )
        context.journal.event("calibration", sentence, level="warning")
        return
    finally:
        context.progress.end()
    checks.save(folder)
    if checks.calibration is not None:
        fitted = checks.calibration
        context.journal.event(
            "calibration",
            f"calibrated the confidence on {counted(fitted.questions, 'validation question')}: temperature"
            f" {fitted.temperature:.2f}, expected calibration error {fitted.raw_error:.2%} before,"
            f" {fitted.error:.2%} after",
        )


class _Progress:
    """Reports the progress of reading a large source every few seconds."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, done: int, total: int) -> None:
        self._context.pass_before_steps("reading the data", done, total)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_SECONDS
            self._context.journal.event(
                "data", f"prepared {counted(done, 'question')}{f' of {total:,}' if total else ''}"
            )


def _callbacks(context: RunContext, config: VqaRunConfig) -> list[Any]:
    callbacks: list[Any] = [EvaluateAtTheEnd(), JournalCallback(context=context, leave_out=STEP_METRICS)]
    callbacks += early_stopping(context, config.training.early_stopping_patience)
    return callbacks
