"""How near the form's memory estimate is to what a run then takes: `python -m scripts.bench memory`.

Each case is estimated, and then trained for a few steps in a process of its own, under PyTorch's profiler. It records
every allocation of torch from the beginning of training. Resident memory would not do: malloc reuses what loading has
freed. The book's three models are built from their configurations with random weights, so nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from looptop.engine import config as configuration
from looptop.engine.config import to_dict
from looptop.engine.estimates.records import EstimateProcess, EstimateReply, EstimateRequest
from looptop.engine.startup.host import MALLOC_SETTINGS

SHORT = ["max_images=40", "eval_strategy=steps", "eval_steps=1000", "max_steps=2", "threads=2", "precision=fp32"]
BOOK = [*SHORT, "data.source=easy-vqa", "min_agreement=1", "gradient_accumulation_steps=2"]
CASES = {
    "tiny, as it is": ("tiny", [*SHORT[1:], "max_steps=20"]),
    "tiny, all trained, batch 128": ("tiny", [*SHORT, "freeze=nothing", "per_device_train_batch_size=128"]),
    "book's models, batch 8": ("book", [*BOOK, "per_device_train_batch_size=8"]),
    "book's models, batch 16": ("book", [*BOOK, "per_device_train_batch_size=16"]),
    "book's models, tokens, encoders frozen, batch 16": (
        "book",
        [*BOOK, "per_device_train_batch_size=16", "fusion=tokens", "freeze=encoders", "keep_features=false"],
    ),
}
MIB = 2**20


def main() -> None:
    """Prints a line for each case."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOPTOP_HOME"] = folder
        parts = make_parts(Path(folder) / "parts")
        for name, (preset, settings) in CASES.items():
            chosen = [*settings, *(parts if preset == "book" else [])]
            config = configuration.override(configuration.preset(preset), chosen)
            estimate = estimated(to_dict(config)).memory
            assert estimate is not None
            seen = trained(to_dict(config))
            # Gradients of the last batch are still held while the next one is computed if a step has several.
            held = estimate.optimizer + (estimate.gradients if config.training.gradient_accumulation_steps > 1 else 0)
            activations = seen["peak"] - held
            adds = estimate.peak - estimate.weights - estimate.features - estimate.program
            print(
                f"{name}: training allocates {seen['peak'] / MIB:,.0f} MiB at most, estimated {adds / MIB:,.0f}"
                f" ({adds / seen['peak'] - 1:+.0%}); activations {activations / MIB:,.0f} MiB, estimated"
                f" {estimate.activations / MIB:,.0f} ({estimate.activations / activations - 1:+.0%})",
                flush=True,
            )


def make_parts(folder: Path) -> list[str]:
    """Writes models of the book's sizes with random weights; returns the settings that name them."""
    code = f"""
        import shutil
        from pathlib import Path
        from transformers import DistilBertConfig, DistilBertModel, GPT2Config, GPT2LMHeadModel, ViTConfig, ViTModel
        from looptop.engine.models.names import resolve
        for name, model in (
            ("text_encoder", DistilBertModel(DistilBertConfig())),
            ("image_encoder", ViTModel(ViTConfig(), add_pooling_layer=False)),
            ("decoder", GPT2LMHeadModel(GPT2Config())),
        ):
            target = Path({str(folder)!r}) / name
            model.save_pretrained(target)
            for file in Path(resolve("bundled:" + name)).iterdir():
                if "token" in file.name or file.name in ("vocab.json", "vocab.txt", "merges.txt"):
                    shutil.copy(file, target)
            if name == "image_encoder":
                from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil
                ViTImageProcessorPil(size={{"height": 224, "width": 224}}).save_pretrained(target)
    """
    import textwrap

    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True)
    return [f"model.{name}={folder / name}" for name in ("text_encoder", "image_encoder", "decoder")]


def estimated(settings: dict[str, Any]) -> EstimateReply:
    """The estimate of a run."""
    process = EstimateProcess()
    process.start()
    try:
        process.ask(EstimateRequest(id=1, settings=settings))
        while not (reply := process.read()).done:
            assert not reply.ended, reply
        assert reply.error is None and not reply.unknown, reply
        return reply
    finally:
        process.close()


def trained(settings: dict[str, Any]) -> dict[str, int]:
    """The bytes that torch held at most while a run trained, under `peak`."""
    output = subprocess.run(
        [sys.executable, "-m", "scripts.bench.memory", json.dumps(settings)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | MALLOC_SETTINGS,
    ).stdout
    seen: dict[str, int] = json.loads(output.splitlines()[-1])
    return seen


def train(settings: dict[str, Any]) -> None:
    """Trains a run in this process, and prints the most memory that torch held."""
    from torch.profiler import ProfilerActivity, profile

    from looptop.engine.startup.run import start
    from looptop.engine.vqa.trainer import VqaTrainer

    seen: dict[str, int] = {}
    plain = VqaTrainer.train

    def watched(self: VqaTrainer, *arguments: Any, **options: Any) -> None:
        self.args.eval_on_start = False
        self.evaluate = lambda *_, **__: {"eval_loss": 0.0, "eval_accuracy": 0.0}  # type: ignore[method-assign]
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            plain(self, *arguments, **options)
        with tempfile.TemporaryDirectory() as folder:
            profiler.export_chrome_trace(f"{folder}/trace.json")
            events = json.loads(Path(folder, "trace.json").read_text())["traceEvents"]
        seen["peak"] = max(event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]")
        print(json.dumps(seen), flush=True)
        os._exit(0)  # what comes after training does not matter

    VqaTrainer.train = watched  # type: ignore[method-assign, assignment]
    start(configuration.from_dict(settings)).wait()


if __name__ == "__main__":
    train(json.loads(sys.argv[1]))
