"""Lets a tuned language model respond to texts."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from looptop.engine.compute.device import pick
from looptop.engine.config.ppo import GenerationConfig, PpoRunConfig
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.names import resolve
from looptop.engine.ppo.data import Queries
from looptop.engine.ppo.loading import load_policy, load_tokenizer
from looptop.engine.ppo.rollout import COMPARED, SpecialIds, roll_out, uniforms
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

BATCH_SIZE = 32
"""Texts that are answered together."""


class Generated(Struct, frozen=True):
    """A text and the model's response to it."""

    text: str
    response: str
    ended: bool
    """False if the response was cut at the longest length allowed."""
    tokens: int


def generate(
    name: str,
    texts: Sequence[str],
    prefix: str | None = None,
    max_new_tokens: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> list[Generated]:
    """Has a model respond to texts, sampled from the model itself.

    Args:
        name: A PPO run, a folder, `bundled:PART`, or a hub name.
        texts: What to respond to.
        prefix: Put before each text; by default that of the run.
        max_new_tokens: The length of the longest response; by default that of the run.
        seed: The seed of the random numbers; each text has random numbers of its own.
        device: Where to compute.

    Raises:
        LooptopError: The model does not exist, or is of another family.
    """
    run = RunFolder.named(name)
    config = run.config() if run is not None else None
    if config is not None and not isinstance(config, PpoRunConfig):
        raise LooptopError(f"{name} is a {config.kind} run; its model writes no responses")
    settings = GenerationConfig(max_new_tokens=max_new_tokens or (config.generation.max_new_tokens if config else 48))
    used_prefix = prefix if prefix is not None else config.data.prefix if config else ""
    chosen = pick(device, "fp32")
    chosen.apply()
    kernels = config.model.kernels if config else "fast"
    try:
        policy = load_policy(resolve(name), chosen.torch_device, kernels)
    except OSError as error:
        raise LooptopError(
            f"the model {visible(name)} cannot be loaded: {error_text(error)};"
            " name a PPO run, a T5 or GPT-2 model in a local folder, or check your connection to the Hugging Face hub"
        ) from None
    tokenizer = load_tokenizer(name)
    positions = getattr(policy.config, "n_positions", None) if not policy.start_tokens else None
    query_length = (positions or 2**20) - settings.max_new_tokens
    queries = Queries(list(texts), None, tokenizer, used_prefix, max(1, query_length))
    special = SpecialIds.of(tokenizer, name)
    results = []
    for first in range(0, len(queries), BATCH_SIZE):
        rows = range(first, min(first + BATCH_SIZE, len(queries)))
        numbers = uniforms(seed, COMPARED, 0, rows, settings.max_new_tokens)
        part = roll_out(policy, [queries[row] for row in rows], numbers, settings, tokenizer, special)
        for row, text, ids, ended in zip(rows, part.texts, part.responses.ids, part.responses.ended, strict=True):
            results.append(Generated(texts[row], text, ended, len(ids)))
    return results
