"""Filters of asked questions: `model:vqa-3 wrong confidence>0.9 -"what color"`, by the grammar of `engine/filters`.

- `model:`, `image:` (the file's name and folders), `question:` and `answer:` contain the value.
- `right` and `wrong`: as the person said, else by the data's answers. `marked`: a person said so.
- `confidence` is compared with a fraction, or a number with `%`.
- Any other word occurs in the question, the answer, the model's name or the image's name.
"""

from __future__ import annotations

from pathlib import Path

from looptop.engine.asked.records import Entry
from looptop.engine.errors import LooptopError
from looptop.engine.filters import grammar
from looptop.engine.filters.vocabulary import Filter, NumberField, TextField, Vocabulary, Word, suggestion
from looptop.engine.text import visible

_CONFIDENCE: NumberField[Entry] = NumberField(lambda entry: entry.answer.confidence, {"%": 0.01, "": 1.0})


def parse(text: str) -> Filter[Entry]:
    """Reads a filter of asked questions; a quote that is not closed extends to the end.

    Raises:
        LooptopError: The filter is wrong; the message says how to write it.
    """
    return grammar.parse(text, _VOCABULARY)


def about_image(image: Path) -> str:
    """The filter that accepts the questions about one image, as text."""
    # Nothing escapes a quote inside of quotes, so each part between two quotes is a word.
    return " ".join(f'image:"{part}"' for part in str(image).split('"') if part)


def _number_field(name: Word, _quantifier: str) -> NumberField[Entry]:
    if name.text != "confidence":
        hint = suggestion(name.text, ["confidence"], "only confidence can be compared, such as confidence<0.5")
        raise LooptopError(f"answers have no figure '{visible(name.text)}'; {hint}")
    return _CONFIDENCE


_VOCABULARY: Vocabulary[Entry] = Vocabulary(
    _number_field,
    "a word or a comparison, such as confidence<0.5",
    text_fields={
        "model": TextField(lambda entry: entry.answer.model, example="vqa-3"),
        "image": TextField(lambda entry: str(entry.image), example="cat.png"),
        "question": TextField(lambda entry: entry.question, example="colour"),
        "answer": TextField(lambda entry: entry.answer.answer, example="yes"),
    },
    searched_texts=lambda entry: (entry.question, entry.answer.answer, entry.answer.model, entry.image.name),
    flags={
        "right": lambda entry: entry.right is True,
        "wrong": lambda entry: entry.right is False,
        "marked": lambda entry: entry.judgement is not None,
    },
    open_quotes=True,
)
