"""VQA runs that nobody trained, with training questions, their losses by epoch, and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from numpy import array, float32

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.vqa.curation.journal import write_losses, write_questions
from looptop.engine.vqa.curation.records import TrainingQuestion
from tests.factories.vqa_runs import make_run

COLOURS = ("red", "green", "blue", "teal", "black")

LOSSES = (
    (0.7, 0.5, 3.0, 0.1, math.nan),
    (0.2, 0.6, 4.0, 0.1, math.nan),
)
"""Of each epoch one loss a question: the third is the hardest, the last has not been trained on."""


def curated_run(
    folder: Path, state: RunState | None = RunState.FINISHED, losses: Sequence[Sequence[float]] = LOSSES
) -> RunFolder:
    """A run with five training questions `q0` to `q4` about images of one colour each, in a folder."""
    from PIL import Image

    questions = []
    for number, colour in enumerate(COLOURS):
        path = folder / f"{number}-{colour}.png"
        Image.new("RGB", (20, 20), colour).save(path)
        label = "pink" if number == 2 else colour
        questions.append(TrainingQuestion(f"q{number}", str(path), f"what colour is shape {number}?", label))

    def extra(writer: JournalWriter) -> None:
        write_questions(writer, questions)
        for epoch, each in enumerate(losses, start=1):
            write_losses(writer, epoch, 20 * epoch, array(each, dtype=float32))

    return make_run(40, state=state, extra=extra)


def add_epoch(run: RunFolder, epoch: int, losses: Sequence[float]) -> None:
    """Adds the losses of an epoch to the journal."""
    writer = JournalWriter(run.db)
    write_losses(writer, epoch, 20 * epoch, array(losses, dtype=float32))
    assert writer.close()
