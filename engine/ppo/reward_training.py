"""Trains a reward model from preferences with TRL's `RewardTrainer`: a classifier with one label, whose logit is the
reward.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging as transformers_logging
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from looptop.engine.compute.device import pick
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.memory import check_memory
from looptop.engine.models.names import resolve
from looptop.engine.models.weights import is_pooler, load_complete_model, load_part
from looptop.engine.ppo.fp16 import t5_among
from looptop.engine.ppo.model_sizes import reward_sizes
from looptop.engine.ppo.preferences import Pair, load_pairs
from looptop.engine.ppo.rewards import classifier_inputs, max_input_length
from looptop.engine.runs.context import READING_DATA, RunContext, loading
from looptop.engine.text import counted, visible
from looptop.engine.training.callbacks import JournalCallback
from looptop.engine.training.early_stopping import early_stopping
from looptop.engine.training.result import save_result
from looptop.engine.training.trainer import (
    STEP_METRICS,
    EvaluateAtTheEnd,
    RunTrainer,
    starts_with_evaluation,
    trainer_arguments,
)
from looptop.engine.training.unreached import freeze_unreached

_PAIRS_PER_REPORT = 256
"""The number of pairs that are encoded between two reports of progress."""


class RewardModelTrainer(RunTrainer, RewardTrainer):
    """TRL's trainer as a looptop run."""


def train(context: RunContext) -> dict[str, Any]:
    """Trains to the end, or until the run is stopped.

    Returns:
        `accuracy` (the share of held-out pairs in which the better response gets the larger reward) and `loss` of the
        best evaluation, its `step`, and `seconds` since the run began; only `seconds` if the run was stopped.

    Raises:
        LooptopError: The data, model or device cannot be used; says what to do.
    """
    began = time.time()
    config = context.config
    assert isinstance(config, RewardRunConfig)
    transformers_logging.disable_progress_bar()
    device = pick(
        config.training.device,
        config.training.precision,
        overflows_in_fp16=t5_among((config.model.classifier,)),
        threads=context.threads,
    )
    context.compute_on(device)
    set_seed(config.training.seed)
    context.journal.event("data", f"reading {visible(config.data.source)} and loading the model")
    advice = ["choose a smaller classifier"]
    context.activity = loading(advice)
    context.report("loading the model")
    check_memory(context, device, lambda copies: reward_sizes(config, copies), config.training.optim, advice)
    model, tokenizer = load_classifier(config.model.classifier)
    context.raise_if_stopped()
    with context.during(READING_DATA), context.processes.first_process_first():
        pairs, held_out = load_pairs(config.data, config.model.reads, config.training.seed)
    longest = min(config.data.max_tokens, max_input_length(model.config, tokenizer))
    sample = classifier_inputs(tokenizer, [pairs[0].query], [pairs[0].chosen], config.model.reads, longest)
    freeze_unreached(model, lambda: model(**{name: torch.tensor(ids) for name, ids in sample.items()}).logits.sum())
    context.raise_if_stopped()
    arguments = _arguments(context, config, device)
    callbacks: list[TrainerCallback] = [EvaluateAtTheEnd(), JournalCallback(context=context, leave_out=STEP_METRICS)]
    callbacks += early_stopping(context, config.training.early_stopping_patience)

    def tokenised(some_pairs: list[Pair], before: int) -> Dataset:
        def on_progress(encoded: int) -> None:
            context.pass_before_steps("tokenising the pairs", before + encoded, len(pairs) + len(held_out))

        return as_dataset(some_pairs, tokenizer, config.model.reads, longest, on_progress)

    trainer = RewardModelTrainer(
        model=model,
        args=arguments,
        train_dataset=tokenised(pairs, 0),
        eval_dataset=tokenised(held_out, len(pairs)),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.attach_to(context)
    trainer.remove_callback(PrinterCallback)
    context.journal.facts(
        device=device.name,
        precision=device.precision,
        n_train=len(pairs),
        n_validation=len(held_out),
        processes=context.processes.count,
        parameters=sum(p.numel() for p in model.parameters()),
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
    )
    trainer.train(resume_from_checkpoint=str(context.resume_from) if context.resume_from else None)
    if context.stop_requested.is_set():
        return {"seconds": time.time() - began}
    figures = trainer.result_figures("accuracy", "loss")
    card = _card(config, context.folder.model, figures["accuracy"], len(held_out))
    if not save_result(context, lambda folder: save_model(folder, model, tokenizer, card)):
        return {"seconds": time.time() - began}
    return {**figures, "step": trainer.result_step, "seconds": time.time() - began}


def load_classifier(name: str) -> tuple[Any, Any]:
    """A classifier with one label and a new head, and its tokenizer.

    Raises:
        LooptopError: The classifier does not exist, or is incomplete.
    """
    try:
        source = resolve(name)
        model = load_complete_model(
            AutoModelForSequenceClassification.from_pretrained,
            source,
            may_be_new=_is_new_weight,
            num_labels=1,
            id2label={0: "LABEL_0"},
            label2id={"LABEL_0": 0},
        )
        return model, load_part(AutoTokenizer.from_pretrained, source, "the tokenizer in")
    except (OSError, ValueError) as error:
        raise LooptopError(
            f"the classifier {visible(name)} cannot be loaded: {error_text(error)}; name an encoder or a classifier"
            " in a local folder or check your connection to the Hugging Face hub"
        ) from None


_HEADS = ("classifier", "pre_classifier", "classification_head", "score", "sequence_summary", "logits_proj")
"""The name of the classification head in each family of models."""


def _is_new_weight(name: str) -> bool:
    """Whether a checkpoint may lack this weight, which is then new: it belongs to the head, not to the encoder."""
    return name.partition(".")[0] in _HEADS or is_pooler(name)


def as_dataset(
    pairs: list[Pair],
    tokenizer: Any,
    reads: str,
    max_tokens: int,
    on_progress: Callable[[int], object] = lambda encoded: None,
) -> Dataset:
    """Pairs as the trainer takes them: the token ids of both responses, encoded as for a reward.

    Args:
        pairs: The pairs.
        tokenizer: The classifier's tokenizer.
        reads: `response`, or `both` for query and response as one input.
        max_tokens: Longer inputs are cut at their end.
        on_progress: Called every few hundred pairs with the number of pairs encoded so far.
    """
    sides: dict[str, list[list[int]]] = {"chosen_ids": [], "rejected_ids": []}
    for first in range(0, len(pairs), _PAIRS_PER_REPORT):
        on_progress(first)
        part = pairs[first : first + _PAIRS_PER_REPORT]
        queries = [pair.query for pair in part]
        for name, responses in (
            ("chosen_ids", [pair.chosen for pair in part]),
            ("rejected_ids", [pair.rejected for pair in part]),
        ):
            sides[name] += classifier_inputs(tokenizer, queries, responses, reads, max_tokens)["input_ids"]
    return Dataset.from_dict(sides)


def save_model(folder: Path, model: nn.Module, tokenizer: Any, card: str) -> None:
    """Saves the result as one folder: weights, tokenizer, card."""
    model.save_pretrained(folder)  # type: ignore[operator]  # a PreTrainedModel
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, "utf-8")


def _card(config: RewardRunConfig, folder: Path, accuracy: float, pairs: int) -> str:
    return (
        "# A reward model\n\n"
        f"Trained by looptop from {visible(config.model.classifier)} on preferences from {visible(config.data.source)};"
        f" it reads {'the response' if config.model.reads == 'response' else 'query and response'}.\n\n"
        f"- of {counted(pairs, 'held-out pair')}, the better response gets the larger reward in {accuracy:.2%}\n"
        f"- learning rate: {config.training.learning_rate:g}, epochs: {config.training.num_train_epochs:g}\n\n"
        "Use it in a PPO run:\n\n```toml\n[[rewards]]\n"
        f'name = "preferred"\nmodel = {json.dumps(str(folder))}\nlabel = "LABEL_0"\n'
        f'reads = "{config.model.reads}"\n```\n'
    )


def _arguments(context: RunContext, config: RewardRunConfig, device: Any) -> RewardConfig:
    settings = config.training
    arguments = RewardConfig(
        **trainer_arguments(settings, context.folder.checkpoints, device),
        per_device_train_batch_size=settings.per_device_train_batch_size,
        per_device_eval_batch_size=settings.per_device_eval_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        eval_strategy=settings.eval_strategy,
        eval_steps=settings.eval_steps,
        eval_on_start=starts_with_evaluation(context),
        save_strategy=settings.eval_strategy,
        save_steps=settings.eval_steps,
        metric_for_best_model=f"eval_{settings.metric_for_best_model}",
        greater_is_better=settings.metric_for_best_model == "accuracy",
        # Longer texts were cut when they were encoded.
        max_length=None,
        disable_dropout=False,
    )
    device.restrict_trainer(arguments)
    return arguments
