"""Token ids as text, those among them that a tokenizer has no word for: many models have more ids than words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def token_of(tokenizer: Any, number: int) -> str | None:
    """The tokenizer's own word for an id; None where it has none."""
    try:
        word = tokenizer.convert_ids_to_tokens(int(number))
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        return None
    return word if isinstance(word, str) else None


def number_text(number: int) -> str:
    """An id that no tokenizer has a word for, as a person reads it."""
    return f"<{number}>"


def known_ids(tokenizer: Any, ids: Iterable[int]) -> list[int]:
    """The ids that the tokenizer has a word for: the others are no text, and some tokenizers raise an error at them."""
    size = len(tokenizer)
    return [number for number in ids if 0 <= number < size or (number >= size and token_of(tokenizer, number))]
