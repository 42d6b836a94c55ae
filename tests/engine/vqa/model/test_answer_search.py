"""The search for the most probable answers, against all answers listed one by one."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from looptop.engine.vqa.model.answer_search import Search, Tokens

END = 0
VOCABULARY = 5

Language = dict[Tokens, list[float]]


def language(seed: int, length: int, sharpness: float) -> Language:
    """Made-up probabilities of the next token behind every prefix of at most `length` tokens."""
    rng = random.Random(seed)
    prefixes = (prefix for n in range(length + 1) for prefix in itertools.product(range(1, VOCABULARY), repeat=n))
    made = {}
    for prefix in prefixes:
        weights = [rng.random() ** sharpness for _ in range(VOCABULARY)]
        made[prefix] = [weight / sum(weights) for weight in weights]
    return made


def run(search: Search, table: Language) -> int:
    """Answers the search from the language; returns how many prefixes it looked behind."""
    looked = 0
    while prefixes := search.take_prefixes():
        for prefix in prefixes:
            logs = [math.log(p) if p else -math.inf for p in table[prefix]]
            following = sorted((token for token in range(VOCABULARY) if token != END), key=lambda token: -logs[token])
            search.expand(prefix, logs[END], following, [logs[token] for token in following])
            looked += 1
    return looked


def all_answers(table: Language, length: int, text_of: Callable[[Tokens], str]) -> list[tuple[float, str]]:
    """(probability, text) of every answer, the most probable of each text, best first."""
    best: dict[str, float] = {}
    for prefix, following in table.items():
        if len(prefix) <= length and (text := text_of(prefix)):
            probability = math.prod(table[prefix[:n]][token] for n, token in enumerate(prefix)) * following[END]
            best[text] = max(best.get(text, 0.0), probability)
    return sorted(((probability, text) for text, probability in best.items()), reverse=True)


def letters(prefix: Tokens) -> str:
    return "".join("-abcd"[token] for token in prefix)


def case_blind(prefix: Tokens) -> str:
    """Tokens 1 and 2 spell the same, and 4 spells nothing."""
    return "".join("-aac "[token] for token in prefix).strip()


@pytest.mark.parametrize("text_of", [letters, case_blind])
@pytest.mark.parametrize("top", [1, 2, 5, 20])
@pytest.mark.parametrize("sharpness", [0.5, 2.0, 8.0])
def test_it_finds_exactly_the_most_probable_answers(
    top: int, sharpness: float, text_of: Callable[[Tokens], str]
) -> None:
    for seed in range(12):
        table = language(seed, length=4, sharpness=sharpness)
        search = Search(top, text_of, max_tokens=4, limit=10_000)
        run(search, table)
        expected = all_answers(table, 4, text_of)[:top]

        assert search.exact
        assert [result.text for result in search.results()] == [text for _, text in expected]
        for result, (probability, _) in zip(search.results(), expected, strict=True):
            assert math.exp(result.log_prob) == pytest.approx(probability, rel=1e-12)
            assert math.exp(math.fsum(result.log_probs)) == pytest.approx(probability, rel=1e-12)
            assert len(result.log_probs) == len(result.tokens) + 1
            for index, others in enumerate(search.other_tokens(result)):
                prefix, chosen = result.tokens[:index], (*result.tokens, END)[index]
                best = sorted(((p, token) for token, p in enumerate(table[prefix]) if token != chosen), reverse=True)[
                    :3
                ]
                assert [other.token or END for other in others] == [token for _, token in best]
                assert [math.exp(other.log_prob) for other in others] == pytest.approx([p for p, _ in best])
        assert sum(math.exp(result.log_prob) for result in search.results()) <= 1 + 1e-12


def test_it_is_not_misled_by_the_most_probable_first_token() -> None:
    table: Language = {
        (): [0.0, 0.6, 0.4, 0.0, 0.0],
        (1,): [0.3, 0.0, 0.35, 0.35, 0.0],
        (2,): [0.9, 0.1, 0.0, 0.0, 0.0],
        (1, 2): [1.0, 0, 0, 0, 0],
        (1, 3): [1.0, 0, 0, 0, 0],
        (2, 1): [1.0, 0, 0, 0, 0],
    }
    search = Search(3, letters, max_tokens=2)
    run(search, table)
    assert [result.text for result in search.results()] == ["b", "ab", "ac"]


def test_a_sure_model_is_looked_behind_few_prefixes() -> None:
    table = language(0, 3, 1.0)
    table[()] = [0.0, 0.99, 0.01, 0.0, 0.0]
    table[(1,)] = [0.99, 0.01, 0.0, 0.0, 0.0]
    assert run(Search(1, letters, max_tokens=3), table) == 2


def test_of_two_ways_to_write_an_answer_that_are_as_probable_the_first_counts() -> None:
    search = Search(2, case_blind, max_tokens=1)
    fair = [0.0, 0.25, 0.25, 0.25, 0.25]
    run(search, {(): fair} | {(token,): [1.0, 0.0, 0.0, 0.0, 0.0] for token in range(1, VOCABULARY)})
    assert [result.tokens for result in search.results()] == [(1,), (3,)]


def test_an_answer_is_not_empty_unless_nothing_else_is_possible() -> None:
    table = language(0, 3, 1.0)
    table[()] = [0.9, 0.1, 0.0, 0.0, 0.0]
    table[(1,)] = [1.0, 0.0, 0.0, 0.0, 0.0]
    search = Search(3, letters, max_tokens=3)
    run(search, table)
    (result,) = search.results()
    assert result.text == "a" and math.exp(result.log_prob) == pytest.approx(0.1)

    table[()] = [1.0, 0.0, 0.0, 0.0, 0.0]
    search = Search(3, letters, max_tokens=3)
    run(search, table)
    (result,) = search.results()
    assert result.text == "" and math.exp(result.log_prob) == pytest.approx(1.0)


def test_a_search_without_end_is_ended_with_what_it_has() -> None:
    fair = [1 / VOCABULARY] * VOCABULARY
    table = {prefix: fair for n in range(9) for prefix in itertools.product(range(1, VOCABULARY), repeat=n)}
    search = Search(100, letters, max_tokens=8, limit=120)
    assert run(search, table) == 120
    assert not search.exact
    results = search.results()
    assert len(results) == 100
    assert [one.log_prob for one in results] == sorted((one.log_prob for one in results), reverse=True)
