"""The grammar of a summary: one set of forms from which sentences are made and by which they are recognised.

A whole summary says who did what, where, how much or how many, and who said so when. A sentence in which one of these
is missing is a fragment here, as it would be on a newsroom's desk. Praise and blame have their own places in a sentence
and leave it grammatical.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from string import Formatter

from looptop.engine.worlds.newsroom import words
from looptop.engine.worlds.newsroom.words import Form, Kind, Loaded, Tone, Verb


@dataclass(frozen=True)
class Facts:
    """What a summary is expected to carry, as it stands in the text; an empty string where a text has none."""

    person: str
    organisation: str
    place: str
    number: str
    """An amount without its currency (`1.4 million`), a count (`340`) or a percentage (`12 percent`)."""
    date: str
    """A weekday or a day of the year (`March 14`)."""


@dataclass(frozen=True)
class Event:
    """What happened, beyond the facts."""

    kind: Kind
    verb: Verb
    thing: str
    currency: str
    role: str
    is_past: bool


FRAMES = (
    "{opening}{claim}, {of_people}{role}{person} {of_saying}{said} on {date}.",
    "{opening}{claim}, according to {of_people}{role}{person}, who spoke on {date}.",
    "{opening}{of_people}{role}{person} {of_saying}{said} on {date} that {claim}.",
    "{opening}on {date}, {of_people}{role}{person} {of_saying}{said} that {claim}.",
)

ACTIVE: dict[Form, str] = {
    "works": "{organisation} {active} a {of_things}{thing} in {place} for {number} {currency}",
    "counted": "{organisation} {active} {number} {of_things}{thing} in {place}",
    "grants": "{organisation} {active} {number} {currency} to {of_things}{thing} in {place}",
    "prices": "{organisation} {active} {of_things}{thing} in {place} by {number}",
}
PASSIVE: dict[Form, str] = {
    "works": "a {of_things}{thing} {passive} by {organisation} in {place} for {number} {currency}",
    "counted": "{number} {of_things}{thing} {passive} by {organisation} in {place}",
    "grants": "{number} {currency} {passive} to {of_things}{thing} in {place} by {organisation}",
    "prices": "{of_things}{thing} in {place} {passive} by {number} at {organisation}",
}
ACTIVE_VERBS = {False: ("will {base}", "plans to {base}", "is to {base}"), True: ("has {past}", "{past}")}
PASSIVE_VERBS = {
    "singular": {False: ("will be {past}", "is to be {past}"), True: ("has been {past}", "was {past}")},
    "plural": {False: ("will be {past}", "are to be {past}"), True: ("have been {past}", "were {past}")},
}
LOADED_SLOTS = ("opening", "of_people", "of_things", "of_saying")
SHARE_ACTIVE, SHARE_ROLE = 0.6, 0.5


def tell(facts: Facts, event: Event, rng: Random, tone: Tone = "neutral") -> str:
    """One whole, grammatical sentence with all the facts.

    Args:
        facts: Each is said word for word.
        event: What happened.
        rng: Chooses the form.
        tone: Other than neutral: one to three words of praise or blame are put in.
    """
    frame = rng.choice(FRAMES)
    slots = dict.fromkeys(LOADED_SLOTS, "")
    if tone != "neutral":
        there = [slot for slot in LOADED_SLOTS if slot == "of_things" or slot in frame]
        slots |= _loaded(words.LOADED[tone], there, rng)
    verb = {"base": event.verb.base, "past": event.verb.past}
    if rng.random() < SHARE_ACTIVE:
        claim = ACTIVE[event.kind.form]
        slots["active"] = rng.choice(ACTIVE_VERBS[event.is_past]).format_map(verb)
    else:
        claim = PASSIVE[event.kind.form]
        slots["passive"] = rng.choice(PASSIVE_VERBS[_grammatical_number(event.kind.form)][event.is_past]).format_map(
            verb
        )
    slots |= vars(facts) | {"thing": event.thing, "currency": event.currency, "said": rng.choice(words.SAID)}
    slots["role"] = f"{event.role} " if rng.random() < SHARE_ROLE else ""
    slots["claim"] = claim.format_map(slots)
    return capitalised(frame.format_map(slots))


def capitalised(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def is_sentence(text: str) -> bool:
    """Whether `tell` could have said it, in whatever tone, of some facts."""
    if "<" in text or text[:1].islower():
        return False
    grammar = _grammar()
    return any(grammar.fullmatch(_classified(form)) for form in (text, text[:1].lower() + text[1:]))


def _loaded(loaded: Loaded, slots: list[str], rng: Random) -> dict[str, str]:
    """One to three of the slots, filled."""
    filled = {slot: rng.choice(vars(loaded)[slot]) for slot in rng.sample(slots, rng.choice((1, 1, 2, 3)))}
    return {slot: f"{word}, " if slot == "opening" else f"{word} " for slot, word in filled.items()}


def _grammatical_number(form: Form) -> str:
    """Of the subject of the passive."""
    return "singular" if form == "works" else "plural"


# Recognising ----------------------------------------------------------------------------------------------------------
# Words of a list are first replaced by the list's name, so that the grammar stays small.


@cache
def _classes() -> dict[str, str]:
    """Word or phrase to the mark of the list that it stands in."""
    lists: dict[str, Iterable[str]] = {
        "first": words.FIRST_NAMES,
        "last": words.LAST_NAMES,
        "place": words.PLACES,
        "company": words.COMPANIES,
        "type": words.TYPES,
        "role": words.ROLES,
        "weekday": words.WEEKDAYS,
        "month": words.MONTHS,
        "currency": words.CURRENCIES,
        "said": words.SAID,
    }
    for form in ACTIVE:
        kinds = [kind for kind in words.KINDS if kind.form == form]
        lists[f"{form} thing"] = [thing for kind in kinds for thing in kind.things]
        lists[f"{form} base"] = [verb.base for kind in kinds for verb in kind.verbs]
        lists[f"{form} past"] = [verb.past for kind in kinds for verb in kind.verbs]
    for tone in words.LOADED.values():
        for place, choices in vars(tone).items():
            lists[place] = [*lists.get(place, ()), *choices]
    return {word: f"<{name}>" for name, listed in lists.items() for word in listed}


@cache
def _known() -> re.Pattern[str]:
    longest_first = sorted(_classes(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")


def _classified(text: str) -> str:
    classes = _classes()
    return _known().sub(lambda found: classes[found[0]], text)


@cache
def _grammar() -> re.Pattern[str]:
    slots = {
        "opening": "(?:<opening>, )?",
        "of_people": "(?:<of_people> )?",
        "of_things": "(?:<of_things> )?",
        "of_saying": "(?:<of_saying> )?",
        "role": "(?:<role> )?",
        "person": "<first> <last>",
        "organisation": "<company> <type>",
        "place": "<place>",
        "date": r"(?:<weekday>|<month> \d{1,2})",
        "said": "<said>",
        "currency": "<currency>",
    }
    amount, count = r"\d+(?:\.\d)? million", r"\d+"
    numbers: dict[Form, str] = {"works": amount, "counted": count, "grants": amount, "prices": rf"{count} percent"}
    claims: list[str] = []
    for form, number in numbers.items():
        verb = {"base": f"<{form} base>", "past": f"<{form} past>"}
        passive = PASSIVE_VERBS[_grammatical_number(form)]
        of_form = slots | {
            "number": number,
            "thing": f"<{form} thing>",
            "active": _any(said.format_map(verb) for forms in ACTIVE_VERBS.values() for said in forms),
            "passive": _any(said.format_map(verb) for forms in passive.values() for said in forms),
        }
        claims += [_pattern(said[form], of_form) for said in (ACTIVE, PASSIVE)]
    slots["claim"] = _any(claims)
    return re.compile(_any(_pattern(frame, slots) for frame in FRAMES))


def _pattern(form: str, slots: Mapping[str, str]) -> str:
    """A form as a regular expression: its own text literally, its slots as given."""
    parts = Formatter().parse(form)
    return "".join(re.escape(literal) + (slots[slot] if slot else "") for literal, slot, _, _ in parts)


def _any(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"
