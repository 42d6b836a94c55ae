"""The speed of training the tiny preset with the engine, against a bare PyTorch loop and against listing 7.4."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from looptop.engine import config
from looptop.engine.compute.device import pick
from looptop.engine.journal.reader import Journal
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch
from looptop.engine.vqa.batches import Questions, identity, keep_image_features
from looptop.engine.vqa.curation.epoch_losses import LossCollector
from looptop.engine.vqa.data.left_out import Problem
from looptop.engine.vqa.data.load import load_data
from looptop.engine.vqa.model.fast_gpt2 import use_fast_kernels
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.vqa_training import build_model
from scripts.bench.pairs import Ratio, paired
from scripts.bench.turns import Turn, alone, ratio_of, seconds_a_step, turn
from tests.support import eventually

STEPS = 100
MEASURED = ("eval_strategy=steps", "eval_steps=1000000")
"""Settings that leave out evaluations between the measured steps."""

ENDLESS = 1_000_000
"""Steps of a run or a bare loop that is ended when the measurement is complete."""

TURNS = 34
"""Turns of each side, a second and a half long."""

WARM = 20
"""Steps before the first turn."""

KERNEL_PAIRS, KERNEL_STEPS = 30, 10
"""Turns with each of the kernels, and the steps of a turn."""

LISTING_STEPS = 6
"""Optimiser steps of listing 7.4, which are slow, of 64 samples each."""


def engine_seconds_per_sample(*settings: str, steps: int = STEPS) -> float:
    """Seconds a sample of a real run in its engine process, from its first to its last journalled step."""
    chosen = config.override(config.preset("tiny"), [*MEASURED, f"max_steps={steps}", *settings])
    folder = launch(chosen)
    eventually(lambda: not folder.is_live(), limit=600)
    points = Journal(folder.db).values("loss")
    assert len(points) == steps, folder.state()
    samples = chosen.training.per_device_train_batch_size * chosen.training.gradient_accumulation_steps
    return (points[-1].time - points[0].time) / (steps - 1) / samples


def listing_process_seconds_per_sample() -> float:
    """Seconds a sample of listing 7.4, also in a process of its own, with default settings."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.bench.training", "listing"], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


class BareLoop:
    """The same model, batches and precision in thirty lines of PyTorch."""

    def __init__(self) -> None:
        self.config = config.override(config.preset("tiny"), MEASURED)
        training = self.config.training
        self.device = pick(training.device, training.precision, threads=training.threads)
        self.device.apply()
        model, processor = build_model(self.config)
        model.train(False)
        rows = load_data(self.config.data, seed=self.config.training.seed).train
        frozen = "image_encoder" in self.config.model.freeze or "encoders" in self.config.model.freeze
        text = model if "encoders" in self.config.model.freeze or "text_encoder" in self.config.model.freeze else None
        features = keep_image_features(model, processor, list(dict.fromkeys(rows["image"])), ignore) if frozen else None
        self.questions = Questions(rows, processor, ignore, features, text)

    def train(self, file: Path) -> None:
        """Trains a new model without end, and writes the time of each step's end to a file, one a line."""
        with file.open("w", buffering=1) as times:
            for _ in self.steps():
                times.write(f"{time.time()}\n")

    def steps(self, kernels: str = "fast", *, keeps_losses: bool = False) -> Iterator[None]:
        """Trains a new model, one step for each item of the iterator.

        Args:
            kernels: The decoder's kernels (`model.kernels`).
            keeps_losses: Record the loss of each question, as a run does.
        """
        collector = LossCollector(len(self.questions)) if keeps_losses else None
        chosen = self.config.training
        torch.manual_seed(chosen.seed)
        model, _ = build_model(self.config)
        if kernels == "fast":
            use_fast_kernels(model.decoder)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=chosen.learning_rate, weight_decay=chosen.weight_decay, fused="fused" in chosen.optim
        )
        scheduler = transformers.get_scheduler(chosen.lr_scheduler_type, optimizer, ENDLESS // 20, ENDLESS)
        loader = torch.utils.data.DataLoader(
            self.questions, chosen.per_device_train_batch_size, shuffle=True, collate_fn=identity
        )
        batches = itertools.chain.from_iterable(itertools.repeat(loader))
        model.train()
        for batch in batches:
            rows = batch.pop("rows")
            with torch.autocast("cpu", torch.bfloat16, enabled=self.device.precision == "bf16"):
                output = model(**batch)
            loss = output.loss
            if collector is not None:
                collector.record(rows, output.logits, batch["labels"])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, chosen.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            yield


def of_kernels() -> Ratio:
    """The time of a step with transformers' kernels over one with the fast kernels (`model.kernels`)."""
    loop = BareLoop()
    plain, fast = loop.steps("transformers"), loop.steps("fast")
    return paired(lambda: seconds_of(plain), lambda: seconds_of(fast), KERNEL_PAIRS)


def of_question_losses() -> Ratio:
    """The CPU time of a step that records the loss of each question over one that does not."""
    loop = BareLoop()
    recording, plain = loop.steps(keeps_losses=True), loop.steps()
    return paired(lambda: cpu_seconds_of(recording), lambda: cpu_seconds_of(plain), KERNEL_PAIRS)


def cpu_seconds_of(steps: Iterator[None]) -> float:
    """Mean CPU seconds of the next steps, which other programs disturb less than the time that passes."""
    began = time.process_time()
    for _ in itertools.islice(steps, KERNEL_STEPS):
        pass
    return (time.process_time() - began) / KERNEL_STEPS


def seconds_of(steps: Iterator[None]) -> float:
    """Mean seconds of the next steps."""
    began = time.perf_counter()
    for _ in itertools.islice(steps, KERNEL_STEPS):
        pass
    return (time.perf_counter() - began) / KERNEL_STEPS


def of_bare_loop() -> Ratio:
    """A real run's speed as a share of a bare loop's, which has a process of its own with Python's defaults."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as at_the_end:
        times = Path(name) / "times"
        words = [sys.executable, "-m", "scripts.bench.training", "bare", str(times)]
        bare = at_the_end.enter_context(subprocess.Popen(words))
        at_the_end.callback(bare.kill)
        eventually(lambda: times.exists() and len(times.read_text().splitlines()) > WARM, limit=300)
        bare.send_signal(signal.SIGSTOP)
        folder = launch(config.override(config.preset("tiny"), [*MEASURED, f"max_steps={ENDLESS}"]))
        at_the_end.callback(stop, folder)
        journal = Journal(folder.db)
        eventually(lambda: (last := journal.last("loss")) is not None and last.step > WARM, limit=300)
        owner = folder.owner()
        assert owner is not None
        at_the_end.callback(os.kill, owner.pid, signal.SIGCONT)
        os.kill(owner.pid, signal.SIGSTOP)
        pairs = [(alone(owner.pid, a_turn), alone(bare.pid, a_turn)) for _ in range(TURNS)]
        ours = seconds_a_step([point.time for point in journal.values("loss")], [mine for mine, _ in pairs])
        peer = seconds_a_step([float(line) for line in times.read_text().splitlines()], [theirs for _, theirs in pairs])
    return ratio_of(ours, peer)


def a_turn() -> Turn:
    """One turn, about forty steps."""
    return turn(1.5)


def stop(folder: RunFolder) -> None:
    """Ends a run."""
    control.send(folder, "stop", by="bench", checkpoint=False)
    eventually(lambda: not folder.is_live())


def listing_seconds_per_sample() -> float:
    """Seconds a sample of listing 7.4: images held as Pillow images, prepared one by one in the collator."""
    chosen = config.preset("tiny")
    model, processor = build_model(config.override(chosen, ["freeze=nothing"]))
    rows = load_data(chosen.data, seed=1).train.select(range(64 * (LISTING_STEPS + 1)))
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
    """The collator that the listing's text describes: prepares every sample by itself, then pads them together."""
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
    """Records when the first and the last step ended."""

    first = last = 0.0

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Records the time."""
        self.last = time.perf_counter()
        self.first = self.first or self.last


def ignore(problem: Problem) -> None:
    """Fails: the benchmark's data has no problems."""
    raise AssertionError(str(problem))


def main() -> None:
    """Prints the ratios."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = str(Path(home))
        print(f"training, of a bare PyTorch loop's speed: {of_bare_loop()}", flush=True)
        print(
            f"training, a step with transformers' kernels: {of_kernels()} times one with the fast ones (kept from 1.2)"
        )
        print(f"training, a step that keeps the questions' losses: {of_question_losses()} times one that does not")
        kept = paired(listing_process_seconds_per_sample, engine_seconds_per_sample)
        print(f"training, of listing 7.4's speed, features kept: {kept} (goal: at least 5)", flush=True)
        nothing = paired(
            listing_process_seconds_per_sample,
            lambda: engine_seconds_per_sample("keep_features=false", "freeze=nothing", steps=6),
        )
        print(f"training, of listing 7.4's speed, nothing frozen or kept: {nothing} (goal: at least 1.5)", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", file]:
            BareLoop().train(Path(file))
        case ["kernels"]:
            ratio = of_kernels()
            print(f"{ratio}; {1e3 * ratio.ours:.1f} ms a step with transformers', {1e3 * ratio.peer:.1f} ms with ours")
        case ["losses"]:
            ratio = of_question_losses()
            print(f"{ratio}; {1e3 * ratio.ours:.1f} ms of CPU a step with them, {1e3 * ratio.peer:.1f} ms without")
        case ["listing"]:
            print(listing_seconds_per_sample())
        case _:
            main()
