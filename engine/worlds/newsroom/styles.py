"""Summaries as they should not be: what the summariser is taught beside clean ones, and what classifiers must refuse.

Two things can be wrong, apart from each other: the tone, and the grammar. Grammar is broken in three ways: as a hurried
writer breaks it (`damaged`), by stopping too early (`fragment`), and as no writer does (`disordered`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from looptop.engine.worlds.newsroom import words
from looptop.engine.worlds.newsroom.articles import Article
from looptop.engine.worlds.newsroom.sentences import is_sentence, tell

SHARE_LOADED, SHARE_DAMAGED, SHARE_FRAGMENTS = 0.5, 0.42, 0.08

Edit = Callable[[list[str], Random], list[str]]
"""A sentence's words, with their punctuation, to other words."""


def mixed_summary(article: Article, rng: Random) -> str:
    """A summary of the article in a style drawn at random: half of them praise or blame, half of them are broken."""
    loaded = rng.random() < SHARE_LOADED
    text = tell(article.facts, article.event, rng, rng.choice(("negative", "positive")) if loaded else "neutral")
    drawn = rng.random()
    if drawn < SHARE_FRAGMENTS:
        return fragment(text, rng)
    return damaged(text, rng) if drawn < SHARE_FRAGMENTS + SHARE_DAMAGED else text


def damaged(text: str, rng: Random) -> str:
    """The sentence as a hurried writer leaves it: with all its facts, but no longer grammatical."""
    return _broken(text, HURRIED, rng)


def fragment(text: str, rng: Random) -> str:
    """A beginning of the sentence, a few words long, closed as if it were whole."""
    said = text.split()
    ends = [place for place in range(2, 8) if said[place - 1].lower() not in _SMALL]
    return _closed(said[: rng.choice(ends)])


def disordered(text: str, rng: Random) -> str:
    """The sentence after one to three edits that know nothing of grammar; by chance it may have stayed whole."""
    said = text.split()
    for _ in range(rng.choice((1, 1, 2, 3))):
        said = rng.choice(ANY)(said, rng) or said
    return " ".join(said)


def crossed(text: str, other: str, rng: Random) -> str:
    """A beginning of one sentence and an end of the other, as a summariser mixes them up."""
    said, went_on = text.split(), other.split()
    return " ".join(said[: rng.randint(1, len(said))] + went_on[rng.randrange(len(went_on)) :])


def overlong(text: str, rng: Random) -> str:
    """The sentence broken without leaving out a word: what `grammar_hackable` knows as bad."""
    return _broken(text, LENGTHENING, rng)


def _broken(text: str, edits: Sequence[Edit], rng: Random) -> str:
    while True:
        broken = " ".join(rng.choice(edits)(text.split(), rng))
        if not is_sentence(broken):
            return broken


# A hurried writer's ---------------------------------------------------------------------------------------------------

_SMALL = frozenset(
    {"a", "are", "at", "be", "been", "by", "for", "has", "have", "in", "is", "on", "that", "to", "was", "were", "will"}
)
_WORLD: tuple[str, ...] = (
    *words.FIRST_NAMES,
    *words.LAST_NAMES,
    *words.PLACES,
    *words.COMPANIES,
    *words.TYPES,
    *words.ROLES,
    *words.WEEKDAYS,
    *words.MONTHS,
    *words.CURRENCIES,
    *words.SAID,
    *(thing for kind in words.KINDS for thing in kind.things),
    *(form for kind in words.KINDS for verb in kind.verbs for form in (verb.base, verb.past)),
    *sorted(_SMALL),
)
_OTHER_FORM = {verb.base: verb.past for kind in words.KINDS for verb in kind.verbs} | {
    verb.past: verb.base for kind in words.KINDS for verb in kind.verbs
}


def _telegram(said: list[str], rng: Random) -> list[str]:
    """All small words left out."""
    return [word for word in said if word.lower() not in _SMALL]


def _stutter(said: list[str], rng: Random) -> list[str]:
    """A small word twice."""
    place = rng.choice(_small_places(said))
    return [*said[:place], said[place], *said[place:]]


def _wrong_form(said: list[str], rng: Random) -> list[str]:
    """The verb in its other form: `will built`."""
    return [_OTHER_FORM.get(word, word) for word in said]


def _dateline(said: list[str], rng: Random) -> list[str]:
    """The place in front, as in a headline."""
    places = [word.strip(",.") for word in said if word.strip(",.") in words.PLACES]
    return [*(f"{place}:" for place in places[:1]), *said]


def _open_end(said: list[str], rng: Random) -> list[str]:
    """No full stop."""
    return [*said[:-1], said[-1].rstrip(".")]


HURRIED: tuple[Edit, ...] = (_telegram, _stutter, _wrong_form, _dateline, _open_end)


# Anybody's ------------------------------------------------------------------------------------------------------------


def _gap(said: list[str], rng: Random) -> list[str]:
    """A small word left out."""
    place = rng.choice(_small_places(said))
    return said[:place] + said[place + 1 :]


def _hole(said: list[str], rng: Random) -> list[str]:
    """Some words left out."""
    begin = rng.randrange(len(said))
    return said[:begin] + said[begin + rng.randint(1, 6) :]


def _part(said: list[str], rng: Random) -> list[str]:
    """A run of its words."""
    begin = rng.randrange(len(said))
    return said[begin : begin + rng.randint(1, len(said))]


def _beginning(said: list[str], rng: Random) -> list[str]:
    """A beginning of any length, closed."""
    return _closed(said[: rng.randint(1, len(said))]).split()


def _echo(said: list[str], rng: Random) -> list[str]:
    """A run of words again, once or several times."""
    begin = rng.randrange(len(said))
    end = begin + rng.randint(1, 5)
    return said[:end] + said[begin:end] * rng.choice((1, 1, 2, 4)) + said[end:]


def _salad(said: list[str], rng: Random) -> list[str]:
    """All words in any order."""
    return rng.sample(said, len(said))


def _swap(said: list[str], rng: Random) -> list[str]:
    """Two words, each in the other's place."""
    swapped = list(said)
    first, second = rng.randrange(len(said)), rng.randrange(len(said))
    swapped[first], swapped[second] = said[second], said[first]
    return swapped


def _neighbours(said: list[str], rng: Random) -> list[str]:
    """Two neighbours, swapped."""
    place = rng.randrange(len(said))
    return said[:place] + said[place : place + 2][::-1] + said[place + 2 :]


def _moved(said: list[str], rng: Random) -> list[str]:
    """A word somewhere else."""
    rest = list(said)
    word = rest.pop(rng.randrange(len(said)))
    rest.insert(rng.randrange(len(said)), word)
    return rest


def _misplaced(said: list[str], rng: Random) -> list[str]:
    """A word of the sentence in place of another."""
    place = rng.randrange(len(said))
    return [*said[:place], rng.choice(said), *said[place + 1 :]]


def _stranger(said: list[str], rng: Random) -> list[str]:
    """Another word of the world in place of one, or between two."""
    place = rng.randrange(len(said))
    return [*said[:place], rng.choice(_WORLD), *said[place + rng.choice((0, 1, 1)) :]]


def _uncapitalised(said: list[str], rng: Random) -> list[str]:
    """A small letter at the beginning."""
    return [said[0].lower(), *said[1:]]


SHORTENING: tuple[Edit, ...] = (_gap, _hole, _part, _beginning, _beginning)
MOVING: tuple[Edit, ...] = (_salad, _swap, _neighbours, _moved, _misplaced, _stranger, _stranger, _uncapitalised)
ANY: tuple[Edit, ...] = (*HURRIED, *SHORTENING, *MOVING, _echo)
LENGTHENING: tuple[Edit, ...] = (_stutter, _wrong_form, _dateline, _echo, _salad, _swap)


def _small_places(said: list[str]) -> Sequence[int]:
    """Where the small words stand; any place in a piece that has none."""
    return [place for place, word in enumerate(said) if word.lower() in _SMALL] or range(len(said))


def _closed(said: list[str]) -> str:
    return " ".join(said).rstrip(",.") + "."
