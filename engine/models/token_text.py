"""Token ids as text, also ids that the tokenizer has no token for: many models have more ids than their tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def token_of(tokenizer: Any, number: int) -> str | None:
    """The tokenizer's token for an id; None if it has none."""
    try:
        word = tokenizer.convert_ids_to_tokens(int(number))
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        return None
    return word if isinstance(word, str) else None


def number_text(number: int) -> str:
    """The text that is shown for an id without a token."""
    return f"<{number}>"


def known_ids(tokenizer: Any, ids: Iterable[int]) -> list[int]:
    """The ids that the tokenizer has a token for. Others are not text, and some tokenizers raise an error for them."""
    size = len(tokenizer)
    return [number for number in ids if 0 <= number < size or (number >= size and token_of(tokenizer, number))]
