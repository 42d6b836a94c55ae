"""How near the form's memory estimate is to what a run then takes: `python -m scripts.bench memory`.

Each case is estimated, and then trained for a few steps in a process of its own. What a step takes is the process's
largest resident memory while it trains (VmHWM, Linux) minus what it held before. The book's three models are built from
their configurations with random weights, so nothing is downloaded.
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
            adds = estimate.peak - estimate.weights - estimate.features - estimate.program
            without = estimate.optimizer + (estimate.gradients if preset == "book" else 0)
            activations = seen["peak"] - seen["before"] - without
            print(
                f"{name}: a step adds {seen['peak'] / MIB - seen['before'] / MIB:,.0f} MiB, estimated {adds / MIB:,.0f}"
                f" ({adds / (seen['peak'] - seen['before']) - 1:+.0%}); activations {activations / MIB:,.0f} MiB,"
                f" estimated {estimate.activations / MIB:,.0f} ({estimate.activations / activations - 1:+.0%}); process"
                f" {seen['peak'] / MIB:,.0f} MiB, estimated {estimate.peak / MIB:,.0f}"
                f" ({estimate.peak / seen['peak'] - 1:+.0%})",
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
    """The bytes that a process held `before` training, and at its `peak`."""
    output = subprocess.run(
        [sys.executable, "-m", "scripts.bench.memory", json.dumps(settings)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | MALLOC_SETTINGS,
    ).stdout
    seen: dict[str, int] = json.loads(output.splitlines()[-1])
    return seen


def train(settings: dict[str, Any]) -> None:
    """Trains a run in this process, and prints its memory before training and at its peak."""
    from looptop.engine.startup.run import start
    from looptop.engine.vqa.trainer import VqaTrainer

    seen: dict[str, int] = {}
    plain = VqaTrainer.train

    def watched(self: VqaTrainer, *arguments: Any, **options: Any) -> Any:
        seen["before"] = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        result = plain(self, *arguments, **options)
        seen["peak"] = _status("VmHWM")  # without the test split, whose batches are others
        return result

    VqaTrainer.train = watched  # type: ignore[method-assign, assignment]
    run = start(configuration.from_dict(settings))
    run.result()
    print(json.dumps(seen))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


if __name__ == "__main__":
    train(json.loads(sys.argv[1]))
