"""Sentences about doubts, for the app and the commands."""

from __future__ import annotations

from collections.abc import Sequence

from looptop.engine.text import visible
from looptop.engine.vqa.answer_records import Check, ChecksMissing, Doubt, NoWordKnown, UnfamiliarImage, UnknownWords

MAX_WORDS_SHOWN = 8
MAX_WORD_LENGTH = 24


def doubt_text(doubt: Doubt) -> str:
    """A doubt as a sentence without an end, safe to show."""
    match doubt:
        case NoWordKnown():
            return "the model knows no word of this question"
        case UnknownWords(words):
            count = "1 word" if len(words) == 1 else f"{len(words):,} words"
            listed = [_short(word) for word in words[:MAX_WORDS_SHOWN]] + ["…"] * (len(words) > MAX_WORDS_SHOWN)
            return f"{count} that its training never saw: {', '.join(listed)}"
        case UnfamiliarImage(distance, threshold):
            return (
                f"unlike its training images: distance {distance:.2f}, while 99 % of its validation images are below"
                f" {threshold:.2f}"
            )
        case ChecksMissing(error):
            return f"not checked: {visible(error)}"


_JUDGED = {Check.WORDS: "unknown words", Check.IMAGE: "unfamiliar image"}


def not_judged_text(checks: Sequence[Check], *, short: bool = False) -> str:
    """What could not be doubted, as a sentence without an end, short for a narrow panel; empty if everything could."""
    names = [each.value if short else _JUDGED[each] for each in checks]
    return f"unchecked: {', '.join(names)}" if checks else ""


def doubt_name(doubt: Doubt) -> str:
    """A doubt in two words, for a table."""
    match doubt:
        case NoWordKnown():
            return "no word known"
        case UnknownWords():
            return "unknown words"
        case UnfamiliarImage():
            return "unfamiliar image"
        case ChecksMissing():
            return "not checked"


def _short(word: str) -> str:
    return visible(word if len(word) <= MAX_WORD_LENGTH else f"{word[: MAX_WORD_LENGTH - 1]}…")
