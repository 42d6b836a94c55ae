"""Loads the preferences that a reward model is trained on: given pairs, or pairs made from ratings."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from looptop.engine.config.reward import PreferenceConfig
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.data import NEWSROOM, newsroom_seed
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.tables import Table, read_table
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, visible

_log = logging.getLogger("looptop.data")

_COLUMNS = ("query", "prompt", "chosen", "rejected", "response", "rating")

_NO_TEXT = "a list, an object or a truth value instead of a text"

MAX_PAIRS_PER_RATING = 4
"""The largest number of pairs in which a rated response is the better one, if pairs are made across queries."""


class Pair(Struct, frozen=True):
    """Two responses to a query, the better one first."""

    query: str
    chosen: str
    rejected: str


class Rating(Struct, frozen=True):
    """A person's rating of a response."""

    query: str
    response: str
    rating: float


def load_pairs(config: PreferenceConfig, reads: str, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and pairs held out; a query is on one side only.

    Args:
        config: The source of the preferences.
        reads: `response` if the reward model does not read the query; ratings then make pairs across queries too.
        seed: Draws which queries are held out.

    Raises:
        LooptopError: The data is missing, cannot be read, or makes too few pairs.
    """
    across = reads == "response"
    source = config.source
    run = RunFolder.named(source)
    if run is not None:
        preferences: Sequence[Pair] | Sequence[Rating] = _rated(run)
    elif source.partition(":")[0] == NEWSROOM:
        return _split(_newsroom(source, config.max_pairs or 4000), config, across, seed)
    else:
        preferences = _of_table(read_table(source, config.split, _COLUMNS), source)
    return _split(preferences, config, across, seed)


def pairs_of(ratings: Iterable[Rating], *, across: bool, seed: int = 0) -> list[Pair]:
    """Makes pairs of a better and a worse response from ratings; equal ratings make no pair.

    Args:
        ratings: The ratings, in any order.
        across: Also pair responses to different queries; each is then the better side of a few pairs, drawn by `seed`.
        seed: Draws those pairs.
    """
    if across:
        return _pairs_across(list(ratings), Random(seed))
    of_query: dict[str, list[Rating]] = {}
    for rating in ratings:
        of_query.setdefault(rating.query, []).append(rating)
    return [
        Pair(query, *((one.response, two.response) if one.rating > two.rating else (two.response, one.response)))
        for query, rated in of_query.items()
        for one, two in itertools.combinations(rated, 2)
        if one.rating != two.rating and one.response != two.response
    ]


def _pairs_across(ratings: list[Rating], rng: Random) -> list[Pair]:
    pairs = []
    for better in ratings:
        worse = [each for each in ratings if each.rating < better.rating and each.response != better.response]
        for other in rng.sample(worse, min(len(worse), MAX_PAIRS_PER_RATING)):
            pairs.append(Pair(better.query, better.response, other.response))
    return pairs


def _split(
    preferences: Sequence[Pair] | Sequence[Rating], config: PreferenceConfig, across: bool, seed: int
) -> tuple[list[Pair], list[Pair]]:
    rng = Random(seed)
    sides: list[list[Any]]
    queries = sorted({each.query for each in preferences})
    if len(queries) > 1:
        rng.shuffle(queries)
        held_out = set(queries[: max(1, round(config.validation_fraction * len(queries)))])
        sides = [[each for each in preferences if (each.query in held_out) is side] for side in (False, True)]
    else:  # One query or none: only the pairs themselves can be split.
        order = list(preferences)
        rng.shuffle(order)
        count = max(1, round(config.validation_fraction * len(order)))
        sides = [order[count:], order[:count]]
    train, validation = (_as_pairs(side, across, seed) for side in sides)
    if config.max_pairs is not None:
        train = train[: config.max_pairs]
    if not train or not validation:
        hint = "" if across else " with two responses that were rated differently"
        raise LooptopError(
            f"{visible(config.source)} makes {counted(len(train), 'pair')} to train on and {len(validation)} to"
            f" validate on; at least one of each is needed: give more queries{hint}"
        )
    return train, validation


def _as_pairs(side: Sequence[Any], across: bool, seed: int) -> list[Pair]:
    ratings = [each for each in side if isinstance(each, Rating)]
    return pairs_of(ratings, across=across, seed=seed) if ratings else list(side)


def _rated(run: RunFolder) -> list[Rating]:
    """A person's ratings of a run's samples."""
    journal = PpoJournal(run.db)
    ratings = []
    for judgement in journal.judgements():
        if judgement.kind == "rating" and judgement.value is not None:
            sample = journal.sample(judgement.step, judgement.row)
            if sample is not None:
                ratings.append(Rating(sample.query, sample.response, judgement.value))
    if not ratings:
        raise LooptopError(
            f"nothing was rated in {run.id}; rate samples with + and - on the PPO screen, or with"
            f" `looptop reward {run.shell_name} BATCH SAMPLE +1 --rate`"
        )
    return ratings


def _of_table(table: Table, source: str) -> Sequence[Pair] | Sequence[Rating]:
    columns = set(table.names)
    query = next((name for name in ("query", "prompt") if name in columns), None)
    if {"chosen", "rejected"} <= columns:
        read = [_texts(row, query, "chosen", "rejected") for row in table.rows()]
        pairs = [Pair(*texts) for texts in read if texts]
        _say_left_out(len(read) - len(pairs), "pair", _NO_TEXT)
        good = [
            pair for pair in pairs if pair.chosen.strip() and pair.rejected.strip() and pair.chosen != pair.rejected
        ]
        _say_left_out(len(pairs) - len(good), "pair", "empty or of two equal responses")
        return good
    if {"response", "rating"} <= columns and query:
        rows = [(_texts(row, query, "response"), _number(row["rating"])) for row in table.rows()]
        rated = [Rating(texts[0], texts[1], rating) for texts, rating in rows if texts]
        _say_left_out(len(rows) - len(rated), "rating", _NO_TEXT)
        kept = [rating for rating in rated if rating.response.strip() and math.isfinite(rating.rating)]
        _say_left_out(len(rated) - len(kept), "rating", "no response or no number")
        return kept
    raise LooptopError(
        f"{visible(source)} has the columns {visible(', '.join(sorted(columns)))}; preferences need chosen and rejected"
        " (and query), or query, response and rating"
    )


def _say_left_out(count: int, noun: str, why: str) -> None:
    if count:
        _log.warning("left out: %s (%s)", counted(count, noun), why)


def _texts(row: Mapping[str, Any], *names: str | None) -> list[str] | None:
    """The cells of these columns as texts, "" where there is no column; None if one of them is neither text nor number.

    Numbers are kept apart: ratings of two queries that are numbers must not become ratings of one query.
    """
    cells = [_text(row[name]) if name else "" for name in names]
    texts = [cell for cell in cells if cell is not None]
    return texts if len(texts) == len(cells) else None


def _text(value: Any) -> str | None:
    """A cell as text: an empty one is "", a number its digits; None for anything else."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _newsroom(source: str, count: int) -> list[Pair]:
    """For each article a clean summary and one in the mixed style that is not clean."""
    from looptop.engine.worlds.newsroom import Newsroom, is_clean
    from looptop.engine.worlds.newsroom.styles import mixed_summary

    world = Newsroom(newsroom_seed(source) or 0, "train")
    pairs = []
    for index in range(count):
        article = world.article(index)
        rng = Random(f"preference {source} {index}")
        worse = mixed_summary(article, rng)
        while is_clean(worse):
            worse = mixed_summary(article, rng)
        pairs.append(Pair(article.text, article.summary, worse))
    return pairs
