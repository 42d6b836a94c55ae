"""Words of a question that a model's training never saw. Imports no torch."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

MAX_WORDS = 200_000
"""With more distinct words than this, none are kept with a model, and no word counts as new to it."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]")  # noqa: RUF001 (the apostrophe of typographers)


def words_of(question: str) -> list[str]:
    """A question's distinct words, in order: of letters and digits, and symbols such as emoji; no punctuation.

    Case does not count, nor which of Unicode's forms a letter has.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", question).casefold().replace("’", "'"))  # noqa: RUF001
    return list(dict.fromkeys(word for word in words if word[0].isalnum() or unicodedata.category(word)[0] == "S"))


def known_words(questions: Iterable[str]) -> list[str] | None:
    """All words of the training questions, sorted; None if there are more than `MAX_WORDS`."""
    words: set[str] = set()
    for question in questions:
        words.update(words_of(question))
        if len(words) > MAX_WORDS:
            return None
    return sorted(words)


def unknown_words(question: str, known: Collection[str]) -> list[str]:
    """The question's words that are not among the known ones."""
    return [word for word in words_of(question) if word not in known]
