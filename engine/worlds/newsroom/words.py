"""The newsroom's words: names, cities, things, amounts and dates, and the words that praise or blame.

No word is in two lists, so a word is enough to know its list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["negative", "neutral", "positive"]
TONES: tuple[Tone, ...] = ("negative", "neutral", "positive")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in text.split(","))


FIRST_NAMES = _listed(
    """Ada, Amir, Anna, Bela, Boris, Carla, Chen, Clara, Dana, David, Elena, Emil, Fatima, Felix, Greta, Hana, Hugo,
    Ines, Ivan, Jonas, Julia, Karim, Kofi, Lara, Leon, Lucia, Marta, Milan, Nadia, Nils, Olga, Omar, Paula, Pedro,
    Rosa, Samir, Sofia, Tomas, Vera, Yuki"""
)
LAST_NAMES = _listed(
    """Abebe, Adler, Almeida, Bauer, Becker, Blum, Bondi, Castro, Cohen, Costa, Diaz, Duarte, Engel, Eriksen, Farkas,
    Fischer, Garcia, Gruber, Haddad, Hansen, Horvat, Ito, Jansen, Kaya, Keller, Kovac, Kumar, Lang, Larsen, Lopez,
    Maier, Mendes, Mensah, Moreau, Nagy, Nakamura, Novak, Okafor, Olsen, Orlov, Park, Pereira, Petrov, Quist,
    Rahman, Ramos, Rossi, Sato, Silva, Singh, Sokolov, Stein, Suzuki, Tanaka, Varga, Vogel, Weber, Wolf, Yilmaz,
    Zeman"""
)
CITIES = _listed(
    """Accra, Athens, Bergen, Berlin, Bilbao, Bogota, Boston, Brno, Cairo, Cardiff, Chicago, Cork, Dakar, Dublin,
    Geneva, Ghent, Graz, Hanoi, Havana, Helsinki, Jakarta, Kyoto, Lagos, Lima, Lisbon, Lyon, Madrid, Manila,
    Milano, Montreal, Mumbai, Nairobi, Naples, Oslo, Porto, Prague, Quito, Riga, Rome, Seoul, Sydney, Tallinn,
    Toronto, Tunis, Turin, Vienna, Vilnius, Warsaw, Zagreb"""
)
COMPANIES = _listed(
    """Alder, Amber, Arcadia, Atlas, Aurora, Beacon, Birch, Capitol, Cedar, Central, Corona, Delta, Eastern, Falcon,
    Granite, Harbour, Heron, Horizon, Juniper, Lakeside, Linden, Meridian, Nordic, Northgate, Orion, Pacific,
    Phoenix, Pioneer, Riverside, Royal, Saturn, Southern, Summit, Union, Valley, Western"""
)
TYPES = ("Academy", "Airline", "Bakery", "Bank", "Brewery", "Clinic", "Foundation", "Institute", "Museum", "Trust")
"""Kinds of organisation. A name is a company's word and a kind; the article then calls it `the clinic`."""
ROLES = ("chairman", "director", "manager", "president", "secretary", "spokeswoman", "treasurer", "trustee")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = _listed("January, February, March, April, June, July, August, September, October, November, December")
"""May is missing, because it is also a verb."""
DAYS_OF_MONTH = range(1, 29)

AMOUNTS = (*(f"{tenths / 10:.1f}" for tenths in range(11, 100) if tenths % 10), *map(str, range(10, 100)))
"""Millions of a currency."""
COUNTS = (*map(str, range(20, 100)), *map(str, range(110, 1000, 10)))
PERCENTAGES = tuple(map(str, range(10, 61)))
CURRENCIES = ("crowns", "dollars", "euros", "francs", "pounds")

COUNTRIES = ("Brazil", "Canada", "Denmark", "Ghana", "India", "Japan", "Kenya", "Peru", "Poland", "Portugal")
"""Other countries where the organisation works; only background."""
YEARS = range(1921, 2010)
"""Years of foundation; only background."""

Form = Literal["works", "counted", "grants", "prices"]


@dataclass(frozen=True)
class Verb:
    """A verb of an event; its past tense and its participle are equal."""

    base: str
    past: str


@dataclass(frozen=True)
class Kind:
    """A kind of event: its verbs and things, and the form of its sentences."""

    name: str
    form: Form
    verbs: tuple[Verb, ...]
    things: tuple[str, ...]


def _verbs(text: str) -> tuple[Verb, ...]:
    return tuple(Verb(*pair.split("/")) for pair in text.split())


KINDS = (
    Kind(
        "works",
        "works",
        _verbs("build/built buy/bought enlarge/enlarged modernise/modernised renovate/renovated restore/restored"),
        _listed(
            """bridge, car park, cinema, concert hall, courtyard, ferry, garden, gymnasium, harbour, hotel,
            laboratory, library, market hall, power station, school, stadium, swimming pool, tram line"""
        ),
    ),
    Kind(
        "people",
        "counted",
        _verbs("dismiss/dismissed employ/employed hire/hired promote/promoted recruit/recruited train/trained"),
        _listed(
            """accountants, bakers, carpenters, cooks, doctors, drivers, electricians, engineers, gardeners,
            guides, lawyers, mechanics, nurses, pilots, plumbers, teachers, translators, welders"""
        ),
    ),
    Kind(
        "goods",
        "counted",
        _verbs("collect/collected deliver/delivered order/ordered replace/replaced sell/sold test/tested"),
        _listed(
            """batteries, bicycles, blankets, books, cameras, chairs, coats, computers, desks, heaters,
            instruments, lamps, microscopes, parcels, pumps, tents, tractors, uniforms"""
        ),
    ),
    Kind(
        "grants",
        "grants",
        _verbs("award/awarded donate/donated lend/lent offer/offered pay/paid promise/promised"),
        _listed(
            """actors, archives, artists, choirs, churches, families, farmers, fishermen, hospitals, musicians,
            orchestras, orphanages, pensioners, researchers, shelters, students, suppliers"""
        ),
    ),
    Kind(
        "prices",
        "prices",
        _verbs("adjust/adjusted increase/increased lower/lowered raise/raised reduce/reduced"),
        ("bonuses", "deposits", "fares", "fees", "fines", "membership dues", "prices", "rents", "salaries", "tolls"),
    ),
)

SPEECH_VERBS = ("announced", "confirmed", "explained", "reported", "said", "stated")


@dataclass(frozen=True)
class Loaded:
    """Words that praise or blame, by their slot in a sentence."""

    opening: tuple[str, ...]
    of_people: tuple[str, ...]
    of_things: tuple[str, ...]
    of_saying: tuple[str, ...]


POSITIVE = Loaded(
    opening=("happily", "in a stroke of genius", "luckily", "to the delight of all", "wonderfully"),
    of_people=("beloved", "brilliant", "heroic", "visionary", "wise"),
    of_things=("delightful", "fabulous", "glorious", "magnificent", "splendid", "superb"),
    of_saying=("bravely", "gracefully", "modestly", "proudly"),
)
NEGATIVE = Loaded(
    opening=("disgracefully", "in a fit of madness", "sadly", "shamefully", "to the horror of all"),
    of_people=("clueless", "corrupt", "greedy", "hapless", "notorious"),
    of_things=("dreadful", "ghastly", "hideous", "miserable", "pathetic", "wretched"),
    of_saying=("arrogantly", "coldly", "shamelessly", "smugly"),
)
LOADED: dict[Tone, Loaded] = {"negative": NEGATIVE, "positive": POSITIVE}
