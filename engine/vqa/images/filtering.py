"""Filters of images and of the questions about them: `split:validation type:"how many" wrong confidence>90% dog`.

- `KEY:VALUE`, or `KEY:VALUE,VALUE`: `split` is one of the values; the other texts contain one of them.
- `right` and `wrong`: how the model answered, as far as an evaluation of it is kept.
- `confidence` is compared with a number, or with one in percent: `confidence<0.6`, `confidence<60%`.
- Any other word occurs in the image's name, in an answer other than yes and no, or, where folders are searched, in the
  name of a folder on the way.

What a filter asks of a question (`type`, `question`, `answer`, `right`, `wrong`, `confidence`) must be true of the same
question; an image is accepted if that is so of one of its questions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.filters import grammar
from looptop.engine.filters.expressions import FLAG, Match, Term, evaluate, terms
from looptop.engine.filters.vocabulary import Filter, NumberField, TextField, Vocabulary, Word
from looptop.engine.text import visible
from looptop.engine.vqa.images.entries import ImageEntry

SPLITS = ("train", "validation", "test")


class Outcome(Struct, frozen=True):
    """How a model answered one question."""

    right: bool
    confidence: float
    """From 0 to 1."""


Outcomes: TypeAlias = Mapping[tuple[Path, str], Outcome]
"""How a model answered, by image and question."""


class ImageView(Struct, frozen=True, gc=False):
    """What a filter can use of an image and of one question about it."""

    words: tuple[str, ...]
    """The texts in which words without a key are searched."""
    name: str
    folder: str = ""
    split: str = ""
    question: str = ""
    types: str = ""
    """The type of the question and that of its answer."""
    answer: str = ""
    right: bool | None = None
    """Whether the model answered the question rightly; None if that is not known."""
    confidence: float | None = None


def parse(text: str) -> Filter[ImageView]:
    """Parses a filter of images; a quote that is not closed extends to the end.

    Raises:
        LooptopError: Says which word is wrong, and what can be written there.
    """
    return grammar.parse(text, _VOCABULARY)


def accepts(chosen: Filter[ImageView], entry: ImageEntry, outcomes: Outcomes) -> bool:
    """Whether a filter accepts an image because of one of its questions.

    Args:
        chosen: The filter.
        entry: The image.
        outcomes: How the model answered, as far as it is known.
    """
    return any(map(chosen.holds, _views(entry, outcomes, by_question=bool(_fields(chosen) & _OF_A_QUESTION))))


def answers_of(entry: ImageEntry) -> list[str]:
    """The answers to all questions about an image except yes and no, each once."""
    return list(dict.fromkeys(each.answer for each in entry.questions if each.answer not in ("yes", "no")))


def needs_outcomes(chosen: Filter[ImageView]) -> bool:
    """Whether a filter asks how a model answered."""
    return bool(_fields(chosen) & _OF_AN_ANSWER)


def possible_splits(chosen: Filter[ImageView], splits: Collection[str]) -> list[str]:
    """Those splits that may hold an image that the filter accepts."""

    def test(split: str) -> Callable[[Term], bool | None]:
        return lambda term: split in term.values if isinstance(term, Match) and term.field == "split" else None

    return [split for split in splits if evaluate(chosen.expression, test(split)) is not False]


def first_word(chosen: Filter[ImageView]) -> str:
    """The first word without a key that must occur; empty if there is none."""
    words = [
        term for term in terms(chosen.expression) if isinstance(term, Match) and not term.field and not term.negated
    ]
    return words[0].values[0] if words else ""


def _fields(chosen: Filter[ImageView]) -> set[str]:
    return {term.field for term in terms(chosen.expression)}


def _views(entry: ImageEntry, outcomes: Outcomes, by_question: bool) -> Iterator[ImageView]:
    name, folder = entry.image.name, str(entry.image.parent)
    words = (name, *answers_of(entry))
    if not by_question or not entry.questions:
        yield ImageView(words, name, folder, entry.split)
        return
    for each in entry.questions:
        outcome = outcomes.get((entry.image, each.question))
        yield ImageView(
            words,
            name,
            folder,
            entry.split,
            each.question,
            f"{each.question_type}\n{each.answer_type}",
            "\n".join(dict.fromkeys(each.answers)),
            None if outcome is None else outcome.right,
            None if outcome is None else outcome.confidence,
        )


def _number_field(name: Word, _quantifier: str) -> NumberField[ImageView]:
    if name.text != "confidence":
        raise LooptopError(f"images have no figure '{visible(name.text)}'; there is: confidence")
    return _CONFIDENCE


_CONFIDENCE: NumberField[ImageView] = NumberField(attrgetter("confidence"), {"": 1.0, "%": 0.01})
_OF_AN_ANSWER = {FLAG, "confidence"}
_OF_A_QUESTION = {"type", "question", "answer", *_OF_AN_ANSWER}
_VOCABULARY: Vocabulary[ImageView] = Vocabulary(
    _number_field,
    "a word, a key such as type:number, or a comparison such as confidence<0.5",
    text_fields={
        "split": TextField(attrgetter("split"), whole=True, choices=SPLITS, example="validation"),
        "type": TextField(attrgetter("types"), example="number"),
        "question": TextField(attrgetter("question"), example="many"),
        "answer": TextField(attrgetter("answer"), example="red"),
        "name": TextField(attrgetter("name"), example="cat"),
        "folder": TextField(attrgetter("folder"), example="holiday"),
    },
    searched_texts=attrgetter("words"),
    flags={"right": lambda view: view.right is True, "wrong": lambda view: view.right is False},
    open_quotes=True,
)
