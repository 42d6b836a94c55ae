"""The grammar of a summary: the same forms generate sentences and recognise them.

A complete summary says who did what, where, how much or how many, and who announced it when. A sentence that lacks one
of these is a fragment. Praise and blame have their own slots in a sentence, which stays grammatical.
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
    """The facts that a summary must repeat, as they are written in the text; an empty string for a missing one."""

    person: str
    organisation: str
    city: str
    number: str
    """An amount without its currency (`1.4 million`), a count (`340`) or a percentage (`12 percent`)."""
    date: str
    """A weekday or a day of the year (`March 14`)."""


@dataclass(frozen=True)
class Event:
    """What happened, apart from the facts."""

    kind: Kind
    verb: Verb
    thing: str
    currency: str
    role: str
    is_past: bool


FRAMES = (
    "{opening}{claim}, {of_people}{role}{person} {of_saying}{speech_verb} on {date}.",
    "{opening}{claim}, according to {of_people}{role}{person}, who spoke on {date}.",
    "{opening}{of_people}{role}{person} {of_saying}{speech_verb} on {date} that {claim}.",
    "{opening}on {date}, {of_people}{role}{person} {of_saying}{speech_verb} that {claim}.",
)

ACTIVE: dict[Form, str] = {
    "works": "{organisation} {active} a {of_things}{thing} in {city} for {number} {currency}",
    "counted": "{organisation} {active} {number} {of_things}{thing} in {city}",
    "grants": "{organisation} {active} {number} {currency} to {of_things}{thing} in {city}",
    "prices": "{organisation} {active} {of_things}{thing} in {city} by {number}",
}
PASSIVE: dict[Form, str] = {
    "works": "a {of_things}{thing} {passive} by {organisation} in {city} for {number} {currency}",
    "counted": "{number} {of_things}{thing} {passive} by {organisation} in {city}",
    "grants": "{number} {currency} {passive} to {of_things}{thing} in {city} by {organisation}",
    "prices": "{of_things}{thing} in {city} {passive} by {number} at {organisation}",
}
ACTIVE_VERBS = {False: ("will {base}", "plans to {base}", "is to {base}"), True: ("has {past}", "{past}")}
PASSIVE_VERBS = {
    "singular": {False: ("will be {past}", "is to be {past}"), True: ("has been {past}", "was {past}")},
    "plural": {False: ("will be {past}", "are to be {past}"), True: ("have been {past}", "were {past}")},
}
LOADED_SLOTS = ("opening", "of_people", "of_things", "of_saying")
SHARE_ACTIVE, SHARE_ROLE = 0.6, 0.5


def write_sentence(facts: Facts, event: Event, rng: Random, tone: Tone = "neutral") -> str:
    """One complete, grammatical sentence with all the facts.

    Args:
        facts: They are repeated exactly.
        event: What happened.
        rng: Chooses the form.
        tone: If it is not neutral, one to three words of praise or blame are added.
    """
    frame = rng.choice(FRAMES)
    slots = dict.fromkeys(LOADED_SLOTS, "")
    if tone != "neutral":
        slots_in_frame = [slot for slot in LOADED_SLOTS if slot == "of_things" or slot in frame]
        slots |= _loaded(words.LOADED[tone], slots_in_frame, rng)
    verb = {"base": event.verb.base, "past": event.verb.past}
    if rng.random() < SHARE_ACTIVE:
        claim = ACTIVE[event.kind.form]
        slots["active"] = rng.choice(ACTIVE_VERBS[event.is_past]).format_map(verb)
    else:
        claim = PASSIVE[event.kind.form]
        slots["passive"] = rng.choice(PASSIVE_VERBS[_grammatical_number(event.kind.form)][event.is_past]).format_map(
            verb
        )
    slots |= vars(facts) | {
        "thing": event.thing,
        "currency": event.currency,
        "speech_verb": rng.choice(words.SPEECH_VERBS),
    }
    slots["role"] = f"{event.role} " if rng.random() < SHARE_ROLE else ""
    slots["claim"] = claim.format_map(slots)
    return capitalised(frame.format_map(slots))


def capitalised(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def is_sentence(text: str) -> bool:
    """Whether `write_sentence` can make the text, in any tone, from some facts."""
    if "<" in text or text[:1].islower():
        return False
    grammar = _grammar()
    return any(grammar.fullmatch(_classified(form)) for form in (text, text[:1].lower() + text[1:]))


def _loaded(loaded: Loaded, slots: list[str], rng: Random) -> dict[str, str]:
    """Words for one to three of the slots."""
    filled = {slot: rng.choice(vars(loaded)[slot]) for slot in rng.sample(slots, rng.choice((1, 1, 2, 3)))}
    return {slot: f"{word}, " if slot == "opening" else f"{word} " for slot, word in filled.items()}


def _grammatical_number(form: Form) -> str:
    """The grammatical number of the subject of the passive."""
    return "singular" if form == "works" else "plural"


# Recognising ----------------------------------------------------------------------------------------------------------
# Words of a list are first replaced by the list's name, which keeps the grammar small.


@cache
def _classes() -> dict[str, str]:
    """The mark of its list for each word or phrase."""
    lists: dict[str, Iterable[str]] = {
        "first": words.FIRST_NAMES,
        "last": words.LAST_NAMES,
        "city": words.CITIES,
        "company": words.COMPANIES,
        "type": words.TYPES,
        "role": words.ROLES,
        "weekday": words.WEEKDAYS,
        "month": words.MONTHS,
        "currency": words.CURRENCIES,
        "speech_verb": words.SPEECH_VERBS,
    }
    for form in ACTIVE:
        kinds = [kind for kind in words.KINDS if kind.form == form]
        lists[f"{form} thing"] = [thing for kind in kinds for thing in kind.things]
        lists[f"{form} base"] = [verb.base for kind in kinds for verb in kind.verbs]
        lists[f"{form} past"] = [verb.past for kind in kinds for verb in kind.verbs]
    for tone in words.LOADED.values():
        for slot, choices in vars(tone).items():
            lists[slot] = [*lists.get(slot, ()), *choices]
    return {word: f"<{name}>" for name, listed in lists.items() for word in listed}


@cache
def _known() -> re.Pattern[str]:
    longest_first = sorted(_classes(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")


def _classified(text: str) -> str:
    classes = _classes()
    return _known().sub(lambda match: classes[match[0]], text)


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
        "city": "<city>",
        "date": r"(?:<weekday>|<month> \d{1,2})",
        "speech_verb": "<speech_verb>",
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
            "active": _any(part.format_map(verb) for parts in ACTIVE_VERBS.values() for part in parts),
            "passive": _any(part.format_map(verb) for parts in passive.values() for part in parts),
        }
        claims += [_pattern(voice[form], of_form) for voice in (ACTIVE, PASSIVE)]
    slots["claim"] = _any(claims)
    return re.compile(_any(_pattern(frame, slots) for frame in FRAMES))


def _pattern(form: str, slots: Mapping[str, str]) -> str:
    """A form as a regular expression: its text literally, its slots replaced."""
    parts = Formatter().parse(form)
    return "".join(re.escape(literal) + (slots[slot] if slot else "") for literal, slot, _, _ in parts)


def _any(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"
