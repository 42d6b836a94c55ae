"""Prepares a run for curation: notes its training questions, takes over edits, and listens to new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looptop.engine.runs.context import RunContext
from looptop.engine.text import visible
from looptop.engine.vqa.batches import Questions
from looptop.engine.vqa.curation.callback import CuratedEpochs
from looptop.engine.vqa.curation.edits import Edits, check_answer
from looptop.engine.vqa.curation.inherited import edits_for_rows, read_inherited
from looptop.engine.vqa.curation.journal import CurationJournal, write_questions
from looptop.engine.vqa.curation.records import TrainingQuestion

if TYPE_CHECKING:
    from transformers import Trainer

    from looptop.engine.vqa.curation.epoch_losses import LossCollector


def curate(context: RunContext, trainer: Trainer, questions: Questions, collector: LossCollector) -> None:
    """Makes a run keep its questions' losses and apply edits; called in each of its processes.

    Args:
        context: The run.
        trainer: Its trainer.
        questions: The training split.
        collector: Collects the questions' losses as the trainer makes its steps.

    Raises:
        LooptopError: The edits that the run inherits cannot be read.
    """
    edits = Edits(
        CurationJournal(context.folder.db),
        context.journal,
        len(questions),
        lambda: trainer.state.global_step,
        lambda: context.gate.is_paused,
    )
    if context.processes.is_first:
        edits.attach_to(context.gate)
        if context.resume_from is None:
            context.report("recording the training questions")
            noted = questions_of(questions)
            write_questions(context.journal, noted)
            _inherit(context, edits, noted)
    trainer.add_callback(CuratedEpochs(context, questions, edits, collector))


def questions_of(split: Questions) -> list[TrainingQuestion]:
    """The texts of a split, in the order of its rows."""
    rows = split.rows
    columns = (rows[name][:] for name in ("question_id", "image", "question", "answer"))
    return [TrainingQuestion(str(number), *texts) for number, *texts in zip(*columns, strict=True)]


def _inherit(context: RunContext, edits: Edits, questions: list[TrainingQuestion]) -> None:
    inherited = read_inherited(context.folder)
    if inherited is None or edits.has_edits:
        return
    for each in inherited.edits:
        check_answer(each.kind, each.answer)
    matches = edits_for_rows(inherited, questions)
    for edit in matches:
        edits.add(edit)
    texts = {(questions[edit.row].image, questions[edit.row].question) for edit in matches}
    without = sum((each.image, each.question) not in texts for each in inherited.edits)
    context.journal.event(
        "data",
        f"edits of training questions copied from {visible(inherited.run)}: {len(matches):,}"
        + (f"; for questions that this data does not have: {without:,}" if without else ""),
    )
