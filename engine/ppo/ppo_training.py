"""Fine-tunes a language model by PPO as a run's configuration says, from data and models to the saved result."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging as transformers_logging

from looptop.engine.compute.device import Device, pick
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.models.memory import check_memory
from looptop.engine.ppo import data
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.fp16 import t5_among
from looptop.engine.ppo.loading import load_policy_and_reference, load_tokenizer, max_query_length
from looptop.engine.ppo.model_sizes import ppo_memory_advice, ppo_sizes
from looptop.engine.ppo.policy import Policy, PolicyOutput
from looptop.engine.ppo.reference import inner
from looptop.engine.ppo.rewards import Reward
from looptop.engine.ppo.rollout import SpecialIds
from looptop.engine.ppo.stages import BatchDroppedError
from looptop.engine.ppo.step import Setup
from looptop.engine.ppo.trainer import PpoTrainer
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


def train(context: RunContext) -> dict[str, Any]:
    """Trains to the end, or until the run is stopped.

    Returns:
        `reward` and `kl` of the best evaluation on the held-out queries, its `step` (the saved model is that of this
        step), and `seconds` since the run began; only `seconds` if the run was stopped.

    Raises:
        LooptopError: Data, models, device or numbers cannot be used; says what to do.
    """
    began = time.time()
    config = context.config
    assert isinstance(config, PpoRunConfig)
    transformers_logging.disable_progress_bar()
    device = pick(
        config.training.device,
        config.training.precision,
        overflows_in_fp16=t5_among((config.model.policy, config.model.reference)),
        threads=context.threads,
    )
    context.compute_on(device)
    set_seed(config.training.seed)
    context.journal.event("data", f"reading {visible(config.data.source)} and loading the models")
    advice = ppo_memory_advice(config)
    context.activity = loading(advice)
    context.report("loading the models")
    check_memory(
        context,
        device,
        lambda copies: ppo_sizes(config, copies, with_rewards=context.processes.is_first),
        config.training.optim,
        advice,
    )
    model, policy, frozen = load_policy_and_reference(config.model, device.torch_device)
    context.raise_if_stopped()
    tokenizer = load_tokenizer(config.model.policy)
    processes = context.processes
    with context.during(READING_DATA), processes.first_process_first():
        queries = data.load(config.data, tokenizer, max_query_length(policy, config), config.training.seed)
    context.raise_if_stopped()
    setup = Setup(
        frozen,
        # The first process scores, so no other needs its models.
        Reward.load(config.rewards if processes.is_first else (), device.torch_device, device.precision),
        queries.quality,
        tokenizer,
        SpecialIds.of(tokenizer, config.model.policy),
        config.generation,
        config.ppo,
        config.training.seed,
    )
    context.raise_if_stopped()
    freeze_unreached(model, lambda: _sum_of_a_sample(model, policy, setup.special))
    warn(context, config)
    arguments = training_arguments(
        config, context.folder.checkpoints, device, eval_on_start=starts_with_evaluation(context)
    )
    callbacks: list[Any] = [EvaluateAtTheEnd(), JournalCallback(context=context, leave_out=STEP_METRICS)]
    callbacks += early_stopping(context, config.training.early_stopping_patience)
    trainer = PpoTrainer(model, arguments, setup, queries, config, context, callbacks)
    trainer.remove_callback(PrinterCallback)
    context.journal.facts(
        device=device.name,
        precision=device.precision,
        n_train=len(queries.train),
        n_held_out=len(queries.held_out),
        parameters=sum(p.numel() for p in policy.parameters()),
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        rewards=[{"name": part.name, "weight": part.weight, "person": part.person} for part in config.rewards],
        samples=config.ppo.samples,
        processes=processes.count,
    )
    if context.resume_from is not None:
        trainer.resume_from(context.resume_from)
    try:
        trainer.train(resume_from_checkpoint=str(context.resume_from) if context.resume_from else None)
    except BatchDroppedError:
        context.journal.event("ppo", f"batch {trainer.state.global_step + 1} is dropped; a resume makes it again")
    if queries.train.cut:
        context.journal.event(
            "data",
            f"cut to {counted(queries.train.max_tokens, 'token')}:"
            f" {counted(len(queries.train.cut), 'query', 'queries')}; the log names them",
            level="warning",
        )
    if context.stop_requested.is_set():
        return {"seconds": time.time() - began}
    best = trainer.result_step
    figures = trainer.result_figures("reward", "kl")
    if not save_result(context, lambda folder: save_model(folder, model, tokenizer, config, best, figures)):
        return {"seconds": time.time() - began}
    return {"reward": figures["reward"], "kl": figures["kl"], "step": best, "seconds": time.time() - began}


def _sum_of_a_sample(model: nn.Module, policy: Policy, special: SpecialIds) -> Tensor:
    """The sum of all outputs that a loss can depend on, for one sample."""
    ids = [[special.end_id]]
    batch = Batch.of(ids, ids, pad_id=special.pad_id, end_id=special.end_id, start_tokens=policy.start_tokens)
    output: PolicyOutput = model(**batch.to(policy.device).model_inputs())
    return output.logprobs.sum() + output.values.sum()


def warn(context: RunContext, config: PpoRunConfig) -> None:
    """Warns of settings that make the KL meaningless."""
    if departures := config.generation.sampling_changes():
        context.journal.event(
            "ppo",
            f"responses are not sampled from the model itself ({', '.join(departures)}): their KL is not an estimate of"
            " the distance to the reference and can go below zero",
            level="warning",
        )


def training_arguments(
    config: PpoRunConfig, output_dir: Path, device: Device, *, eval_on_start: bool = True
) -> TrainingArguments:
    """Trainer's arguments for a run; a step of Trainer is a PPO batch."""
    chosen = config.training
    arguments = TrainingArguments(
        **trainer_arguments(chosen, output_dir, device),
        per_device_train_batch_size=config.ppo.samples // config.training.processes,
        per_device_eval_batch_size=chosen.per_device_eval_batch_size,
        dataloader_drop_last=True,
        eval_strategy="steps",
        eval_steps=chosen.eval_steps,
        eval_on_start=eval_on_start,
        save_strategy="steps",
        save_steps=chosen.eval_steps,
        metric_for_best_model="eval_reward",
        greater_is_better=True,
    )
    device.restrict_trainer(arguments)
    return arguments


def save_model(
    folder: Path, model: nn.Module, tokenizer: Any, config: PpoRunConfig, step: int, figures: dict[str, float]
) -> None:
    """Saves the result as one folder: weights with the value head, adapters merged in, tokenizer, card."""
    adapted: Any = model
    merged = adapted.merge_and_unload() if hasattr(model, "merge_and_unload") else inner(model)
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parts = "\n".join(
        f"- {part.name}, weight {part.weight:g}: {visible(part.model or part.function or 'a person')}"
        for part in config.rewards
    )
    (folder / "README.md").write_text(
        "# A language model tuned by PPO\n\n"
        f"Made by looptop from {visible(config.model.policy)}; the checkpoint of batch {step}, the best by the reward"
        f" on {counted(config.data.held_out, 'held-out query', 'held-out queries')}.\n\n"
        f"- queries: {visible(config.data.source)}, prefix {json.dumps(config.data.prefix)}\n"
        f"- learning rate: {config.training.learning_rate:g}, batches of {config.ppo.samples}\n"
        f"- held-out reward {figures['reward']:.4f}, KL to the reference {figures['kl']:.4f}\n\n"
        f"The reward is the sum of:\n\n{parts}\n\n"
        "Use it with `looptop generate THIS_FOLDER TEXT`, or as any model of its family.\n",
        "utf-8",
    )
