"""The share of time in which the GPU waits, its longest kernels and its longest gaps, from torch's profiler.

A real run is profiled from its third step on. The trace opens in https://ui.perfetto.dev. On a CPU, torch's operations
take the place of kernels, so that the same code runs.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from looptop.engine.config import RunConfig
from looptop.engine.ppo.trainer import PpoTrainer
from looptop.engine.training.trainer import RunTrainer
from looptop.engine.vqa.trainer import VqaTrainer
from scripts.gpu import runs
from scripts.gpu.checks import Checks, Measurement
from scripts.gpu.parts.speed_ppo import CONSTANT
from scripts.gpu.parts.speed_vqa import NO_OTHER_DATA
from tests.factories.published_models import T5_VOCABULARY, save_photos, save_queries, save_t5, save_vqa_parts

FIRST = 3
"""The first training step that is profiled; those before it are slower."""
LONGEST = 10


class Kernel(NamedTuple):
    """An operation of the device; times in microseconds since the trace began."""

    name: str
    start: float
    end: float


def run(checks: Checks) -> None:
    """Profiles a PPO batch and some VQA steps."""
    with checks.check("a PPO batch of FLAN-T5-small's size, 8 x (256 + 48), bf16") as check:
        model = save_t5(checks.folder / "t5", checks.toy)
        words, length, vocabulary = (15, 6, 512) if checks.toy else (255, 48, T5_VOCABULARY)
        queries = save_queries(checks.folder / "queries.jsonl", 64, words, vocabulary)
        settings = [
            f"policy={model}", f"data.source={queries}", "prefix=", f"max_query_tokens={words + 1}", "held_out=8",
            f"max_new_tokens={length}", "batch_size=8", "mini_batch_size=8", "ppo_epochs=4", "eval_steps=1000",
            "reference_responses=0", "max_steps=4", "precision=bf16", "optim=adamw_torch_fused",
            f'rewards=[{{name="one", function="{CONSTANT}:one"}}]',
        ]  # fmt: skip
        _report(checks, check, "ppo", runs.configured("ppo", checks.device, settings), PpoTrainer, steps=1)
    with checks.check("steps of the book's VQA model, 64 samples, bf16") as check:
        text, image, decoder = save_vqa_parts(checks.folder / "parts", checks.toy)
        photos = save_photos(
            checks.folder / "photos", 20 if checks.toy else 60, size=(64, 48) if checks.toy else (640, 480)
        )
        batch, workers = (8, 0) if checks.toy else (64, 8)
        settings = [
            f"text_encoder={text}", f"image_encoder={image}", f"decoder={decoder}", f"data.source={photos}",
            *NO_OTHER_DATA, "eval_strategy=steps", "eval_steps=1000", "answer_samples=0",
            f"per_device_train_batch_size={batch}", "gradient_accumulation_steps=1", "max_steps=6",
            "num_train_epochs=100", "precision=bf16", f"dataloader_num_workers={workers}",
        ]  # fmt: skip
        config = runs.configured("vqa", checks.device, settings, preset="book")
        _report(checks, check, "vqa", config, VqaTrainer, steps=2)


def _report(
    checks: Checks, check: Measurement, name: str, config: RunConfig, trainer: type[RunTrainer], steps: int
) -> None:
    folder = Path(os.environ.get("LOOPTOP_GPU_REPORT", checks.folder))
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (not checks.toy)
    profiler = profile(activities=activities)
    with _profiled(profiler, trainer, steps):
        run = runs.start(config)
        run.wait()
    assert not run.reason, run.reason
    trace = folder / f"trace-{name}.json.gz"
    profiler.export_chrome_trace(str(trace))
    kernels = _kernels(trace, checks.toy)
    check.require(kernels, "the profiler recorded nothing of the device")
    gaps, busy, whole = _gaps(kernels)
    spent: dict[str, float] = defaultdict(float)
    for kernel in kernels:
        spent[kernel.name] += kernel.end - kernel.start
    longest = sorted(spent.items(), key=lambda item: -item[1])[:LONGEST]
    summary = {
        "steps": steps,
        "seconds": whole / 1e6,
        "waits": 1 - busy / whole,
        "kernels": len(kernels),
        "longest_kernels": [{"name": kernel, "milliseconds": took / 1e3} for kernel, took in longest],
        "longest_gaps": [
            {"milliseconds": (after.start - before.end) / 1e3, "after": before.name, "before": after.name}
            for before, after in gaps[:LONGEST]
        ],
    }
    (folder / f"waiting-{name}.json").write_text(json.dumps(summary, indent=1), "utf-8")
    print(json.dumps(summary, indent=1))
    gap = (gaps[0][1].start - gaps[0][0].end) / 1e3 if gaps else 0.0
    kernel, took = longest[0]  # type: ignore[assignment]
    check.measured(
        f"the device waits {1 - busy / whole:.0%} of {whole / 1e6:.2f} s; {len(kernels)} kernels, most time in"
        f" {kernel[:60]} ({took / 1e3:.1f} ms); longest gap {gap:.1f} ms",
        waits=1 - busy / whole,
        seconds=whole / 1e6,
        kernels=len(kernels),
    )


@contextmanager
def _profiled(profiler: Any, trainer: type[RunTrainer], steps: int) -> Iterator[None]:
    """While the block runs, profiles some training steps of this class of trainer, in the thread that trains."""
    before = trainer.training_step
    made = 0

    def training_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal made
        made += 1
        if made == FIRST:
            profiler.start()
        if made == FIRST + steps:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            profiler.stop()
        return before(self, *args, **kwargs)

    trainer.training_step = training_step  # type: ignore[method-assign]
    try:
        yield
    finally:
        trainer.training_step = before  # type: ignore[method-assign]


def _kernels(trace: Path, toy: bool) -> list[Kernel]:
    """The device's operations in a trace, in order."""
    kinds = ("cpu_op",) if toy else ("kernel", "gpu_memcpy", "gpu_memset")
    with gzip.open(trace, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    seen = [
        Kernel(event["name"], event["ts"], event["ts"] + event["dur"]) for event in events if event.get("cat") in kinds
    ]
    return sorted(seen, key=lambda kernel: kernel.start)


def _gaps(kernels: list[Kernel]) -> tuple[list[tuple[Kernel, Kernel]], float, float]:
    """The gaps between kernels, the longest first; the time in which any ran, and the time from first to last."""
    gaps: list[tuple[Kernel, Kernel]] = []
    busy, last = 0.0, kernels[0]
    reached = kernels[0].start
    for kernel in kernels:
        if kernel.start > reached:
            gaps.append((last, kernel))
        busy += max(0.0, kernel.end - max(kernel.start, reached))
        if kernel.end > reached:
            reached, last = kernel.end, kernel
    gaps.sort(key=lambda pair: pair[0].end - pair[1].start)
    return gaps, busy, reached - kernels[0].start
