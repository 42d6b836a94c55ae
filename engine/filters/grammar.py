"""Parses the text of a filter.

    filter   = [ any_of ]                              an empty filter accepts every row [1]
    any_of   = all_of { "or" all_of }
    all_of   = part { [ "and" ] part }                 side by side means "and"
    part     = { "not" } [ "-" ] ( "(" any_of ")" | term )
    term     = word [1] | NAME ":" value { "," value } | [ quantifier ] NAME operator number

[1] Only where bare words are searched for, as are words after "-"; breakpoints, for example, have none.

Whitespace is allowed on both sides of an operator, but not inside `NAME:VALUE`. Between double quotes, whitespace,
parentheses and operators are part of a word, and `"and"` is an ordinary word; so is a word in quotes that the
vocabulary has as a flag. Before an operator, `and`, `or` and `not` are names. The text is read once, from left to
right, and nothing in it is evaluated as code.
"""

from __future__ import annotations

import re
from typing import Generic

from looptop.engine.errors import LooptopError
from looptop.engine.filters.expressions import EVERYTHING, FLAG, Comparison, Expression, Group, Match
from looptop.engine.filters.vocabulary import Filter, NumberField, Row, Vocabulary, Word, suggestion
from looptop.engine.text import visible

MAX_DEPTH = 50
"""The deepest nesting of parentheses."""

# Every repetition is possessive (++, *+): nothing is ever tried twice.
_OPERATOR = re.compile(r"\s*+([<>=]=?+|!=)")
_KEYWORD = re.compile(r"\s*+(and|or|not)(?![^\s()])(?!\s*+([<>=]|!=))", re.IGNORECASE)
_KEY = re.compile(r"([A-Za-z]++):")
_VALUE = re.compile(r'(?:"[^"]*+"|[^\s"()])*+')
_VALUE_IN_LIST = re.compile(r'(?:"[^"]*+"|[^",])++')
_NAME = re.compile(r'(?:"[^"]*+"|!(?!=)|[^\s"()<>=!])*+')
_WORD = re.compile(rf"(?=[<>=]|!=){_VALUE.pattern}|{_NAME.pattern}")
"""An operator with nothing before it to compare begins a word, which ends at the next whitespace or parenthesis."""


def parse(text: str, vocabulary: Vocabulary[Row]) -> Filter[Row]:
    """Parses a filter.

    Raises:
        LooptopError: Says what is wrong, where that tells, and what is expected.
    """
    if text.count('"') % 2:
        if not vocabulary.open_quotes:
            raise LooptopError(f'the quote at column {text.rindex(chr(34)) + 1} is not closed; add a "')
        text += '"'
    parser = _Parser(text, vocabulary)
    return Filter(vocabulary, parser.whole(), parser.number_fields)


class _Parser(Generic[Row]):
    def __init__(self, text: str, vocabulary: Vocabulary[Row]) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.negated = False
        """Whether an odd number of `not` and "-" applies to the part that is being parsed."""
        self.vocabulary = vocabulary
        self.number_fields: dict[str, NumberField[Row]] = {}

    def whole(self) -> Expression:
        if self.vocabulary.searched_texts and not self.skip_whitespace():
            return EVERYTHING
        expression = self.any_of()
        if self.skip_whitespace():
            raise self.word(_WORD).unexpected("'and', 'or' or the end")
        return expression

    def any_of(self) -> Expression:
        parts = [self.all_of()]
        while self.keyword("or"):
            parts.append(self.all_of())
        return self.group(parts, every=False)

    def all_of(self) -> Expression:
        parts = [self.part()]
        while self.keyword("and") or (
            self.skip_whitespace() not in ("", ")") and not self.keyword("or", consume=False)
        ):
            parts.append(self.part())
        return self.group([part for part in parts if part != EVERYTHING], every=True)

    def group(self, parts: list[Expression], every: bool) -> Expression:
        if len(parts) < 2:
            return parts[0] if parts else EVERYTHING
        return Group(tuple(parts), every is not self.negated)

    def part(self) -> Expression:
        outside = self.negated
        while self.keyword("not"):
            self.negated = not self.negated
        unfinished = False
        if self.skip_whitespace() == "-" and self.vocabulary.searched_texts:
            self.at += 1
            self.negated = not self.negated
            unfinished = self.text[self.at : self.at + 1].strip() in ("", ")")
        part = EVERYTHING if unfinished else self.parenthesis() if self.text.startswith("(", self.at) else self.term()
        self.negated = outside
        return part

    def parenthesis(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise LooptopError(f"parentheses are nested more than {MAX_DEPTH} deep; use fewer")
        self.at += 1
        inner = self.any_of()
        if self.skip_whitespace() != ")":
            raise self.word(_WORD).unexpected("')'")
        self.at += 1
        self.depth -= 1
        return inner

    def term(self) -> Expression:
        vocabulary = self.vocabulary
        if vocabulary.text_fields and (key := _KEY.match(self.text, self.at)):
            self.at = key.end()
            return self.match(key[1].lower())
        pattern = _WORD if vocabulary.searched_texts else _NAME
        word, quantifier = self.word(pattern), ""
        if word.typed in vocabulary.special:
            return Match("", (word.text,), self.negated)
        if word.typed in vocabulary.quantifiers:
            quantifier, word = word.text, self.word(pattern)
        if not word.typed or _KEYWORD.match(self.text, word.start):
            raise word.unexpected(vocabulary.example)
        operator = _OPERATOR.match(self.text, self.at)
        if operator is None:
            if word.typed.lower() in vocabulary.flags:
                return Match(FLAG, (word.typed.lower(),), self.negated)
            if vocabulary.searched_texts is None:
                raise self.word(_WORD).unexpected("one of < <= > >= == !=")
            return Match("", (word.text.lower(),), self.negated) if word.text else EVERYTHING
        field = self.number_fields[word.text] = vocabulary.number_field(word, quantifier)
        self.at = operator.end()
        number = field.parse(self.word(_VALUE))
        return Comparison(word.text, "==" if operator[1] == "=" else operator[1], number, quantifier, self.negated)

    def match(self, key: str) -> Match:
        fields = self.vocabulary.text_fields
        if key not in fields:
            raise LooptopError(f"there is no key '{visible(key)}:'; {suggestion(key, fields)}")
        word = self.word(_VALUE, skip=False)
        values = tuple(value.replace('"', "").lower() for value in _VALUE_IN_LIST.findall(word.typed))
        if not values:
            raise word.unexpected(f"a value right after the colon, such as {key}:{fields[key].example}")
        for value in values:
            if (choices := fields[key].choices) and value not in choices:
                raise LooptopError(f"there is no {key} '{visible(value)}'; {suggestion(value, choices)}")
        return Match(key, values, self.negated)

    def skip_whitespace(self) -> str:
        """Moves to the next character that is not whitespace and returns it; empty at the end."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def keyword(self, name: str, consume: bool = True) -> bool:
        """Whether this keyword is next; if so, moves past it unless `consume` is false."""
        match = _KEYWORD.match(self.text, self.at)
        if match is None or match[1].lower() != name:
            return False
        self.at = match.end() if consume else self.at
        return True

    def word(self, pattern: re.Pattern[str], skip: bool = True) -> Word:
        """The next word; empty if none begins here, such as at a parenthesis and at the end."""
        if skip:
            self.skip_whitespace()
        match, start = pattern.match(self.text, self.at), self.at
        typed = match[0] if match else ""
        self.at += len(typed)
        return Word(typed.replace('"', ""), typed, self.text, start)
