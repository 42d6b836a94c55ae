"""Builds `vqa`, the trained model, by a complete run of the preset `tiny`; and writes notes on training anew.

The notes: the calibration, the words of the training questions, the features of training images.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import looptop.engine
from looptop.engine.bundle.shared import WIDTH, write_card
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.vqa.confidence.fitting import earlier_words, note_model
from looptop.engine.vqa.confidence.training_notes import read_calibration, write_words
from looptop.engine.worlds import shapes


def build(folder: Path) -> None:
    """Runs the preset `tiny` to its end and copies the run's model; the run is kept, with its curves."""
    run = looptop.engine.start(looptop.engine.preset("tiny"))
    print(f"vqa: trains as {run.id}", flush=True)  # noqa: T201
    result = run.result()
    before, *_, last = run.journal.values("eval_accuracy")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run.folder.model, folder)
    calibration = read_calibration(folder)
    temperature = 1.0 if calibration is None else calibration.temperature
    write_card(
        folder,
        "A finished VQA model for shapes and colors",
        f"""A `VqaModel` (fusion `mean`): the bundled DistilBERT, ViT and GPT-2 of width {WIDTH}, joined by two
projections and cross-attention; with its two tokenizers and its image processor.

## How and on what
The preset `tiny` run to its end ({last.step} steps): the three bundled parts, trained on the training split of easy-VQA
alone, 5 % of the images held out for validation. The two encoders were frozen; the decoder, its cross-attention and the
projections were trained.

## How good
Exact answers to the 9,673 questions of the benchmark's test split: {result["accuracy"]:.2%}. Before the first step it
answered {before.value or 0:.2%} of the validation questions; the question alone allows 67.0%.

## What it cannot do
It answers questions about the shape, the color, and whether one of them is there, about an image like the benchmark's:
one flat shape on a plain light ground. It cannot count, place or compare, and to anything else it gives one of its 13
answers all the same, sometimes with confidence.

## How far to trust it
With it are kept a temperature ({temperature:.2f}, fitted on the questions of its validation images), the words that it
and its text encoder were trained on, and the features of 2,000 of its training images.
`python -m looptop.engine.bundle notes` makes these files again.""",
    )


def build_notes(bundled: Path) -> None:
    """Writes the notes on training anew (`training_notes`, `unfamiliar_images`), for `text_encoder` and `vqa`.

    Args:
        bundled: The folder of all bundled models.
    """
    write_words(bundled / "text_encoder", shapes.vocabulary())
    config = looptop.engine.preset("tiny")
    assert isinstance(config, VqaRunConfig)
    print(note_model(bundled / "vqa", config, earlier_words(config.model)).calibration, flush=True)  # noqa: T201
