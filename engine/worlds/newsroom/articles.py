"""Generates any number of articles: seed, split and index determine an article.

The facts are spread over several sentences, among background that does not belong into a summary. Training, held-out
and test articles never have the same facts, whatever their seeds: each checksum of facts belongs to one split.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from looptop.engine.worlds.newsroom import words
from looptop.engine.worlds.newsroom.sentences import ACTIVE_VERBS, Event, Facts, capitalised, write_sentence

Split = Literal["train", "held-out", "test"]

# Five of seven checksums are for training.
_CHECKSUMS: dict[str, tuple[int, ...]] = {"train": (0, 1, 2, 3, 4), "held-out": (5,), "test": (6,)}
_MODULUS = 7

# The object in the first sentence, without its number, which comes later.
_VAGUE = {
    "works": ("a {thing}",),
    "people": ("a number of {thing}", "several {thing}"),
    "goods": ("a number of {thing}", "a batch of {thing}"),
    "grants": ("money to {thing}", "funds to {thing}"),
    "prices": ("{thing}",),
}
_LEAD = ("{organisation} {active} {vague}{where}.",)
_NUMBER = {
    "works": (
        "The bill comes to {number} {currency}.",
        "The cost is put at {number} {currency}.",
        "A budget of {number} {currency} has been set aside.",
        "That takes {number} {currency}, most of it from savings.",
    ),
    "grants": (
        "The sum is {number} {currency}.",
        "There is talk of {number} {currency}.",
        "In all, {number} {currency} are at stake, to be paid in parts.",
        "The papers name a figure of {number} {currency}.",
    ),
    "people": (
        "The exact figure is {number}.",
        "In all there are {number} of them.",
        "The list has {number} names on it.",
        "The {type} speaks of {number} {thing}.",
    ),
    "goods": (
        "The exact figure is {number}.",
        "In all there are {number} of them.",
        "The papers speak of {number} pieces.",
        "The {type} counts {number} {thing}.",
    ),
    "prices": (
        "The change comes to {number}.",
        "The difference is {number}, a little less than expected.",
        "In figures, this means {number}.",
        "The {type} puts it at {number}.",
    ),
}
_CITY = (
    "The decision concerns {city} alone.",
    "It is about the branch in {city}.",
    "The {type} has been at home in {city} for a long time.",
    "People in {city} have been waiting for news.",
)
_WHO_AND_WHEN = (
    ("{person}, {role} of the {type}, made this public on {date}.",),
    ("The news came on {date} from {role} {person}.",),
    ("Asked about it on {date}, {role} {person} gave some details.",),
    ("A statement was read out on {date}.", "It was signed by {person}, the {role}."),
    ("The {type} had invited the press on {date}.", "Questions were answered by {role} {person}."),
    ("The board met on {date}.", "{person}, who is {role}, led the meeting."),
)
_BACKGROUND = (
    "The {type} was founded in {year}.",
    "It has a sister company in {country}.",
    "A similar plan in {country} was given up two years ago.",
    "Nearly a dozen offers had been compared.",
    "The plan goes back to {year}.",
    "Talks with the unions lasted for three weeks.",
    "The {type} also works in {country}.",
    "Neighbours were asked for their views.",
    "The city council has no objection.",
    "A report on the matter runs to a hundred pages.",
    "The weather played no part in it.",
    "Work was interrupted twice last winter.",
    "The {type} did not say what comes next.",
    "Some details are still open.",
    "The last change of this kind was in {year}.",
    "Experts from {country} were heard as well.",
)
_SHARE_CITY_IN_LEAD, _SHARE_DAY_OF_MONTH, _SHARE_PAST = 0.5, 0.4, 0.4


@dataclass(frozen=True)
class Article:
    """A short news article with its facts."""

    text: str
    facts: Facts
    event: Event
    summary: str
    """One of many clean, neutral summaries; `write_sentence` makes others."""


@dataclass(frozen=True)
class Newsroom:
    """The articles of one seed and split: `Newsroom(7).article(0)`, `.article(1)` and so on.

    Raises:
        ValueError: There is no such split.
    """

    seed: int
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in _CHECKSUMS:
            raise ValueError(f"there is no split '{self.split}'; there are: {', '.join(get_args(Split))}")

    def article(self, i: int) -> Article:
        """The i-th article; always the same for the same i."""
        rng = Random(f"newsroom {self.split} {self.seed} {i}")
        kind = rng.choice(words.KINDS)
        event = Event(
            kind=kind,
            verb=rng.choice(kind.verbs),
            thing=rng.choice(kind.things),
            currency=rng.choice(words.CURRENCIES),
            role=rng.choice(words.ROLES),
            is_past=rng.random() < _SHARE_PAST,
        )
        facts = _facts(event, rng, rng.choice(_CHECKSUMS[self.split]))
        return Article(_text(facts, event, rng), facts, event, write_sentence(facts, event, rng))


def _facts(event: Event, rng: Random, checksum: int) -> Facts:
    first, company, city = (rng.randrange(len(listed)) for listed in (words.FIRST_NAMES, words.COMPANIES, words.CITIES))
    # Only every seventh last name gives the checksum.
    last = rng.choice(range((checksum - first - company - city) % _MODULUS, len(words.LAST_NAMES), _MODULUS))
    return Facts(
        person=f"{words.FIRST_NAMES[first]} {words.LAST_NAMES[last]}",
        organisation=f"{words.COMPANIES[company]} {rng.choice(words.TYPES)}",
        city=words.CITIES[city],
        number={
            "works": f"{rng.choice(words.AMOUNTS)} million",
            "counted": rng.choice(words.COUNTS),
            "grants": f"{rng.choice(words.AMOUNTS)} million",
            "prices": f"{rng.choice(words.PERCENTAGES)} percent",
        }[event.kind.form],
        date=f"{rng.choice(words.MONTHS)} {rng.choice(words.DAYS_OF_MONTH)}"
        if rng.random() < _SHARE_DAY_OF_MONTH
        else rng.choice(words.WEEKDAYS),
    )


def _text(facts: Facts, event: Event, rng: Random) -> str:
    slots = vars(facts) | {
        "type": facts.organisation.split()[-1].lower(),
        "role": event.role,
        "thing": event.thing,
        "currency": event.currency,
    }
    verb = {"base": event.verb.base, "past": event.verb.past}
    slots["active"] = rng.choice(ACTIVE_VERBS[event.is_past]).format_map(verb)
    slots["vague"] = rng.choice(_VAGUE[event.kind.name]).format_map(slots)
    city_in_lead = rng.random() < _SHARE_CITY_IN_LEAD
    slots["where"] = f" in {facts.city}" if city_in_lead else ""
    details = [(rng.choice(_NUMBER[event.kind.name]),), rng.choice(_WHO_AND_WHEN)]
    if not city_in_lead:
        details.append((rng.choice(_CITY),))
    background = rng.sample(_BACKGROUND, rng.choice((2, 3, 4)))
    elsewhere, years = rng.sample(words.COUNTRIES, len(background)), rng.sample(words.YEARS, len(background))
    details += [
        (sentence.format(type=slots["type"], country=country, year=year),)
        for sentence, country, year in zip(background, elsewhere, years, strict=True)
    ]
    rng.shuffle(details)
    sentences = [*_LEAD, *(sentence for detail in details for sentence in detail)]
    return " ".join(capitalised(sentence.format_map(slots)) for sentence in sentences)
