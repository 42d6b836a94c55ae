"""Best-first search for the most probable answers; exact unless the limit on expansions stops it.

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
"""At most this many alternatives are kept for each token of an answer."""

Tokens = tuple[int, ...]
"""An answer or the beginning of one (a prefix), without the tokens for begin and end."""


def max_expansions(top: int) -> int:
    """The number of prefixes that are expanded before a search for this many answers stops.

    A trained model needs a few more than the number of answers. For an untrained one, which gives all answers about
    the same probability, the search would have to expand every prefix.
    """
    return 64 + 4 * top


@dataclass(frozen=True)
class SearchResult:
    """An answer, as tokens and as text."""

    text: str
    tokens: Tokens
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

    tokens: Tokens
    log_probs: tuple[float, ...]
    log_prob: float
    next_tokens: Sequence[int]
    next_log_probs: Sequence[float]


class Search:
    """Searches for the best answers to one question.

    Call `take_prefixes`, give the next tokens of each prefix to `expand`, and repeat until there are none.

    An answer whose text is empty does not count: no data set has such answers, so the model never learned one. It is
    left out, and the other answers keep their probabilities; it is returned only if there is no other answer. If
    several token sequences have the same text, the most probable one counts, with its own probability.

    Args:
        top: The number of answers.
        text_of: Decodes tokens.
        max_tokens: An answer's greatest length; a prefix of that length can only end.
        limit: The greatest number of expansions; see `max_expansions`.
    """

    def __init__(self, top: int, text_of: Callable[[Tokens], str], max_tokens: int, limit: int | None = None) -> None:
        self.top = top
        self.text_of = text_of
        self.max_tokens = max_tokens
        self.limit = max_expansions(top) if limit is None else limit
        self.expansion_count = 0
        self.exact = False
        """Whether the results are certainly the best answers; False while searching, or after stopping at the limit."""
        self._open: list[tuple[float, Tokens, _Expanded, int]] = []
        """Heap of (minus the bound, prefix, its parent, its rank among the parent's next tokens). For each parent it
        holds only the best next token not yet taken; popping it pushes the next."""
        self._taken: dict[Tokens, tuple[tuple[float, ...], float]] = {(): ((), 0.0)}
        """The prefixes that wait for `expand`: the log-probability of each token, and their sum."""
        self._followers: dict[Tokens, tuple[float, Sequence[int], Sequence[float]]] = {}
        """The end and the most probable tokens that can follow each expanded prefix."""
        self._by_text: dict[str, SearchResult] = {}
        self._empty_answer: SearchResult | None = None

    def take_prefixes(self) -> list[Tokens]:
        """Takes the prefixes to expand next; none when the search is done.

        Until all of them are expanded, it returns those that are left.
        """
        if self._taken:
            return list(self._taken)
        to_beat = self._log_prob_to_beat()
        best = -self._open[0][0] if self._open else -math.inf
        if best <= to_beat:
            self.exact = True
            return []
        unsure = self.expansion_count > SURE_EXPANSIONS + self.top
        max_taken = min(self.limit - self.expansion_count, self.expansion_count if unsure else 2 * self.top + 2)
        while self._open and len(self._taken) < max_taken:
            minus_bound, prefix, parent, rank = self._open[0]
            # Usually each of the missing answers begins with a different prefix.
            unlikely = len(self._taken) >= self.top and -minus_bound < best + LIKELY_LOG_RATIO
            if -minus_bound <= to_beat or (unlikely and not unsure):
                break
            heapq.heappop(self._open)
            self._push(parent, rank + 1)
            self._taken[prefix] = ((*parent.log_probs, parent.next_log_probs[rank]), -minus_bound)
        return list(self._taken)

    def expand(
        self, prefix: Tokens, end_log_prob: float, next_tokens: Sequence[int], next_log_probs: Sequence[float]
    ) -> None:
        """Adds what can follow a taken prefix.

        Args:
            prefix: One that `take_prefixes` returned.
            end_log_prob: Log-probability that the answer ends here.
            next_tokens: Tokens that can follow, the most probable first, without the end. As many as the limit on
                expansions are enough: no more can be expanded.
            next_log_probs: Their log-probabilities.
        """
        log_probs, log_prob = self._taken.pop(prefix)
        self.expansion_count += 1
        most = MAX_OTHER_TOKENS + 1
        self._followers[prefix] = end_log_prob, next_tokens[:most], next_log_probs[:most]
        text = self.text_of(prefix)
        result = SearchResult(text, prefix, (*log_probs, end_log_prob), log_prob + end_log_prob)
        if not text:
            if self._empty_answer is None or result.log_prob > self._empty_answer.log_prob:
                self._empty_answer = result
        elif text not in self._by_text or result.log_prob > self._by_text[text].log_prob:
            self._by_text[text] = result
        if len(prefix) < self.max_tokens:
            self._push(_Expanded(prefix, log_probs, log_prob, next_tokens, next_log_probs), 0)

    def results(self) -> list[SearchResult]:
        """The best answers, the most probable first; at least one and at most `top`."""
        best = sorted(self._by_text.values(), key=lambda result: (-result.log_prob, result.tokens))[: self.top]
        if not best and self._empty_answer is not None:
            return [self._empty_answer]
        return best

    def other_tokens(self, result: SearchResult) -> list[list[NextToken]]:
        """For each token of an answer, and for its end: the most probable tokens that could have come instead."""
        others = []
        for index, token in enumerate([*result.tokens, None]):
            end_log_prob, tokens, log_probs = self._followers[result.tokens[:index]]
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
