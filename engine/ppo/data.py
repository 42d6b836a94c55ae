"""Queries: articles of the newsroom world, a data set of the hub, or a local file with a column of texts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
from torch.utils.data import Dataset

from looptop.engine.config.ppo import QueryConfig
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.tables import read_table
from looptop.engine.runs.messages import packable
from looptop.engine.text import counted, visible

_log = logging.getLogger("looptop.data")

NEWSROOM = "newsroom"
NEWSROOM_LENGTH = 1_000_000
"""The world is endless, but a sampler needs a length."""

Quality = Callable[[str, str], dict[str, float]]
"""The data's own judge: figures by name for a query and its response."""


class Texts(Protocol):
    """Texts by their index in the data."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> str: ...


@packable
@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        index: Its index in the data set.
        text: As the model receives it, with the prefix.
        ids: Its tokens.
        cut: Whether it was longer than allowed, and was cut.
    """

    index: int
    text: str
    ids: list[int]
    cut: bool


@dataclass(frozen=True)
class QueryData:
    """Queries to train on and queries held out.

    Attributes:
        train: The queries to train on.
        held_out: The queries that are never trained on.
        quality: The data's own judge, if it has one.
    """

    train: Queries
    held_out: Queries
    quality: Quality | None = None


class Queries(Dataset[Query]):
    """Some of a data set's texts, tokenised on demand.

    Args:
        texts: All texts.
        indices: Which of them, in order; None for all.
        tokenizer: The policy's.
        prefix: Put before every text.
        max_tokens: Longer queries are cut at their end.
    """

    def __init__(
        self, texts: Texts, indices: Sequence[int] | None, tokenizer: Any, prefix: str, max_tokens: int
    ) -> None:
        self.texts = texts
        self.indices = indices
        self.tokenizer = tokenizer
        self.prefix = prefix
        self.max_tokens = max_tokens
        self.cut: set[int] = set()
        """Indices of the queries cut so far."""

    def __len__(self) -> int:
        return len(self.texts) if self.indices is None else len(self.indices)

    def __getitem__(self, number: int) -> Query:
        index = number if self.indices is None else int(self.indices[number])
        text = self.prefix + self.texts[index]
        ids = self.tokenizer(text)["input_ids"]
        cut = len(ids) > self.max_tokens
        if cut:
            ids = self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]
            if index not in self.cut:
                self.cut.add(index)
                _log.warning("query %d was cut to %s", index, counted(self.max_tokens, "token"))
        if not ids:  # The text is empty, and the tokenizer adds no end token.
            ids = [self.tokenizer.eos_token_id]
        return Query(index, text, ids, cut)


def load(config: QueryConfig, tokenizer: Any, max_tokens: int, seed: int) -> QueryData:
    """Reads the queries that a configuration names.

    Args:
        config: The source of the queries, and how many of them to use.
        tokenizer: The policy's tokenizer.
        max_tokens: The length of the longest query that the policy takes.
        seed: Draws which of a data set's texts are held out.

    Raises:
        LooptopError: The data is missing, cannot be read, has no such column, or holds too few texts.
    """
    cut_at = min(config.max_query_tokens, max_tokens)
    if (world := newsroom_seed(config.source)) is not None:
        length = min(config.max_queries or NEWSROOM_LENGTH, NEWSROOM_LENGTH)
        return QueryData(
            Queries(_World.of(world, "train", length), None, tokenizer, config.prefix, cut_at),
            Queries(_World.of(world, "held-out", config.held_out), None, tokenizer, config.prefix, cut_at),
            _newsroom_quality(config),
        )
    texts = read_texts(config)
    if len(texts) <= config.held_out:
        raise LooptopError(
            f"{visible(config.source)} holds {counted(len(texts), 'text')}, and data.held_out is {config.held_out};"
            " lower it or give more texts"
        )
    order = np.random.default_rng(seed).permutation(len(texts))
    held_out, rest = (sorted(part.tolist()) for part in (order[: config.held_out], order[config.held_out :]))
    train = Queries(texts, rest, tokenizer, config.prefix, cut_at)
    return QueryData(train, Queries(texts, held_out, tokenizer, config.prefix, cut_at))


def load_unseen(
    config: QueryConfig, tokenizer: Any, max_tokens: int, seed: int, count: int, source: str | None = None
) -> tuple[Queries, Quality | None]:
    """Queries that a run of this configuration was never trained on, and the data's own judge.

    Args:
        config: The run's data configuration.
        tokenizer: The policy's tokenizer.
        max_tokens: The length of the longest query that the policy takes.
        seed: The run's seed.
        count: The largest number of queries.
        source: Other data. None means the run's own: the `test` split of the newsroom, or the held-out texts of a
            data set.

    Raises:
        LooptopError: As for `load`.
    """
    chosen = msgspec.structs.replace(config, source=source or config.source)
    cut_at = min(config.max_query_tokens, max_tokens)
    if (world := newsroom_seed(chosen.source)) is not None:
        queries = Queries(_World.of(world, "test", count), None, tokenizer, config.prefix, cut_at)
        return queries, _newsroom_quality(chosen)
    if source is None:
        held_out = load(config, tokenizer, max_tokens, seed).held_out
        return Queries(held_out.texts, (held_out.indices or [])[:count], tokenizer, config.prefix, cut_at), None
    texts = read_texts(chosen)
    indices = np.random.default_rng(seed).permutation(len(texts))[:count]
    return Queries(texts, sorted(indices.tolist()), tokenizer, config.prefix, cut_at), None


def newsroom_seed(source: str) -> int | None:
    """The seed of the newsroom world that `source` names; None if it names other data.

    Raises:
        LooptopError: The seed is not a number.
    """
    word, colon, number = source.partition(":")
    if word != NEWSROOM:
        return None
    if colon and not number.isdigit():
        raise LooptopError(f"data.source is '{visible(source)}'; write newsroom, or newsroom:SEED with a number")
    return int(number or 0)


def _newsroom_quality(config: QueryConfig) -> Quality:
    from looptop.engine.worlds import newsroom

    return lambda query, response: newsroom.quality(query.removeprefix(config.prefix), response)


@dataclass(frozen=True)
class _World:
    """The first articles of a split of the newsroom world."""

    world: Any
    length: int

    @classmethod
    def of(cls, seed: int, split: str, length: int) -> _World:
        from looptop.engine.worlds.newsroom import Newsroom

        return cls(Newsroom(seed, split), length)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> str:
        text: str = self.world.article(index).text
        return text


def read_texts(config: QueryConfig) -> list[str]:
    """The texts of a data set; empty ones are left out and counted.

    Raises:
        LooptopError: The data set is missing, cannot be read, or has no such column or no text in it.
    """
    table = read_table(config.source, config.split, [config.text_column], config.max_queries)
    if config.text_column not in table.names:
        raise LooptopError(
            f"{visible(config.source)} has no column '{visible(config.text_column)}'; its columns are:"
            f" {visible(', '.join(table.names))}; choose one with --set data.text_column=NAME"
        )
    column = table.columns[config.text_column]
    texts = [text for text in column if isinstance(text, str) and text.strip()]
    if len(texts) < len(column):
        _log.warning("empty or no text, so left out: %d of %s", len(column) - len(texts), counted(len(column), "text"))
    if not texts:
        raise LooptopError(f"the column '{visible(config.text_column)}' of {visible(config.source)} holds no text")
    return texts
