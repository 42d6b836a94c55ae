"""Filters the samples of a batch: `reward<0 (kl>5 or "council") -oslo`, in the grammar of `engine/filters`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.filters import grammar
from looptop.engine.filters.vocabulary import Filter, NumberField, Vocabulary, Word, suggestion
from looptop.engine.text import visible


@dataclass(frozen=True)
class SampleView:
    """The figures and texts of a sample that a filter can use."""

    figures: Mapping[str, float | None]
    """Figures by name; one that is not known (None) counts as NaN."""
    texts: tuple[str, ...] = ()
    """The query and the response, in which words are searched."""


def parse(text: str, known: Collection[str]) -> Filter[SampleView]:
    """Parses a filter of samples; a quote that is not closed extends to the end.

    Args:
        text: The filter as typed.
        known: The names of the figures that samples have.

    Raises:
        LooptopError: Says what is wrong.
    """

    def figure(name: Word, _quantifier: str) -> NumberField[SampleView]:
        if name.text not in known:
            raise LooptopError(f"samples have no figure '{visible(name.text)}'; {suggestion(name.text, known)}")
        return NumberField(lambda sample: math.nan if (value := sample.figures.get(name.text)) is None else value)

    example = "a word or a comparison, such as reward<0"
    return grammar.parse(
        text, Vocabulary(figure, example, searched_texts=lambda sample: sample.texts, open_quotes=True)
    )
