"""Queries and responses as padded tensors."""

from __future__ import annotations

import pytest
import torch

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.batch import Batch

QUERIES = [[7, 8, 9], [5], [3, 4]]
RESPONSES = [[6, 1], [], [2, 3, 4, 1]]


def test_queries_are_padded_where_their_family_needs_it() -> None:
    encoder_decoder = Batch.of(QUERIES, RESPONSES, pad_id=0, end_id=1, start_tokens=1)
    assert encoder_decoder.query_ids.tolist() == [[7, 8, 9], [5, 0, 0], [3, 4, 0]]
    decoder_only = Batch.of(QUERIES, RESPONSES, pad_id=0, end_id=1)
    assert decoder_only.query_ids.tolist() == [[7, 8, 9], [0, 0, 5], [0, 3, 4]]
    assert decoder_only.query_mask.long().tolist() == [[1, 1, 1], [0, 0, 1], [0, 1, 1]]


def test_every_generated_token_counts_and_an_empty_response_is_one_end_of_sequence_token() -> None:
    batch = Batch.of(QUERIES, RESPONSES, pad_id=0, end_id=1)
    assert batch.response_ids.tolist() == [[6, 1, 0, 0], [1, 0, 0, 0], [2, 3, 4, 1]]
    assert batch.mask.long().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    assert torch.equal(batch.mask, batch.response_mask)


def test_a_mask_says_otherwise() -> None:
    batch = Batch.of(QUERIES, RESPONSES, pad_id=0, end_id=1, mask=[[0, 1], [1], [0, 1, 0, 1]])
    assert batch.mask.long().tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]]
    assert batch.response_mask.long().sum(dim=1).tolist() == [2, 1, 4]
    with pytest.raises(ValueError, match="response 2 has 4 tokens, its mask 1"):
        Batch.of(QUERIES, RESPONSES, pad_id=0, end_id=1, mask=[[1, 1], [1], [1]])


@pytest.mark.parametrize("start_tokens", [0, 1])
def test_some_samples_are_the_batch_that_they_alone_would_make(start_tokens: int) -> None:
    batch = Batch.of(QUERIES, RESPONSES, pad_id=0, end_id=1, start_tokens=start_tokens)
    some = batch.select(torch.tensor([1, 0]))
    alone = Batch.of(
        [QUERIES[1], QUERIES[0]], [RESPONSES[1], RESPONSES[0]], pad_id=0, end_id=1, start_tokens=start_tokens
    )
    for name in ("query_ids", "query_mask", "response_ids", "response_mask", "mask"):
        assert torch.equal(getattr(some, name), getattr(alone, name)), name
    assert [len(part) for _, part in batch.split(2)] == [2, 1]


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(LooptopError, match="query 1 of the batch is empty"):
        Batch.of([[1], []], [[1], [1]], pad_id=0, end_id=1)
