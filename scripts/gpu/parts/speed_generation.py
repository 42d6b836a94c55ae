"""Tokens a second of writing responses, beside transformers' `generate` on the same weights and queries."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from looptop.engine.compute.device import pick
from looptop.engine.config.ppo import GenerationConfig
from looptop.engine.ppo.batch import pad_queries
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.rollout import TRAINING, uniforms, write
from scripts.gpu.checks import Checks
from tests.factories.published_models import save_gpt2, save_t5

TURNS = 5
"""How often each side writes, in turn; the first time is not counted."""


def run(checks: Checks) -> None:
    """Measures both sides for a T5 and a GPT-2, with batches of 8 and 32 responses, in bf16."""
    pick(checks.device, "bf16").apply()
    query, response = (16, 6) if checks.toy else (256, 48)
    for name, save, end in (("T5", save_t5, 1), ("GPT-2", save_gpt2, 0)):
        folder = save(checks.folder / name, checks.toy)
        for samples in (8,) if checks.quick else (8, 32):
            with checks.check(f"{name}, {samples} responses of {response} tokens, bf16") as check:
                ours, theirs = _measured(checks, folder, samples, query, response, end)
                check.measured(
                    f"{ours:.0f} tokens/s, transformers' generate {theirs:.0f}: {ours / theirs:.2f} times",
                    tokens_per_second=ours,
                    generate_tokens_per_second=theirs,
                )


def _measured(checks: Checks, folder: Path, samples: int, query: int, response: int, end: int) -> tuple[float, float]:
    policy: Any = load_policy(folder, checks.device)
    source = torch.Generator().manual_seed(2)
    queries = torch.randint(4, 500, (samples, query), generator=source).tolist()
    settings = GenerationConfig(max_new_tokens=response)
    ids, mask = (part.to(checks.device) for part in pad_queries(queries, 0, left=not policy.start_tokens))

    def ours(turn: int) -> int:
        numbers = uniforms(1, TRAINING, turn, range(samples), response)
        written = write(policy, queries, numbers, settings, pad_id=0, end_id=end)
        return sum(len(row) for row in written.ids)

    def theirs(_turn: int) -> int:
        out = policy.generate(
            input_ids=ids, attention_mask=mask.long(), do_sample=True, top_k=0, top_p=1.0,
            max_new_tokens=response, min_new_tokens=response, pad_token_id=0, eos_token_id=end,
        )  # fmt: skip
        return samples * (out.shape[1] - (policy.start_tokens or query))  # type: ignore[no-any-return]

    speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(TURNS):
        for name, write_all in (("ours", ours), ("theirs", theirs)):
            speed = _tokens_per_second(checks, write_all, turn)
            if turn:
                speeds[name].append(speed)
    return statistics.median(speeds["ours"]), statistics.median(speeds["theirs"])


def _tokens_per_second(checks: Checks, write_all: Callable[[int], int], turn: int) -> float:
    kind = torch.device(checks.device).type
    began = time.perf_counter()
    with torch.no_grad(), torch.autocast(kind, torch.bfloat16):
        tokens = write_all(turn)
    if kind == "cuda":
        torch.cuda.synchronize(checks.device)
    return tokens / (time.perf_counter() - began)
