"""The most probable answers, found exactly: best-first search over what an answer can begin with.

The probability of a prefix bounds that of every answer behind it, so the search is done when no open prefix is more
probable than the answers it has. No tensors here: the model is asked by `decoding.best_answers`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SURE = 16
"""Prefixes that a model which is sure of its answer needs looked behind at most; then ever more are taken at once."""

LIKELY = math.log(0.5)
"""An open prefix at least this probable, next to the best one, is looked behind in the same pass."""

Prefix = tuple[int, ...]


def max_expansions(top: int) -> int:
    """Prefixes that are looked behind before the search for this many answers is ended.

    A trained model needs a few more than there are answers; an untrained one, of which all answers are about as
    probable, would need all there are.
    """
    return 64 + 4 * top


@dataclass(frozen=True)
class Found:
    """An answer, as tokens and as text."""

    text: str
    tokens: Prefix
    """Without begin and end."""
    log_probs: tuple[float, ...]
    """Of each token behind those before it, and of the end behind them all."""
    log_prob: float
    """Their sum."""


@dataclass(frozen=True)
class _Expanded:
    """A prefix whose next tokens are known, the most probable first."""

    tokens: Prefix
    log_probs: tuple[float, ...]
    log_prob: float
    next_tokens: Sequence[int]
    next_log_probs: Sequence[float]


class Search:
    """Looks for the best answers to one question.

    Ask `wanted` for prefixes, tell each one's next tokens with `expand`, until none is wanted.

    An answer that is empty as text is not one: no data set has such answers, so the model never saw one. Its
    probability is left out, and the other answers keep theirs; only where nothing else was found is it the answer. Of
    several token sequences with the same text the most probable stands for it, with its own probability.

    Args:
        top: How many answers.
        text_of: The text that tokens spell.
        max_tokens: An answer's greatest length; a prefix of that length can only end.
        limit: Prefixes that are looked behind at most; see `max_expansions`.
    """

    def __init__(self, top: int, text_of: Callable[[Prefix], str], max_tokens: int, limit: int | None = None) -> None:
        self.top = top
        self.text_of = text_of
        self.max_tokens = max_tokens
        self.limit = max_expansions(top) if limit is None else limit
        self.expanded = 0
        self.exact = False
        self._open: list[tuple[float, Prefix, _Expanded, int]] = []
        """Heap of (minus the bound, prefix, its parent, its place among the parent's next tokens). A parent has only
        its best next token in here that was not yet wanted; taking that one puts the following one in."""
        self._wanted: dict[Prefix, tuple[tuple[float, ...], float]] = {(): ((), 0.0)}
        self._by_text: dict[str, Found] = {}
        self._empty: Found | None = None

    def wanted(self) -> list[Prefix]:
        """The prefixes to look behind next; empty when the search is done."""
        if self._wanted:
            return list(self._wanted)
        enough = self._log_prob_to_beat()
        best = -self._open[0][0] if self._open else -math.inf
        if best <= enough:
            self.exact = True
            return []
        unsure = self.expanded > SURE + self.top
        room = min(self.limit - self.expanded, self.expanded if unsure else 2 * self.top + 2)
        while self._open and len(self._wanted) < room:
            minus_bound, prefix, parent, rank = self._open[0]
            # Each of the missing answers lies behind a prefix of its own, more often than not.
            unlikely = len(self._wanted) >= self.top and -minus_bound < best + LIKELY
            if -minus_bound <= enough or (unlikely and not unsure):
                break
            heapq.heappop(self._open)
            self._push(parent, rank + 1)
            self._wanted[prefix] = ((*parent.log_probs, parent.next_log_probs[rank]), -minus_bound)
        return list(self._wanted)

    def expand(
        self, prefix: Prefix, end_log_prob: float, next_tokens: Sequence[int], next_log_probs: Sequence[float]
    ) -> None:
        """Tells what can follow a wanted prefix.

        Args:
            prefix: One of `wanted`.
            end_log_prob: Log-probability that the answer ends here.
            next_tokens: Tokens that can follow, the most probable first, without the end. As many as there are
                expansions at most are enough: no more can be looked behind.
            next_log_probs: Theirs.
        """
        log_probs, log_prob = self._wanted.pop(prefix)
        self.expanded += 1
        text = self.text_of(prefix)
        found = Found(text, prefix, (*log_probs, end_log_prob), log_prob + end_log_prob)
        if not text:
            if self._empty is None or found.log_prob > self._empty.log_prob:
                self._empty = found
        elif text not in self._by_text or found.log_prob > self._by_text[text].log_prob:
            self._by_text[text] = found
        if len(prefix) < self.max_tokens:
            self._push(_Expanded(prefix, log_probs, log_prob, next_tokens, next_log_probs), 0)

    def found(self) -> list[Found]:
        """The best answers, the most probable first, at most `top`; never none."""
        best = sorted(self._by_text.values(), key=lambda found: (-found.log_prob, found.tokens))[: self.top]
        if not best and self._empty is not None:
            return [self._empty]
        return best

    def _push(self, parent: _Expanded, rank: int) -> None:
        if rank < len(parent.next_tokens) and parent.next_log_probs[rank] > -math.inf:
            bound = parent.log_prob + parent.next_log_probs[rank]
            heapq.heappush(self._open, (-bound, (*parent.tokens, parent.next_tokens[rank]), parent, rank))

    def _log_prob_to_beat(self) -> float:
        """The least probable of the answers that would be given now, or minus infinity where some are missing."""
        if len(self._by_text) < self.top:
            return -math.inf
        return heapq.nlargest(self.top, (found.log_prob for found in self._by_text.values()))[-1]
