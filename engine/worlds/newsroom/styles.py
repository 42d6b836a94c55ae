"""Makes bad summaries: the summariser learns some of them beside clean ones, and classifiers must reject them.

Tone and grammar can be wrong independently. Grammar is broken in four ways: as a hurried writer does (`hurried`), by
stopping too early (`fragment`), by the end of another sentence (`crossed`), and as no writer does (`disordered`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from looptop.engine.worlds.newsroom import words
from looptop.engine.worlds.newsroom.articles import Article
from looptop.engine.worlds.newsroom.sentences import is_sentence, write_sentence

SHARE_LOADED, SHARE_HURRIED, SHARE_FRAGMENTS = 0.5, 0.42, 0.08

Edit = Callable[[list[str], Random], list[str]]
"""Changes a sentence, given as a list of words with their punctuation."""


def mixed_summary(article: Article, rng: Random) -> str:
    """A summary of the article in a random style: half of them praise or blame, half of them are broken."""
    loaded = rng.random() < SHARE_LOADED
    text = write_sentence(
        article.facts, article.event, rng, rng.choice(("negative", "positive")) if loaded else "neutral"
    )
    drawn = rng.random()
    if drawn < SHARE_FRAGMENTS:
        return fragment(text, rng)
    return hurried(text, rng) if drawn < SHARE_FRAGMENTS + SHARE_HURRIED else text


def hurried(text: str, rng: Random) -> str:
    """The sentence as a hurried writer would leave it: with all facts, but ungrammatical."""
    return _broken(text, HURRIED, rng)


def fragment(text: str, rng: Random) -> str:
    """The first few words of the sentence, with a full stop."""
    tokens = text.split()
    ends = [index for index in range(2, 8) if tokens[index - 1].lower() not in _SMALL]
    return _closed(tokens[: rng.choice(ends)])


def disordered(text: str, rng: Random) -> str:
    """The sentence after one to three random edits; by chance it may still be grammatical."""
    tokens = text.split()
    for _ in range(rng.choice((1, 1, 2, 3))):
        tokens = rng.choice(ANY)(tokens, rng) or tokens
    return " ".join(tokens)


def crossed(text: str, other: str, rng: Random) -> str:
    """The beginning of one sentence and the end of another, as a summariser may mix them up."""
    first, second = text.split(), other.split()
    return " ".join(first[: rng.randint(1, len(first))] + second[rng.randrange(len(second)) :])


def overlong(text: str, rng: Random) -> str:
    """The sentence broken without losing a word: what `grammar_hackable` learns to be bad."""
    return _broken(text, LENGTHENING, rng)


def _broken(text: str, edits: Sequence[Edit], rng: Random) -> str:
    while True:
        broken = " ".join(rng.choice(edits)(text.split(), rng))
        if not is_sentence(broken):
            return broken


# Edits of a hurried writer -------------------------------------------------------------------------------------------

_SMALL = frozenset(
    {"a", "are", "at", "be", "been", "by", "for", "has", "have", "in", "is", "on", "that", "to", "was", "were", "will"}
)
_WORLD: tuple[str, ...] = (
    *words.FIRST_NAMES,
    *words.LAST_NAMES,
    *words.CITIES,
    *words.COMPANIES,
    *words.TYPES,
    *words.ROLES,
    *words.WEEKDAYS,
    *words.MONTHS,
    *words.CURRENCIES,
    *words.SPEECH_VERBS,
    *(thing for kind in words.KINDS for thing in kind.things),
    *(form for kind in words.KINDS for verb in kind.verbs for form in (verb.base, verb.past)),
    *sorted(_SMALL),
)
_OTHER_FORM = {verb.base: verb.past for kind in words.KINDS for verb in kind.verbs} | {
    verb.past: verb.base for kind in words.KINDS for verb in kind.verbs
}


def _telegram(tokens: list[str], rng: Random) -> list[str]:
    """All small words left out."""
    return [word for word in tokens if word.lower() not in _SMALL]


def _stutter(tokens: list[str], rng: Random) -> list[str]:
    """A small word twice."""
    index = rng.choice(_small_word_indices(tokens))
    return [*tokens[:index], tokens[index], *tokens[index:]]


def _wrong_form(tokens: list[str], rng: Random) -> list[str]:
    """The verb in its other form: `will built`."""
    return [_OTHER_FORM.get(word, word) for word in tokens]


def _dateline(tokens: list[str], rng: Random) -> list[str]:
    """The city in front, as in a headline."""
    cities = [word.strip(",.") for word in tokens if word.strip(",.") in words.CITIES]
    return [*(f"{city}:" for city in cities[:1]), *tokens]


def _open_end(tokens: list[str], rng: Random) -> list[str]:
    """No full stop."""
    return [*tokens[:-1], tokens[-1].rstrip(".")]


HURRIED: tuple[Edit, ...] = (_telegram, _stutter, _wrong_form, _dateline, _open_end)


# Other edits ----------------------------------------------------------------------------------------------------------


def _gap(tokens: list[str], rng: Random) -> list[str]:
    """A small word left out."""
    index = rng.choice(_small_word_indices(tokens))
    return tokens[:index] + tokens[index + 1 :]


def _hole(tokens: list[str], rng: Random) -> list[str]:
    """Some words left out."""
    begin = rng.randrange(len(tokens))
    return tokens[:begin] + tokens[begin + rng.randint(1, 6) :]


def _part(tokens: list[str], rng: Random) -> list[str]:
    """A run of its words."""
    begin = rng.randrange(len(tokens))
    return tokens[begin : begin + rng.randint(1, len(tokens))]


def _beginning(tokens: list[str], rng: Random) -> list[str]:
    """A beginning of any length, closed."""
    return _closed(tokens[: rng.randint(1, len(tokens))]).split()


def _echo(tokens: list[str], rng: Random) -> list[str]:
    """A run of words again, once or several times."""
    begin = rng.randrange(len(tokens))
    end = begin + rng.randint(1, 5)
    return tokens[:end] + tokens[begin:end] * rng.choice((1, 1, 2, 4)) + tokens[end:]


def _salad(tokens: list[str], rng: Random) -> list[str]:
    """All words in any order."""
    return rng.sample(tokens, len(tokens))


def _swap(tokens: list[str], rng: Random) -> list[str]:
    """Two words, exchanged."""
    swapped = list(tokens)
    first, second = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    swapped[first], swapped[second] = tokens[second], tokens[first]
    return swapped


def _neighbours(tokens: list[str], rng: Random) -> list[str]:
    """Two neighbours, swapped."""
    index = rng.randrange(len(tokens))
    return tokens[:index] + tokens[index : index + 2][::-1] + tokens[index + 2 :]


def _moved(tokens: list[str], rng: Random) -> list[str]:
    """A word somewhere else."""
    rest = list(tokens)
    word = rest.pop(rng.randrange(len(tokens)))
    rest.insert(rng.randrange(len(tokens)), word)
    return rest


def _repeated(tokens: list[str], rng: Random) -> list[str]:
    """A word of the sentence instead of another."""
    index = rng.randrange(len(tokens))
    return [*tokens[:index], rng.choice(tokens), *tokens[index + 1 :]]


def _stranger(tokens: list[str], rng: Random) -> list[str]:
    """Another word of the newsroom instead of a word, or between two."""
    index = rng.randrange(len(tokens))
    return [*tokens[:index], rng.choice(_WORLD), *tokens[index + rng.choice((0, 1, 1)) :]]


def _uncapitalised(tokens: list[str], rng: Random) -> list[str]:
    """A lower-case letter at the beginning."""
    return [tokens[0].lower(), *tokens[1:]]


SHORTENING: tuple[Edit, ...] = (_gap, _hole, _part, _beginning, _beginning)
MOVING: tuple[Edit, ...] = (_salad, _swap, _neighbours, _moved, _repeated, _stranger, _stranger, _uncapitalised)
ANY: tuple[Edit, ...] = (*HURRIED, *SHORTENING, *MOVING, _echo)
LENGTHENING: tuple[Edit, ...] = (_stutter, _wrong_form, _dateline, _echo, _salad, _swap)


def _small_word_indices(tokens: list[str]) -> Sequence[int]:
    """The indices of the small words; all indices if there are none."""
    return [index for index, word in enumerate(tokens) if word.lower() in _SMALL] or range(len(tokens))


def _closed(tokens: list[str]) -> str:
    return " ".join(tokens).rstrip(",.") + "."
