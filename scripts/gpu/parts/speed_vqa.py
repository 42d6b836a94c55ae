"""Seconds a step of the book's VQA model at full size, beside listing 7.4 as written.

It uses random weights of the published sizes and photo-like JPEG files of 640 x 480. Ours are real runs with journals.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import Trainer, TrainerCallback, TrainingArguments

from looptop.engine.compute.device import pick
from looptop.engine.journal.reader import Journal
from looptop.engine.vqa.data.load import load_data
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel
from scripts.bench.training import Clock, collate_one_by_one
from scripts.gpu import runs
from scripts.gpu.checks import Checks
from tests.factories.published_models import VQA_PARAMETERS, save_photos, save_vqa_parts
from tests.support import eventually

STEPS = 6
"""Optimiser steps of a measurement; the first two are not counted."""
WORKERS = 8
NO_OTHER_DATA = ("data.annotations=", "data.questions=", "data.images=")
"""Settings that clear the preset's own files."""


def run(checks: Checks) -> None:
    """Measures our runs and the listing."""
    parts = save_vqa_parts(checks.folder / "parts", checks.toy)
    images = 20 if checks.toy else 100 if checks.quick else 200
    photos = save_photos(checks.folder / "photos", images, size=(64, 48) if checks.toy else (640, 480))
    text, image, decoder = parts
    common = [
        f"text_encoder={text}", f"image_encoder={image}", f"decoder={decoder}", f"data.source={photos}",
        *NO_OTHER_DATA, "eval_strategy=steps", "eval_steps=100000", "answer_samples=0", "validation_fraction=0.05",
        f"max_steps={100 * STEPS}", "num_train_epochs=100", "save_minutes=1000",
    ]  # fmt: skip
    batch, accumulation, large = (2, 4, 8) if checks.toy else (16, 4, 64)
    small = (f"per_device_train_batch_size={batch}", f"gradient_accumulation_steps={accumulation}")
    whole = (f"per_device_train_batch_size={large}", "gradient_accumulation_steps=1")
    workers = f"dataloader_num_workers={0 if checks.toy else WORKERS}"
    cases: list[tuple[str, int, tuple[str, ...]]] = [
        (f"{batch} x {accumulation}, as the preset is", batch * accumulation, small),
        (f"{batch} x {accumulation}, {workers}", batch * accumulation, (*small, workers)),
        (f"{large}, {workers}", large, (*whole, workers)),
    ]
    if not checks.quick:
        cases.append((f"{large}, fp32, {workers}", large, (*whole, workers, "precision=fp32")))
        frozen = (*whole, "freeze=encoders")
        cases.append((f"{large}, encoders frozen, features kept", large, frozen))
    ours: dict[str, float] = {}
    for name, samples, settings in cases:
        with checks.check(f"the book's model, {name}") as check:
            config = runs.configured("vqa", checks.device, [*common, *settings], preset="book")
            folder, peak = _measured(config, checks)
            seconds = statistics.median(runs.seconds_between_steps(folder, first=3))
            facts = Journal(folder.db).facts()
            ours[name] = seconds
            check.measured(
                f"{seconds:.3f} s a step, {samples / seconds:.0f} samples/s, {facts['precision']},"
                f" {facts['parameters']:,} parameters, {peak / 2**30:.1f} GiB at most on the device",
                seconds=seconds,
                samples_per_second=samples / seconds,
                peak_bytes=peak,
            )
            check.require(checks.toy or facts["parameters"] == VQA_PARAMETERS, "the model has another size")
    with checks.check(f"listing 7.4 as it is written, {batch} x {accumulation}") as check:
        seconds = _listing(checks, parts, photos, batch, accumulation)
        beside = ", ".join(f"{seconds / one:.2f} times ours, {name}" for name, one in list(ours.items())[:2])
        speed = batch * accumulation / seconds
        check.measured(f"{seconds:.3f} s a step, {speed:.0f} samples/s; {beside}", seconds=seconds)


def _measured(config: Any, checks: Checks) -> tuple[Any, int]:
    """Makes a run, stops it after a few steps, and returns it with its peak memory on the device in bytes."""
    if not checks.toy:
        torch.cuda.reset_peak_memory_stats(checks.device)
    run = runs.start(config)

    def is_measured() -> bool:
        last = run.journal.last("loss")
        return run.state.ended or (last is not None and last.step >= STEPS)

    eventually(is_measured, limit=runs.LIMIT)
    peak = 0 if checks.toy else torch.cuda.max_memory_allocated(checks.device)
    runs.stop(run, checkpoint=False)
    return run.folder, peak


def _listing(checks: Checks, parts: tuple[str, str, str], photos: Path, batch: int, accumulation: int) -> float:
    """Seconds a step of plain Trainer: each sample is opened and prepared by itself; fp16 on a GPU."""
    pick(checks.device, "fp32").apply()
    torch.manual_seed(42)
    model, processor = VqaModel.from_parts(*parts), VqaProcessor.from_parts(*parts)
    rows = load_data(runs.configured("vqa", "cpu", [f"data.source={photos}"]).data, seed=42).train  # type: ignore[arg-type]
    clock = Clock()
    arguments = TrainingArguments(
        output_dir=str(checks.folder / "listing"),
        max_steps=STEPS,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        learning_rate=5e-5,
        fp16=not checks.toy,
        use_cpu=checks.toy,
        optim="adamw_torch",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        save_strategy="no",
        label_names=["labels"],
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=_Opened(rows),
        data_collator=lambda rows: collate_one_by_one(rows, processor),
        callbacks=[clock, _Synchronise(checks)],
    )
    trainer.train()
    return (clock.last - clock.first) / (STEPS - 1)


class _Opened(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Rows with their images opened."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self.rows[number]
        with Image.open(row["image"]) as image:
            return {**row, "image": image.convert("RGB")}


class _Synchronise(TrainerCallback):
    """Waits for the device at each step's end, so that the step's whole time is measured."""

    def __init__(self, checks: Checks) -> None:
        self.checks = checks

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Waits for the device."""
        if not self.checks.toy:
            torch.cuda.synchronize(self.checks.device)
