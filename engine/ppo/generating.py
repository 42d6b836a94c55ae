"""Uses a tuned language model: texts in, responses out."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from looptop.engine.compute.device import pick
from looptop.engine.config.ppo import GenerationConfig, PpoRunConfig
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.names import resolve
from looptop.engine.ppo.data import Queries
from looptop.engine.ppo.generation import COMPARED, uniforms
from looptop.engine.ppo.policy import load_policy
from looptop.engine.ppo.rollout import Ends, roll_out
from looptop.engine.ppo.training import load_tokenizer
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

AT_ONCE = 32
"""Texts that are answered at once."""


class Generated(Struct, frozen=True):
    """A text and what the model made of it."""

    text: str
    response: str
    ended: bool
    """False where it was cut at the longest that is allowed."""
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
        prefix: Put before each text; of a run, its own by default.
        max_new_tokens: The longest response; of a run, its own by default.
        seed: Of the random numbers; each text has its own.
        device: Where to compute.

    Raises:
        LooptopError: There is no such model, or it is of another family.
    """
    run = RunFolder.named(name)
    config = run.config() if run is not None else None
    if config is not None and not isinstance(config, PpoRunConfig):
        raise LooptopError(f"{name} is a {config.kind} run; its model writes no responses")
    settings = GenerationConfig(max_new_tokens=max_new_tokens or (config.generation.max_new_tokens if config else 48))
    before = prefix if prefix is not None else config.data.prefix if config else ""
    chosen = pick(device, "fp32")
    chosen.apply()
    where = resolve(name)
    try:
        policy = load_policy(where, chosen.torch_device)
    except OSError as error:
        raise LooptopError(
            f"the model {visible(name)} cannot be loaded: {error_text(error)};"
            " name a PPO run, a T5 or GPT-2 model in a local folder, or connect to the hub"
        ) from None
    tokenizer = load_tokenizer(name)
    positions = getattr(policy.config, "n_positions", None) if not policy.start_tokens else None
    room = (positions or 2**20) - settings.max_new_tokens
    queries = Queries(list(texts), None, tokenizer, before, max(1, room))
    ends = Ends.of(tokenizer, name)
    found = []
    for first in range(0, len(queries), AT_ONCE):
        places = range(first, min(first + AT_ONCE, len(queries)))
        numbers = uniforms(seed, COMPARED, 0, places, settings.max_new_tokens)
        part = roll_out(policy, [queries[place] for place in places], numbers, settings, tokenizer, ends)
        for place, text, ids, ended in zip(places, part.texts, part.responses.ids, part.responses.ended, strict=True):
            found.append(Generated(texts[place], text, ended, len(ids)))
    return found
