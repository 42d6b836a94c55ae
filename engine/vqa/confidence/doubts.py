"""Reasons to doubt an answer, as records that processes exchange and as sentences. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from looptop.engine.text import counted, visible

MAX_WORDS_SHOWN = 8
MAX_WORD_LENGTH = 24


class UnknownWords(Struct, frozen=True, tag="unknown_words"):
    """The question has words that no training question had."""

    words: list[str]


class NoWordKnown(Struct, frozen=True, tag="no_word_known"):
    """The text encoder knows no token of the question, so the answer does not depend on the question."""


class UnfamiliarImage(Struct, frozen=True, tag="unfamiliar_image"):
    """The image is unlike the images that the model was trained on."""

    distance: float
    """The distance of its features to the nearest training image's, from 0 to 2 (`unfamiliar_images`)."""
    threshold: float
    """99 % of the validation images are nearer."""


class ChecksMissing(Struct, frozen=True, tag="checks_missing"):
    """Something kept with the model cannot be read, so its confidence is raw, or words or images are not checked."""

    error: str


Doubt = UnknownWords | NoWordKnown | UnfamiliarImage | ChecksMissing
"""A reason to doubt an answer."""


class Check(StrEnum):
    """A check of an answer. Each needs something that is kept with the model."""

    WORDS = "words"
    """The words of its training questions."""
    IMAGE = "image"
    """The features of its training images."""


def doubt_text(doubt: Doubt) -> str:
    """A doubt as a sentence without an end, safe to show."""
    match doubt:
        case NoWordKnown():
            return "the model knows no word of this question"
        case UnknownWords(words):
            count = counted(len(words), "word")
            listed = [_short(word) for word in words[:MAX_WORDS_SHOWN]] + ["…"] * (len(words) > MAX_WORDS_SHOWN)
            return f"{count} that its training never saw: {', '.join(listed)}"
        case UnfamiliarImage(distance, threshold):
            return (
                f"unlike its training images: distance {distance:.2f}, while 99 % of its validation images are below"
                f" {threshold:.2f}"
            )
        case ChecksMissing(error):
            return f"unchecked: {visible(error)}"


_CHECKS = {Check.WORDS: "unknown words", Check.IMAGE: "unfamiliar image"}


def unchecked_text(checks: Sequence[Check], *, short: bool = False, calibrate_helps: bool = False) -> str:
    """What is not checked in an answer; empty if everything is.

    Args:
        checks: What is not checked.
        short: For a narrow panel.
        calibrate_helps: Whether to name the command that may change it.
    """
    names = [each.value if short else _CHECKS[each] for each in checks]
    hint = "; `looptop calibrate` can add that" if calibrate_helps else ""
    return f"unchecked: {', '.join(names)}{hint}" if checks else ""


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
            return "unchecked"


def _short(word: str) -> str:
    return visible(word if len(word) <= MAX_WORD_LENGTH else f"{word[: MAX_WORD_LENGTH - 1]}…")
