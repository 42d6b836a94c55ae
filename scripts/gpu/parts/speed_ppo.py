"""Seconds a PPO batch and its stages, of FLAN-T5-small's and GPT-2's sizes, beside plain transformers and TRL 0.11.4.

Random weights; queries of 256 tokens, responses of 48, 4 passes. Ours are real runs with their journals.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from looptop.engine.journal.reader import Journal
from looptop.engine.ppo.journal import PpoJournal
from scripts.gpu import runs
from scripts.gpu.checks import Checks, NotRunError
from tests.factories.published_models import (
    GPT2_VOCABULARY,
    T5_VOCABULARY,
    save_gpt2,
    save_queries,
    save_roberta,
    save_t5,
)

BENCH = Path(__file__).parents[2] / "bench"
CONSTANT = BENCH / "peers" / "constant.py"
BATCHES = 4
"""Batches of a measurement; the first is not counted."""
STAGES = ("generated", "scored", "compared", "updated")
PASSES = 4


class Sizes(NamedTuple):
    """The lengths of queries and responses in tokens, and the samples of the large batch."""

    query: int
    response: int
    large: int


def run(checks: Checks) -> None:
    """Measures ours, then the others."""
    sizes = Sizes(16, 6, 16) if checks.toy else Sizes(256, 48, 32)
    t5, gpt2 = save_t5(checks.folder / "t5", checks.toy), save_gpt2(checks.folder / "gpt2", checks.toy)
    grammar = save_roberta(checks.folder / "grammar", 2, checks.toy)
    neutral = save_roberta(checks.folder / "neutral", 3, checks.toy)
    constant = f'rewards=[{{name="one", function="{CONSTANT}:one"}}]'
    models = (
        f'rewards=[{{name="grammar", model="{grammar}", label="LABEL_1"}},'
        f' {{name="neutral", model="{neutral}", label="LABEL_1", weight=0.5}}]'
    )
    large = sizes.large
    whole = ["mini_batch_size=8", "gradient_accumulation_steps=1"]
    cases: list[tuple[str, Path, int, list[str]]] = [
        ("T5, 8 samples, bf16", t5, 8, ["precision=bf16", constant, *whole]),
        (f"T5, {large} samples, bf16", t5, large, ["precision=bf16", constant, *whole]),
        (
            f"T5, {large} samples by fours, {large // 4} to a step as in listing 7.6, two RoBERTa rewards, bf16",
            t5,
            large,
            ["precision=bf16", models, "mini_batch_size=4", f"gradient_accumulation_steps={large // 4}"],
        ),
        ("GPT-2, 8 samples, bf16", gpt2, 8, ["precision=bf16", constant, *whole]),
        (f"GPT-2, {large} samples, bf16", gpt2, large, ["precision=bf16", constant, *whole]),
    ]
    if not checks.quick:
        cases.append(("T5, 8 samples, fp32", t5, 8, ["precision=fp32", constant, *whole]))
    queries = {
        model: save_queries(checks.folder / f"{model.name}.jsonl", large * (BATCHES + 3), words, vocabulary)
        for model, words, vocabulary in (
            (t5, sizes.query - 1, 512 if checks.toy else T5_VOCABULARY),
            (gpt2, sizes.query, 512 if checks.toy else GPT2_VOCABULARY),
        )
    }
    for name, model, samples, settings in cases:
        with checks.check(name) as check:
            _ours(checks, check, model, queries[model], samples, sizes, settings)
    for samples in (8, large):
        for precision in ("bf16",) if checks.quick or samples != 8 else ("bf16", "fp32"):
            with checks.check(f"T5, {samples} samples, {precision}, plain transformers") as check:
                words = [t5, precision, BATCHES, checks.device, samples, sizes.query, sizes.response]
                seconds = _peer([sys.executable, "-m", "scripts.bench.peers.plain_ppo", *words], os.environ)
                check.measured(f"{seconds:.2f} s a batch, {samples / seconds:.1f} samples/s", seconds=seconds)
    for samples in (8,) if checks.quick else (8, large):
        with checks.check(f"T5, {samples} samples, fp32, TRL 0.11.4 as listing 7.6 calls it") as check:
            if checks.trl is None:
                raise NotRunError("give a folder with TRL 0.11.4 by --trl")
            words = [t5, queries[t5], 8, BATCHES, sizes.response, samples]
            # Only that folder: this environment's own TRL and transformers are other versions.
            environment = os.environ | {"PYTHONPATH": str(checks.trl)}
            seconds = _peer([sys.executable, BENCH / "peers" / "trl_ppo.py", *words], environment)
            check.measured(f"{seconds:.2f} s a batch, {samples / seconds:.1f} samples/s", seconds=seconds)


def _ours(
    checks: Checks, check: Any, model: Path, queries: Path, samples: int, sizes: Sizes, settings: list[str]
) -> None:
    chosen = [
        f"policy={model}", f"data.source={queries}", "prefix=", f"max_query_tokens={sizes.query}", "held_out=8",
        f"max_new_tokens={sizes.response}", f"batch_size={samples}", f"ppo_epochs={PASSES}", f"max_steps={BATCHES}",
        "eval_steps=1000", "reference_responses=0", "save_minutes=1000", "optim=adamw_torch_fused", *settings,
    ]  # fmt: skip
    if not checks.toy:
        torch.cuda.reset_peak_memory_stats(checks.device)
    run = runs.start(runs.configured("ppo", checks.device, chosen))
    folder = runs.finish(run)
    peak = 0 if checks.toy else torch.cuda.max_memory_allocated(checks.device)
    journal = PpoJournal(folder.db)
    batches = journal.batches()[1:]
    stages = {stage: statistics.median(batch.seconds[stage] for batch in batches) for stage in STAGES}
    # From one batch's end to the next: the optimiser's last step is in no stage.
    seconds = statistics.median(runs.seconds_between_steps(folder))
    tokens = statistics.fmean(sample.length for batch in batches for sample in journal.samples(batch.step))
    by_stage = ", ".join(f"{stage} {value:.2f}" for stage, value in stages.items())
    check.measured(
        f"{seconds:.2f} s a batch ({by_stage}), {samples / seconds:.1f} samples/s, {tokens:.0f} tokens a response,"
        f" {peak / 2**30:.1f} GiB at most on the device, {Journal(folder.db).facts()['precision']}",
        seconds=seconds,
        samples_per_second=samples / seconds,
        peak_bytes=peak,
        **stages,
    )


def _peer(command: list[Any], environment: Any) -> float:
    """The median of the seconds that another program prints."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=environment, check=False)
    assert done.returncode == 0, f"it ended with exit code {done.returncode}; see the part's log"
    return statistics.median(json.loads(done.stdout.splitlines()[-1]))  # type: ignore[no-any-return]
