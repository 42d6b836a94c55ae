"""The device writes the same responses as the CPU from the same random numbers.

A token is drawn by inverting the model's cumulative distribution, so it differs only if a random number falls between
the two devices' roundings of a border. After such a token the rest of a response differs too, so only the first tokens
are compared.
"""

from __future__ import annotations

import torch

from looptop.engine import config as configuration
from looptop.engine.compute.device import pick
from looptop.engine.config.ppo import GenerationConfig
from looptop.engine.models.names import resolve
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.data import load as load_queries
from looptop.engine.ppo.loading import load_policy, load_tokenizer
from looptop.engine.ppo.policy import Policy
from looptop.engine.ppo.rollout import TRAINING, Responses, SpecialIds, uniforms, write
from scripts.gpu.checks import Checks
from tests.factories.published_models import save_gpt2, save_t5

FIRST = 8
"""Tokens of a response that must be the same."""
LENGTH = 48
SEED = 5


def run(checks: Checks) -> None:
    """Compares the bundled summariser, a T5 and a GPT-2."""
    pick(checks.device, "fp32").apply()
    preset = configuration.preset("tiny", "ppo")
    tokenizer = load_tokenizer(preset.model.policy)
    train = load_queries(preset.data, tokenizer, 128, 42).train
    texts = [train[row].ids for row in range(8 if checks.quick else 32)]
    own = SpecialIds.of(tokenizer, "the summariser")
    _compare(checks, "the bundled summariser", resolve(preset.model.policy), texts, own)
    source = torch.Generator().manual_seed(3)
    for name, save, special in (
        ("T5 of FLAN-T5-small's size", save_t5, SpecialIds(0, 1)),
        ("GPT-2 of its smallest size", save_gpt2, SpecialIds(0, 0)),
    ):
        folder = save(checks.folder / name.partition(" ")[0], checks.toy)
        lengths = torch.randint(8, 40, (8,), generator=source).tolist()
        random = [torch.randint(4, 500, (length,), generator=source).tolist() for length in lengths]
        _compare(checks, name, str(folder), random, special)


def _compare(checks: Checks, name: str, folder: str, queries: list[list[int]], special: SpecialIds) -> None:
    with checks.check(f"{name}, fp32: the same first {FIRST} tokens") as check:
        ours, ours_policy = _write(folder, checks.device, queries, special)
        theirs, _ = _write(folder, "cpu", queries, special)
        pairs = list(zip(ours.ids, theirs.ids, strict=True))
        first = sum(one[:FIRST] == two[:FIRST] for one, two in pairs)
        whole = sum(one == two for one, two in pairs)
        check.measured(
            f"{first} of {len(pairs)} responses in their first {FIRST} tokens, {whole} to their end",
            first=first,
            whole=whole,
        )
        check.require(first == len(pairs), "some responses begin differently from those on the CPU")
    with checks.check(f"{name}, fp32: the same figures while it writes and when it reads") as check:
        assert ours.output is not None
        batch = Batch.of(
            queries, ours.ids, pad_id=special.pad_id, end_id=special.end_id, start_tokens=ours_policy.start_tokens
        ).to(checks.device)
        with torch.no_grad():
            read = ours_policy.train(False)(**batch.model_inputs())
        distance = max(float((a - b).abs().max()) for a, b in zip(ours.output[:3], read[:3], strict=True))
        check.measured(f"largest difference {distance:.1e}", distance=distance)
        check.require(distance < 1e-3, "writing and reading disagree")


def _write(folder: str, device: str, queries: list[list[int]], special: SpecialIds) -> tuple[Responses, Policy]:
    policy = load_policy(folder, device)
    numbers = uniforms(SEED, TRAINING, 1, range(len(queries)), LENGTH)
    settings = GenerationConfig(max_new_tokens=LENGTH)
    return write(policy, queries, numbers, settings, pad_id=special.pad_id, end_id=special.end_id), policy
