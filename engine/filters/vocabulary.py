"""The fields that a filter can use, with their types, and the parsed filter."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from looptop.engine.errors import LooptopError
from looptop.engine.filters.expressions import EVERYTHING, FLAG, Expression, Match, Term, evaluate
from looptop.engine.text import join_text, visible

Row = TypeVar("Row")
MAX_SHOWN_CHARACTERS = 80
"""The largest number of typed characters that an error repeats."""


@dataclass(frozen=True)
class Word:
    """A word of a filter, and where it begins."""

    text: str
    """The word without its quotes."""
    typed: str
    """The word as typed."""
    source: str
    """The whole filter."""
    start: int

    def unexpected(self, expected: str) -> LooptopError:
        """Returns the error that something else is expected here."""
        source = visible(self.source[:MAX_SHOWN_CHARACTERS])
        if self.start >= len(self.source):
            return LooptopError(f"'{source}' ends too early; expected {expected}")
        typed = visible((self.typed or self.source[self.start])[:MAX_SHOWN_CHARACTERS])
        return LooptopError(f"'{source}' has '{typed}' at column {self.start + 1}; expected {expected}")


@dataclass(frozen=True)
class NumberField(Generic[Row]):
    """A field that is compared with a number."""

    value: Callable[[Row], float | None]
    """Returns the row's number, or None if it has none. In a `Filter` every comparison with None is false, `!=` as
    well, and `not` before it is true."""
    units: Mapping[str, float] = field(default_factory=lambda: {"": 1.0})
    """By the unit written after a number: the factor that the number is multiplied by."""

    def parse(self, word: Word) -> float:
        """Reads a word as a number, which may be `nan` or `inf`.

        Raises:
            LooptopError: The word is not a number, or has another unit.
        """
        for unit, factor in self.units.items():
            if word.typed.endswith(unit):
                try:
                    return float(word.typed.removesuffix(unit)) * factor
                except ValueError:
                    continue
        units = [unit for unit in self.units if unit]
        raise word.unexpected("a number" + (f", with or without {join_text(units, 'or')} after it" if units else ""))


@dataclass(frozen=True)
class TextField(Generic[Row]):
    """A field that is written `NAME:VALUE`."""

    value: Callable[[Row], str]
    example: str = "word"
    whole: bool = False
    """Whether a value must be the whole text, not a part of it."""
    choices: tuple[str, ...] = ()
    """The only valid values; empty if any text is valid."""


@dataclass(frozen=True)
class Vocabulary(Generic[Row]):
    """The fields and words that a filter can use."""

    number_field: Callable[[Word, str], NumberField[Row]]
    """The field of a comparison, by its name and the quantifier before it; raises LooptopError for any other name."""
    example: str = "a word or a comparison, such as loss<0.5"
    """What an error says is expected if a term is missing."""
    text_fields: Mapping[str, TextField[Row]] = field(default_factory=dict)
    searched_texts: Callable[[Row], Iterable[str]] | None = None
    """Returns the texts of a row in which bare words are searched; None allows no bare words and no minus for `not`."""
    flags: Mapping[str, Callable[[Row], bool]] = field(default_factory=dict)
    """Bare words that name a property of a row, such as `wrong`; in quotes they are ordinary words."""
    special: Collection[str] = ()
    """Words that are a whole term, such as `nan`, whether or not bare words are allowed."""
    quantifiers: Collection[str] = ()
    """Words that can come before the name in a comparison, such as `any` in `any sample.kl > 20`."""
    open_quotes: bool = False
    """Whether a quote that is not closed extends to the end; otherwise it is an error."""


@dataclass(frozen=True)
class Filter(Generic[Row]):
    """A parsed filter."""

    vocabulary: Vocabulary[Row]
    expression: Expression = EVERYTHING
    number_fields: Mapping[str, NumberField[Row]] = field(default_factory=dict)
    """The fields that the filter compares, by name."""

    def holds(self, row: Row) -> bool:
        """Whether the filter accepts a row."""
        return evaluate(self.expression, lambda term: self._test(term, row)) is True

    def _test(self, term: Term, row: Row) -> bool:
        if not isinstance(term, Match):
            value = self.number_fields[term.field].value(row)
            return value is not None and term.compares(value)
        if term.field == FLAG:
            return self.vocabulary.flags[term.values[0]](row)
        if known := self.vocabulary.text_fields.get(term.field):
            text = known.value(row).lower()
            return text in term.values if known.whole else any(value in text for value in term.values)
        search = self.vocabulary.searched_texts
        texts = search(row) if search else ()
        return any(value in text.lower() for text in texts for value in term.values)


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of an error about an unknown name: the most similar name, else `otherwise`, else all known names."""
    known = list(known)
    near = difflib.get_close_matches(name[:MAX_SHOWN_CHARACTERS], known, n=1)
    return f"did you mean '{visible(near[0])}'?" if near else otherwise or f"there are: {visible(', '.join(known))}"
