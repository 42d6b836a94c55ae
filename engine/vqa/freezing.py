"""What the book's words for freezing mean, and which of a decoder's weights are cross-attention."""

from __future__ import annotations

from collections.abc import Iterable

from looptop.engine.config.vqa import FREEZABLE
from looptop.engine.errors import LooptopError


def frozen_parts(what: str | Iterable[str]) -> frozenset[str]:
    """The parts (`text_encoder`, `image_encoder`, `decoder`) that the book's words name together.

    Raises:
        LooptopError: A word is not one of `FREEZABLE`.
    """
    words = [what] if isinstance(what, str) else list(what)
    parts: set[str] = set()
    for word in words:
        if word not in FREEZABLE:
            raise LooptopError(f"freeze says '{word}'; the words are: {', '.join(FREEZABLE)}")
        if word in ("encoders", "all"):
            parts |= {"text_encoder", "image_encoder"}
        if word == "all":
            parts.add("decoder")
        if word in ("text_encoder", "image_encoder", "decoder"):
            parts.add(word)
    return frozenset(parts)


def is_cross_attention(name: str) -> bool:
    """Whether a decoder's weight of this name looks at the memory: new to a pretrained decoder, never frozen."""
    return any(part in name for part in ("crossattention", "ln_cross_attn", "encoder_attn"))
