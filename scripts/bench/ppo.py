"""A PPO batch of FLAN-T5-small's architecture, against TRL 0.11.4, plain transformers, and ours without fast kernels.

Random weights, batch 8, queries of 256 tokens, responses of 48, 4 passes, two threads. Ours is a real run in its engine
process, with its journal. TRL runs in an environment of its own, made once under `build/`, with the better of two
mini-batch sizes. Plain transformers is `peers/plain_ppo.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import T5ForConditionalGeneration

from looptop.engine import config
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.startup.host import launch
from scripts.bench.pairs import Ratio, paired
from scripts.bench.peers.plain_ppo import BATCH, QUERY, RESPONSE
from tests.factories.published_models import T5_VOCABULARY, save_queries, save_t5
from tests.support import eventually

BATCHES = 3
"""Batches of each measurement; the first is not counted."""

GOALS = {"fp32": 1.6, "bf16": 4.2}
"""TRL's seconds a batch over ours."""

PAIRS = 3
"""A pair takes minutes."""

PEER = Path("build") / "peers" / "trl-0.11.4"
PEER_PACKAGES = ("trl==0.11.4", "transformers==4.45.2", "accelerate<1.1", "datasets<3.2", "rich", "numpy<2.4")
PROGRAM = Path(__file__).parent / "peers" / "trl_ppo.py"


def main() -> None:
    """Prints the ratios in fp32 and in bf16."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        model, queries = (
            save_t5(Path(home) / "model"),
            save_queries(Path(home) / "queries.jsonl", BATCH * (BATCHES + 3), QUERY - 1, T5_VOCABULARY),
        )
        python = peer_python()
        size = min((BATCH, 4), key=lambda mini: trl_seconds(python, model, queries, mini))
        print(f"ppo: TRL 0.11.4 is at its best with mini-batches of {size}", flush=True)
        for precision, goal in GOALS.items():
            ratio = paired(
                lambda: trl_seconds(python, model, queries, size),
                lambda precision=precision: seconds(model, queries, precision),  # type: ignore[misc]
                pairs=PAIRS,
            )
            say(precision, "TRL 0.11.4", ratio, f" (goal: {goal})")
            plain = paired(
                lambda precision=precision: plain_seconds(model, precision),  # type: ignore[misc]
                lambda precision=precision: seconds(model, queries, precision),  # type: ignore[misc]
                pairs=PAIRS,
            )
            say(precision, "plain transformers", plain)
            switched_off = paired(
                lambda precision=precision: seconds(model, queries, precision, "transformers"),  # type: ignore[misc]
                lambda precision=precision: seconds(model, queries, precision),  # type: ignore[misc]
                pairs=PAIRS,
            )
            say(precision, "the same run with model.kernels=transformers", switched_off)
            print(f"ppo, {precision}: the matrix products alone take {floor_seconds(model, precision):.1f} s a batch")


def say(precision: str, peer: str, ratio: Ratio, goal: str = "") -> None:
    """Prints one ratio."""
    print(
        f"ppo, {precision}: {ratio} times the samples per second of {peer}; {ratio.peer:.1f} s a batch against"
        f" {ratio.ours:.1f} s{goal}",
        flush=True,
    )


def seconds(model: Path, queries: Path, precision: str, kernels: str = "fast") -> float:
    """Seconds a batch of a real run, from the end of one batch to the next, according to its journal."""
    chosen = config.override(
        config.preset("tiny", "ppo"),
        [
            f"policy={model}", f"data.source={queries}", "prefix=", f"max_query_tokens={QUERY}", "held_out=8",
            f"max_new_tokens={RESPONSE}", f"batch_size={BATCH}", f"mini_batch_size={BATCH}", "ppo_epochs=4",
            f"max_steps={BATCHES}", "eval_steps=1000", "reference_responses=0", f"precision={precision}",
            "save_minutes=1000", "optim=adamw_torch_fused", f"model.kernels={kernels}",
            f'rewards=[{{name="one", function="{Path(__file__).parent / "peers" / "constant.py"}:one"}}]',
        ],
    )  # fmt: skip
    folder = launch(chosen)
    eventually(lambda: not folder.is_live(), limit=900)
    batches = PpoJournal(folder.db).batches()
    assert len(batches) == BATCHES, PpoJournal(folder.db).state()
    assert all(sample.length == RESPONSE for sample in PpoJournal(folder.db).samples(2))
    return statistics.median(sum(batch.seconds.values()) for batch in batches[1:])


def trl_seconds(python: Path, model: Path, queries: Path, mini_batch: int) -> float:
    """Seconds a batch with TRL."""
    words = [python, PROGRAM, model, queries, mini_batch, BATCHES, RESPONSE]
    done = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)
    return statistics.median(json.loads(done.stdout.splitlines()[-1]))  # type: ignore[no-any-return]


def plain_seconds(model: Path, precision: str) -> float:
    """Seconds a batch with plain transformers."""
    words = [sys.executable, "-m", "scripts.bench.peers.plain_ppo", str(model), precision, str(BATCHES)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return statistics.median(json.loads(done.stdout.splitlines()[-1]))  # type: ignore[no-any-return]


def floor_seconds(folder: Path, precision: str) -> float:
    """Seconds that a batch's matrix products take alone, all at the speed of one of the largest.

    These are the products of the four passes, forward and backward, and of the reference. Generation is left out:
    token by token it is limited by memory, not by arithmetic.
    """
    model = T5ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    with FlopCounterMode(display=False) as forward:
        out = model(
            input_ids=torch.zeros(BATCH, QUERY, dtype=torch.long),
            decoder_input_ids=torch.zeros(BATCH, RESPONSE, dtype=torch.long),
        )
    with FlopCounterMode(display=False) as backward:
        out.logits.sum().backward()
    operations = 4 * (forward.get_total_flops() + backward.get_total_flops()) + forward.get_total_flops()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    states, weight = torch.ones(BATCH * QUERY, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
    torch.set_num_threads(2)
    took = []
    for _ in range(50):
        began = time.perf_counter()
        torch.nn.functional.linear(states, weight)
        took.append(time.perf_counter() - began)
    return operations * statistics.median(took) / (2 * BATCH * QUERY * 512 * 1024)  # type: ignore[no-any-return]


def peer_python() -> Path:
    """The Python of TRL 0.11.4's environment, which is created if it is missing."""
    python = PEER / "bin" / "python"
    if not (PEER / "done").exists():
        print("ppo: making an environment for TRL 0.11.4 (once; some minutes) ...", flush=True)
        venv.create(PEER, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"torch=={torch.__version__.partition('+')[0]}"], check=True)
        subprocess.run([*pip, *PEER_PACKAGES], check=True)
        (PEER / "done").touch()
    return python.absolute()


if __name__ == "__main__":
    sys.exit(main())
