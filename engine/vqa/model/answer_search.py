"""Exact best-first search for the most probable answers.

The probability of a prefix is an upper bound for every answer that begins with it. So the search is complete when no
open prefix is more probable than the answers it has. There are no tensors here: `decoding.best_answers` asks the model.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SURE_EXPANSIONS = 16
"""A model that is sure of its answer needs at most this many expansions; after them, larger batches are expanded."""

LIKELY_LOG_RATIO = math.log(0.5)
"""An open prefix at least this probable, relative to the best one, is expanded in the same pass."""

MAX_OTHER_TOKENS = 3
"""So many other tokens are known for each token of an answer."""

Prefix = tuple[int, ...]


def max_expansions(top: int) -> int:
    """The number of prefixes that are expanded before a search for this many answers stops.

    A trained model needs a few more than the number of answers. An untrained one gives all answers about the same
    probability, and would need all prefixes.
    """
    return 64 + 4 * top


@dataclass(frozen=True)
class SearchResult:
    """An answer, as tokens and as text."""

    text: str
    tokens: Prefix
    """The tokens without begin and end."""
    log_probs: tuple[float, ...]
    """The log-probability of each token given those before it, and of the end given all tokens."""
    log_prob: float
    """The sum of `log_probs`."""


class NextToken(NamedTuple):
    """A token that can follow a prefix."""

    token: int | None
    """None for the end."""
    log_prob: float


@dataclass(frozen=True)
class _Expanded:
    """A prefix whose next tokens are known, the most probable first."""

    tokens: Prefix
    log_probs: tuple[float, ...]
    log_prob: float
    next_tokens: Sequence[int]
    next_log_probs: Sequence[float]


class Search:
    """Searches for the best answers to one question.

    Take prefixes from `wanted` and give each one's next tokens to `expand`, until none is wanted.

    An answer whose text is empty does not count: no data set has such answers, so the model never learned one. It is
    left out, and the other answers keep their probabilities; it is returned only if there is no other answer. If
    several token sequences have the same text, the most probable one counts, with its own probability.

    Args:
        top: The number of answers.
        text_of: Decodes tokens.
        max_tokens: An answer's greatest length; a prefix of that length can only end.
        limit: The greatest number of expansions; see `max_expansions`.
    """

    def __init__(self, top: int, text_of: Callable[[Prefix], str], max_tokens: int, limit: int | None = None) -> None:
        self.top = top
        self.text_of = text_of
        self.max_tokens = max_tokens
        self.limit = max_expansions(top) if limit is None else limit
        self.expanded = 0
        self.exact = False
        self._open: list[tuple[float, Prefix, _Expanded, int]] = []
        """Heap of (minus the bound, prefix, its parent, its rank among the parent's next tokens). Of each parent it
        holds only the best next token that was not wanted yet; taking that one adds the following one."""
        self._wanted: dict[Prefix, tuple[tuple[float, ...], float]] = {(): ((), 0.0)}
        self._next: dict[Prefix, tuple[float, Sequence[int], Sequence[float]]] = {}
        """The end and the most probable tokens that can follow each expanded prefix."""
        self._by_text: dict[str, SearchResult] = {}
        self._empty: SearchResult | None = None

    def wanted(self) -> list[Prefix]:
        """The prefixes to expand next; empty when the search is done."""
        if self._wanted:
            return list(self._wanted)
        to_beat = self._log_prob_to_beat()
        best = -self._open[0][0] if self._open else -math.inf
        if best <= to_beat:
            self.exact = True
            return []
        unsure = self.expanded > SURE_EXPANSIONS + self.top
        max_wanted = min(self.limit - self.expanded, self.expanded if unsure else 2 * self.top + 2)
        while self._open and len(self._wanted) < max_wanted:
            minus_bound, prefix, parent, rank = self._open[0]
            # Usually each of the missing answers begins with a different prefix.
            unlikely = len(self._wanted) >= self.top and -minus_bound < best + LIKELY_LOG_RATIO
            if -minus_bound <= to_beat or (unlikely and not unsure):
                break
            heapq.heappop(self._open)
            self._push(parent, rank + 1)
            self._wanted[prefix] = ((*parent.log_probs, parent.next_log_probs[rank]), -minus_bound)
        return list(self._wanted)

    def expand(
        self, prefix: Prefix, end_log_prob: float, next_tokens: Sequence[int], next_log_probs: Sequence[float]
    ) -> None:
        """Adds what can follow a wanted prefix.

        Args:
            prefix: One of `wanted`.
            end_log_prob: Log-probability that the answer ends here.
            next_tokens: Tokens that can follow, the most probable first, without the end. As many as the limit on
                expansions are enough: no more can be expanded.
            next_log_probs: Their log-probabilities.
        """
        log_probs, log_prob = self._wanted.pop(prefix)
        self.expanded += 1
        most = MAX_OTHER_TOKENS + 1
        self._next[prefix] = end_log_prob, next_tokens[:most], next_log_probs[:most]
        text = self.text_of(prefix)
        result = SearchResult(text, prefix, (*log_probs, end_log_prob), log_prob + end_log_prob)
        if not text:
            if self._empty is None or result.log_prob > self._empty.log_prob:
                self._empty = result
        elif text not in self._by_text or result.log_prob > self._by_text[text].log_prob:
            self._by_text[text] = result
        if len(prefix) < self.max_tokens:
            self._push(_Expanded(prefix, log_probs, log_prob, next_tokens, next_log_probs), 0)

    def results(self) -> list[SearchResult]:
        """The best answers, the most probable first; at least one and at most `top`."""
        best = sorted(self._by_text.values(), key=lambda result: (-result.log_prob, result.tokens))[: self.top]
        if not best and self._empty is not None:
            return [self._empty]
        return best

    def other_tokens(self, result: SearchResult) -> list[list[NextToken]]:
        """For each token of an answer, and for its end: the most probable tokens that could have come instead."""
        others = []
        for index, token in enumerate([*result.tokens, None]):
            end_log_prob, tokens, log_probs = self._next[result.tokens[:index]]
            best = map(NextToken, tokens, log_probs)
            ordered = sorted([NextToken(None, end_log_prob), *best], key=lambda each: -each.log_prob)
            others.append([each for each in ordered if each.token != token][:MAX_OTHER_TOKENS])
        return others

    def _push(self, parent: _Expanded, rank: int) -> None:
        if rank < len(parent.next_tokens) and parent.next_log_probs[rank] > -math.inf:
            bound = parent.log_prob + parent.next_log_probs[rank]
            heapq.heappush(self._open, (-bound, (*parent.tokens, parent.next_tokens[rank]), parent, rank))

    def _log_prob_to_beat(self) -> float:
        """The lowest log-probability among the current best answers; minus infinity if there are fewer than `top`."""
        if len(self._by_text) < self.top:
            return -math.inf
        return heapq.nlargest(self.top, (result.log_prob for result in self._by_text.values()))[-1]
