"""The typed fields that a filter can ask for, and the filter that is read with them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from looptop.engine.errors import LooptopError
from looptop.engine.filters.expressions import EVERYTHING, Expression, Match, Term, evaluate
from looptop.engine.text import join_text, visible

Row = TypeVar("Row")
LONGEST_SHOWN = 80
"""Characters of what was typed that an error repeats."""


@dataclass(frozen=True)
class Word:
    """A word of a filter, and where it begins."""

    text: str
    """Without its quotes."""
    typed: str
    source: str
    """The whole filter."""
    start: int

    def unexpected(self, wanted: str) -> LooptopError:
        """The error that something else is wanted here."""
        source = visible(self.source[:LONGEST_SHOWN])
        if self.start >= len(self.source):
            return LooptopError(f"'{source}' ends where {wanted} is missing")
        typed = visible((self.typed or self.source[self.start])[:LONGEST_SHOWN])
        return LooptopError(f"'{source}' has '{typed}' at column {self.start + 1}; wanted is {wanted}")


@dataclass(frozen=True)
class NumberField(Generic[Row]):
    """A field that is compared with a number."""

    value: Callable[[Row], float | None]
    """A row's; no comparison is true of None."""
    units: Mapping[str, float] = field(default_factory=lambda: {"": 1.0})
    """What the number is multiplied by, by what is written behind it."""

    def number(self, word: Word) -> float:
        """The number that a word stands for, `nan` and `inf` included.

        Raises:
            LooptopError: It is none, or has another unit.
        """
        for unit, factor in self.units.items():
            if word.typed.endswith(unit):
                try:
                    return float(word.typed.removesuffix(unit)) * factor
                except ValueError:
                    continue
        units = [unit for unit in self.units if unit]
        raise word.unexpected("a number" + (f", with or without {join_text(units, 'or')} behind it" if units else ""))


@dataclass(frozen=True)
class TextField(Generic[Row]):
    """A field that is written `NAME:VALUE`."""

    value: Callable[[Row], str]
    example: str = "word"
    whole: bool = False
    """Whether a value must be the whole text, not a part of it."""
    choices: tuple[str, ...] = ()
    """All texts that there are; empty where there are any."""


@dataclass(frozen=True)
class Vocabulary(Generic[Row]):
    """What a filter can ask of a row."""

    number: Callable[[Word, str], NumberField[Row]]
    """The field of a comparison, by its name and the quantifier before it; raises LooptopError for any other name."""
    example: str = "a word or a comparison, such as loss<0.5"
    texts: Mapping[str, TextField[Row]] = field(default_factory=dict)
    words: Callable[[Row], Iterable[str]] | None = None
    """The texts in which bare words are searched; None: there are no bare words, and no minus for `not`."""
    special: Collection[str] = ()
    """Bare words that there are all the same."""
    quantifiers: Collection[str] = ()
    open_quotes: bool = False
    """Whether a quote that is not closed reaches to the end."""


@dataclass(frozen=True)
class Filter(Generic[Row]):
    """What was read."""

    vocabulary: Vocabulary[Row]
    expression: Expression = EVERYTHING
    numbers: Mapping[str, NumberField[Row]] = field(default_factory=dict)
    """The fields that it compares."""

    def holds(self, row: Row) -> bool:
        """Whether it is true of a row."""
        return evaluate(self.expression, lambda term: self._test(term, row)) is True

    def _test(self, term: Term, row: Row) -> bool:
        if not isinstance(term, Match):
            value = self.numbers[term.field].value(row)
            return value is not None and term.compares(value)
        if known := self.vocabulary.texts.get(term.field):
            text = known.value(row).lower()
            return text in term.values if known.whole else any(value in text for value in term.values)
        texts = self.vocabulary.words(row) if self.vocabulary.words else ()
        return any(value in text.lower() for text in texts for value in term.values)


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of an error about an unknown name: the known one that is near, or `otherwise`, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name[:LONGEST_SHOWN], known, n=1)
    return f"did you mean '{visible(near[0])}'?" if near else otherwise or f"there are: {visible(', '.join(known))}"
