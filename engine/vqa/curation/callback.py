"""What happens around each epoch of a VQA run: edits are applied at its beginning, losses are journalled at its end."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from looptop.engine.runs.context import RunContext
from looptop.engine.vqa.batches import Questions
from looptop.engine.vqa.curation.edits import Edits
from looptop.engine.vqa.curation.epoch_losses import LossCollector
from looptop.engine.vqa.curation.journal import write_losses


class CuratedEpochs(TrainerCallback):
    """Applies edits and journals losses; in every process of the run.

    Args:
        context: The run.
        questions: The training split.
        edits: The run's edits; used in its first process.
        collector: Collects the losses.
    """

    def __init__(self, context: RunContext, questions: Questions, edits: Edits, collector: LossCollector) -> None:
        self._context = context
        self._questions = questions
        self._edits = edits
        self._collector = collector
        self._steps_of_epoch = 1
        self._applied: dict[int, str | None] = {}

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Applies the edits that were made up to the epoch's first step, before its first batch is made."""
        batches = math.ceil(len(kw["train_dataloader"]) / args.gradient_accumulation_steps)
        self._steps_of_epoch = max(1, batches)
        first = state.global_step - state.global_step % self._steps_of_epoch
        edits = self._context.processes.decide(lambda: self._edits.answers_after(first))
        if edits != self._applied:
            self._applied = edits
            self._questions.edit(edits)
            if self._context.processes.is_first:
                dropped = sum(answer is None for answer in edits.values())
                self._context.journal.event(
                    "data",
                    f"training questions from this epoch on: {len(edits) - dropped:,} with another answer, {dropped:,}"
                    " left out",
                    step=state.global_step,
                )

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Journals the losses of the epoch, also of one that ended early."""
        losses = self._collector.take(self._context.processes)
        if losses is not None and self._context.processes.is_first:
            epoch = math.ceil(state.global_step / self._steps_of_epoch)
            write_losses(self._context.journal, epoch, state.global_step, losses)
