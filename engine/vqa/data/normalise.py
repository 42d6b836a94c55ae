"""Answers in the normal form in which the official VQA accuracy compares them.

The official program's punctuation rule has oddities that its figures depend on. They are kept here, each with a
comment,
and recordings of what the program printed hold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_STOP = re.compile(r"\.(?!\d)")
_MAX_STOPS_REMOVED = 32
"""The program removes at most this many full stops (it passes a flag where a count is expected)."""

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_ARTICLES = frozenset(("a", "an", "the"))

# Those with a capital (I'm, I've) are missing: the program looks them up in lower case, and never finds them.
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _with_one_apostrophe_left_out(word: str) -> Iterable[str]:
    return (word[:index] + word[index + 1 :] for index, char in enumerate(word) if char == "'")


_CONTRACTIONS = {variant: word for word in _CONTRACTED.split() for variant in _with_one_apostrophe_left_out(word)} | {
    "somebody'd": "somebodyd"
}  # The one entry that the program has the wrong way round.


@lru_cache(maxsize=1 << 16)
def normalise(answer: str) -> str:
    """The answer in the official program's normal form: no punctuation, lower case, digits, no articles."""
    words = (_DIGITS.get(word, word) for word in _without_punctuation(answer).lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(text: str) -> str:
    # As the program does it: a mark that is beside a space anywhere in the text is deleted, any other becomes a space.
    # One comma between digits, anywhere, deletes all marks.
    out = text
    delete_all = _COMMA_IN_NUMBER.search(text) is not None
    for mark in _MARKS:
        if mark in text:
            deleted = delete_all or f"{mark} " in text or f" {mark}" in text
            out = out.replace(mark, "" if deleted else " ")
    return _STOP.sub("", out, count=_MAX_STOPS_REMOVED)
