"""How near the form's memory estimate is to what a run then takes: `python -m scripts.bench memory`.

Each case is estimated, and then trained for a few steps in a process of its own, under PyTorch's profiler (VQA) or a
`MemoryTrace` of its real tensors (PPO). They record every allocation of torch from the beginning of training.
Resident memory would not do: malloc reuses what loading has freed. The book's three models are built from their
configurations with random weights, so nothing is downloaded.
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
PPO = ["max_steps=50", "eval_steps=1000"]
PPO_CASES = {
    "PPO tiny": PPO,
    "PPO tiny, kernels of transformers": [*PPO, "kernels=transformers"],
    "PPO tiny, adapters of rank 8": [*PPO, "lora_rank=8"],
    "PPO tiny, adapters of rank 8, kernels of transformers": [*PPO, "lora_rank=8", "kernels=transformers"],
}
MIB = 2**20


def main() -> None:
    """Prints a line for each case."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOPTOP_HOME"] = folder
        parts = make_parts(Path(folder) / "parts")
        cases = {
            name: configuration.override(
                configuration.preset(preset), [*settings, *(parts if preset == "book" else [])]
            )
            for name, (preset, settings) in CASES.items()
        } | {
            name: configuration.override(configuration.preset("tiny", "ppo"), settings)
            for name, settings in PPO_CASES.items()
        }
        for name, config in cases.items():
            estimate = estimated(to_dict(config)).memory
            assert estimate is not None
            seen = trained(to_dict(config))
            # Gradients of the last batch are still held while the next one is computed if a step has several.
            accumulates: Any = getattr(config, "ppo", config.training)
            several = accumulates.gradient_accumulation_steps > 1
            held = estimate.optimizer + (estimate.gradients if several else 0)
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
    from looptop.engine.startup.run import start

    if settings["kind"] == "ppo":
        _watch_ppo()
    else:
        _watch_vqa()
    start(configuration.from_dict(settings)).wait()


def _watch_vqa() -> None:
    """Has VQA training run under PyTorch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    from looptop.engine.vqa.trainer import VqaTrainer

    plain = VqaTrainer.train

    def watched(self: VqaTrainer, *arguments: Any, **options: Any) -> None:
        self.args.eval_on_start = False
        self.evaluate = lambda *_, **__: {"eval_loss": 0.0, "eval_accuracy": 0.0}  # type: ignore[method-assign]
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            plain(self, *arguments, **options)
        with tempfile.TemporaryDirectory() as folder:
            profiler.export_chrome_trace(f"{folder}/trace.json")
            events = json.loads(Path(folder, "trace.json").read_text())["traceEvents"]
        _end(max(event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]"))

    VqaTrainer.train = watched  # type: ignore[method-assign, assignment]


def _watch_ppo() -> None:
    """Has each PPO batch run under a `MemoryTrace`: the profiler's record of so many batches would not fit."""
    from torch import nn

    from looptop.engine.models.step_memory import MemoryTrace
    from looptop.engine.ppo.step import PpoStep
    from looptop.engine.ppo.trainer import PpoTrainer

    plain, plain_run = PpoTrainer.train, PpoStep.run

    def watched(self: PpoTrainer, *arguments: Any, **options: Any) -> None:
        self.args.eval_on_start = False
        self.evaluate = lambda *_, **__: {"eval_reward": 0.0, "eval_kl": 0.0}  # type: ignore[method-assign]
        others = [getattr(each, "model", None) for each in (self.setup.reference, *self.setup.reward.scorers)]
        trace = MemoryTrace(nn.ModuleList([self.policy, *(each for each in others if each is not None)]))

        def run(*batch: Any) -> Any:
            with trace:
                return plain_run(*batch)

        PpoStep.run = run  # type: ignore[method-assign, assignment]
        plain(self, *arguments, **options)
        _end(trace.most)

    PpoTrainer.train = watched  # type: ignore[method-assign, assignment]


def _end(peak: int) -> None:
    """Prints what was held; what comes after training does not matter."""
    print(json.dumps({"peak": peak}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    train(json.loads(sys.argv[1]))
