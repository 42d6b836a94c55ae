"""The two decoders of a T5, the fast one and transformers' own, give the same tokens and outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from looptop.engine.ppo.batch import pad_queries
from looptop.engine.ppo.fast_t5 import FastT5Decoder
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.policy import IncrementalDecoder, T5Decoder, T5Policy
from looptop.engine.ppo.rollout import TRAINING, Responses, sample, uniforms
from tests.engine.ppo.golden import END, PAD, lay_out

PADDED = [[7, 8, 9, 1], [20, 21, 1], [30, 31, 32, 33, 34, 1], [7, 1]]
EQUAL = [[7, 8, 9, 1], [20, 21, 22, 1], [30, 31, 32, 1], [7, 7, 7, 1]]
LENGTH = 24

queries = pytest.mark.parametrize("queries", [PADDED, EQUAL], ids=["padded", "not padded"])


@pytest.fixture(params=["eager", "sdpa", "fast"])
def policy(request: pytest.FixtureRequest, tmp_path: Path) -> T5Policy:
    folder = lay_out("policy_before", tmp_path)
    options = {} if request.param == "fast" else {"attn_implementation": request.param, "kernels": "transformers"}
    loaded = load_policy(folder, **options)
    assert isinstance(loaded, T5Policy)
    return loaded.train(False)  # type: ignore[no-any-return]


def written(policy: T5Policy, query_ids: Tensor, query_mask: Tensor) -> Responses:
    numbers = uniforms(1, TRAINING, 3, range(len(query_ids)), LENGTH)
    return sample(policy, query_ids, query_mask, numbers, END)


@queries
def test_both_write_the_same_tokens_and_numbers(policy: T5Policy, queries: list[list[int]]) -> None:
    query_ids, query_mask = pad_queries(queries, PAD, left=False)
    policy.decoder_type = FastT5Decoder
    ours = written(policy, query_ids, query_mask)
    policy.decoder_type = T5Decoder
    theirs = written(policy, query_ids, query_mask)
    assert theirs.ids == ours.ids and theirs.ended == ours.ended
    assert max(map(len, ours.ids)) > 4
    assert ours.output is not None and theirs.output is not None
    for mine, other in zip(ours.output[:3], theirs.output[:3], strict=True):
        torch.testing.assert_close(other, mine, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def outputs(policy: T5Policy, decoder: IncrementalDecoder, tokens: Tensor) -> Tensor:
    """Log-probabilities and value before each given token, `[batch, tokens, vocabulary + 1]`."""
    columns = []
    for last in [None, *tokens.T[:-1]]:
        states = decoder.next_states(last)
        logprobs, value = policy.logits(states).float().log_softmax(-1), policy.v_head(states).float()
        columns.append(torch.cat([logprobs, value.unsqueeze(1)], dim=1))
    return torch.stack(columns, dim=1)


@queries
def test_in_bf16_both_are_as_near_to_fp32(policy: T5Policy, queries: list[list[int]]) -> None:
    query_ids, query_mask = pad_queries(queries, PAD, left=False)
    tokens = torch.randint(2, policy.config.vocab_size, (len(queries), LENGTH), generator=torch.Generator())
    errors = []
    with torch.no_grad():
        exact = outputs(policy, FastT5Decoder(policy, query_ids, query_mask), tokens)
        for kind in (FastT5Decoder, T5Decoder):
            with torch.autocast("cpu", torch.bfloat16):
                rounded = outputs(policy, kind(policy, query_ids, query_mask), tokens)
            errors.append((rounded - exact).norm().item())
    # bf16 has 8 bits: a relative error of 2**-9 in every number, of which an output sums up many.
    assert min(errors) > 0 and max(errors) < 0.02 * exact.norm().item()
    assert max(errors) < 2 * min(errors)
