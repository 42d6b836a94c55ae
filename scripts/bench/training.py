"""Training the tiny preset through the engine, against a bare PyTorch loop and against listing 7.4 as written."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from looptop.engine import config
from looptop.engine.device import pick
from looptop.engine.runs.host import launch
from looptop.engine.runs.journal import Journal
from looptop.engine.vqa import data
from looptop.engine.vqa.batches import Questions, as_is, keep_image_features
from looptop.engine.vqa.problems import Problem
from looptop.engine.vqa.processing import VqaProcessor
from looptop.engine.vqa.training import build_model
from scripts.bench.pairs import paired
from tests.support import eventually

STEPS = 100
MEASURED = ("eval_strategy=steps", "eval_steps=1000000")
"""No evaluation between the steps that are measured."""

LISTING_STEPS = 6
"""Optimiser steps of listing 7.4, each of 64 samples and slow."""


def engine_seconds_per_sample(*settings: str, steps: int = STEPS) -> float:
    """A real run in its engine process, with its journal; timed from its first step to its last, as it journalled."""
    chosen = config.override(config.preset("tiny"), [*MEASURED, f"max_steps={steps}", *settings])
    folder = launch(chosen)
    eventually(lambda: not folder.is_live(), limit=600)
    points = Journal(folder.db).values("loss")
    assert len(points) == steps, folder.state()
    samples = chosen.training.per_device_train_batch_size * chosen.training.gradient_accumulation_steps
    return (points[-1].time - points[0].time) / (steps - 1) / samples


def peer_seconds_per_sample(peer: str) -> float:
    """A peer in a process of its own too, with nothing set for it that is not set by default."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.bench.training", peer], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


class BareLoop:
    """The same model, batches and precision in twenty lines of PyTorch."""

    def __init__(self) -> None:
        self.config = config.override(config.preset("tiny"), MEASURED)
        self.device = pick(self.config.training.device, self.config.training.precision)
        self.device.apply()
        model, processor = build_model(self.config)
        model.eval()
        rows = data.load(self.config.data, seed=self.config.training.seed).train
        frozen = "image_encoder" in self.config.model.freeze or "encoders" in self.config.model.freeze
        text = model if "encoders" in self.config.model.freeze or "text_encoder" in self.config.model.freeze else None
        features = keep_image_features(model, processor, list(dict.fromkeys(rows["image"])), ignore) if frozen else None
        self.questions = Questions(rows, processor, ignore, features, text)

    def seconds_per_sample(self) -> float:
        """Trains a fresh model for `STEPS` steps, timed from the end of the first."""
        chosen = self.config.training
        torch.manual_seed(chosen.seed)
        model, _ = build_model(self.config)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=chosen.learning_rate, weight_decay=chosen.weight_decay, fused="fused" in chosen.optim
        )
        scheduler = transformers.get_scheduler(chosen.lr_scheduler_type, optimizer, STEPS // 20, STEPS)
        loader = torch.utils.data.DataLoader(
            self.questions, chosen.per_device_train_batch_size, shuffle=True, collate_fn=as_is
        )
        batches = itertools.chain.from_iterable(itertools.repeat(loader))
        model.train()
        began = 0.0
        for step in range(STEPS):
            if step == 1:
                began = time.perf_counter()
            batch = next(batches)
            del batch["rows"]
            with torch.autocast("cpu", torch.bfloat16, enabled=self.device.precision == "bf16"):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, chosen.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        return (time.perf_counter() - began) / (STEPS - 1) / chosen.per_device_train_batch_size


def listing_seconds_per_sample() -> float:
    """Listing 7.4: images held as Pillow images, prepared one by one in the collator, Trainer's defaults."""
    chosen = config.preset("tiny")
    model, processor = build_model(config.override(chosen, ["freeze=nothing"]))
    rows = data.load(chosen.data, seed=1).train.select(range(64 * (LISTING_STEPS + 1)))
    samples = [{**row, "image": Image.open(row["image"]).convert("RGB")} for row in rows]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=LISTING_STEPS,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=4,
            optim="adamw_torch",
            logging_steps=10,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            save_strategy="no",
            label_names=["labels"],
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=samples,
            data_collator=lambda rows: collate_one_by_one(rows, processor),
            callbacks=[clock],
        )
        trainer.train()
    return (clock.last - clock.first) / (LISTING_STEPS - 1) / 64


def collate_one_by_one(rows: list[dict[str, Any]], processor: VqaProcessor) -> dict[str, Tensor]:
    """The collator that the listing's text describes: every sample prepared alone, then padded together."""
    images = [processor.image_processor(row["image"], return_tensors="pt")["pixel_values"][0] for row in rows]
    input_ids, mask = processor.questions([row["question"] for row in rows])
    inputs, labels = processor.answers([row["answer"] for row in rows])
    return {
        "pixel_values": torch.stack(images),
        "input_ids": input_ids,
        "attention_mask": mask,
        "decoder_input_ids": inputs,
        "labels": labels,
    }


class Clock(TrainerCallback):
    """When the first and the last step ended."""

    first = last = 0.0

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Notes the time."""
        self.last = time.perf_counter()
        self.first = self.first or self.last


def ignore(problem: Problem) -> None:
    """The benchmark's images are whole."""
    raise AssertionError(str(problem))


PEERS: dict[str, Callable[[], float]] = {
    "bare": lambda: BareLoop().seconds_per_sample(),
    "listing": listing_seconds_per_sample,
}


def main() -> None:
    """Prints the three ratios."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = str(Path(home))
        bare = paired(lambda: peer_seconds_per_sample("bare"), engine_seconds_per_sample)
        print(f"training, of a bare PyTorch loop's speed: {bare} (goal: at least 0.95)", flush=True)
        kept = paired(lambda: peer_seconds_per_sample("listing"), engine_seconds_per_sample)
        print(f"training, of listing 7.4's speed, features kept: {kept} (goal: at least 5)", flush=True)
        nothing = paired(
            lambda: peer_seconds_per_sample("listing"),
            lambda: engine_seconds_per_sample("keep_features=false", "freeze=nothing", "precision=auto", steps=6),
        )
        print(f"training, of listing 7.4's speed, nothing frozen or kept: {nothing} (goal: at least 1.5)", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(PEERS[sys.argv[1]]())
    else:
        main()
