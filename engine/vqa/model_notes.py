"""Notes beside a model that is there already what training notes beside a new one (`confidence_fit`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from looptop.engine.compute import device as devices
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.vqa.batches import Questions
from looptop.engine.vqa.confidence_fit import FittedChecks, OnProgress, fit_checks, training_words
from looptop.engine.vqa.data.load import load_data
from looptop.engine.vqa.model import load_model
from looptop.engine.vqa.processing import VqaProcessor


def note_model(
    folder: Path,
    config: VqaRunConfig,
    earlier: Sequence[str] | None = (),
    device: str = "auto",
    on_progress: OnProgress = lambda done, total: None,
) -> FittedChecks:
    """Calibrates a model and notes its words and images.

    Args:
        folder: The model's folder, into which the notes are written.
        config: What the model was trained with: its data, and how that was split.
        earlier: As for `training_words`.
        device: The device, as `compute.device.pick` takes it.
        on_progress: Called between batches.

    Returns:
        What was written.

    Raises:
        LooptopError: The model or the data cannot be read.
        OSError: The folder cannot be written.
    """
    chosen = devices.pick(device, "fp32")
    data = load_data(config.data, config.training.seed)
    chosen.apply()
    model = load_model(folder).to(chosen.torch_device)  # type: ignore[arg-type]  # A decorator hides the signature.
    processor = VqaProcessor.from_pretrained(folder)
    train, validation = (Questions(table, processor, lambda problem: None) for table in (data.train, data.validation))
    checks = fit_checks(model, processor, train, validation, training_words(train, earlier), on_progress)
    checks.save(folder)
    return checks
