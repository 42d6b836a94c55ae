"""Responses are drawn from the model itself, the same ones again in any company, with the outputs for each token."""

from __future__ import annotations

import pytest
import torch

from looptop.engine.config.ppo import GenerationConfig
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.policy import Policy
from looptop.engine.ppo.rollout import HELD_OUT, TRAINING, uniforms, write
from tests.engine.ppo.golden import END, PAD, load

QUERIES = [[7, 8, 9, 1], [20, 21, 1], [30, 31, 32, 33, 34, 1], [7, 1], [9, 9, 9, 9, 1]]
PLAIN = GenerationConfig(max_new_tokens=9)


@pytest.fixture(params=["", "gpt2_", "fast "])
def policy(request: pytest.FixtureRequest) -> Policy:
    family = str(request.param)
    return load("policy_before", "fast") if family == "fast " else load(f"{family}policy_before")


def written(policy: Policy, rows: list[int], settings: GenerationConfig = PLAIN, step: int = 3) -> list[list[int]]:
    numbers = uniforms(1, TRAINING, step, rows, settings.max_new_tokens)
    return write(policy, [QUERIES[row] for row in rows], numbers, settings, pad_id=PAD, end_id=END).ids


def test_a_response_is_the_same_alone_and_in_any_batch(policy: Policy) -> None:
    together = written(policy, [0, 1, 2, 3, 4])
    assert together == [written(policy, [row])[0] for row in range(5)]
    assert together == written(policy, [4, 3, 2, 1, 0])[::-1]
    assert together != written(policy, [0, 1, 2, 3, 4], step=4)


def test_the_outputs_while_writing_are_those_of_a_second_pass(policy: Policy) -> None:
    numbers = uniforms(1, TRAINING, 3, range(5), 9)
    responses = write(policy, QUERIES, numbers, PLAIN, pad_id=PAD, end_id=END)
    batch = Batch.of(QUERIES, responses.ids, pad_id=PAD, end_id=END, start_tokens=policy.start_tokens)
    with torch.no_grad():
        read = policy.train(False)(**batch.model_inputs())
    assert responses.output is not None
    for ours, theirs in zip(responses.output[:3], read[:3], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_every_token_is_drawn_as_often_as_the_model_says(policy: Policy) -> None:
    """Over a thousand evenly spaced numbers, each token comes up a thousand times its probability, to within one."""
    count = 1000
    numbers = ((torch.arange(count, dtype=torch.float64) + 0.5) / count).unsqueeze(1)
    once = GenerationConfig(max_new_tokens=1)
    responses = write(policy, [QUERIES[0]] * count, numbers, once, pad_id=PAD, end_id=END)
    drawn = torch.bincount(torch.tensor([row[0] for row in responses.ids]), minlength=policy.config.vocab_size)
    batch = Batch.of([QUERIES[0]], [[5]], pad_id=PAD, end_id=END, start_tokens=policy.start_tokens)
    with torch.no_grad():
        output = policy.train(False)(**batch.model_inputs(), return_distribution=True)
    assert (drawn - count * output.log_distribution[0].exp()).abs().max() <= 1.01


def test_a_response_ends_with_its_first_end_token_or_is_cut(policy: Policy) -> None:
    with torch.no_grad():
        policy.lm_head.weight[END] += 0.5 * policy.lm_head.weight.std()
    rows = list(range(5))
    numbers = torch.cat([uniforms(2, TRAINING, step, rows, 6) for step in range(40)])
    settings = GenerationConfig(max_new_tokens=6)
    responses = write(policy, QUERIES * 40, numbers, settings, pad_id=PAD, end_id=END)
    assert {True, False} == set(responses.ended)
    for ids, ended in zip(responses.ids, responses.ended, strict=True):
        assert 1 <= len(ids) <= 6
        assert END not in ids[:-1]
        assert ended == (ids[-1] == END)
        assert ended or len(ids) == 6


def test_an_empty_response_is_one_end_token(policy: Policy) -> None:
    numbers = torch.full((1, 4), 0.5, dtype=torch.float64)
    with torch.no_grad():
        policy.lm_head.weight.zero_()
        policy.lm_head.weight[END] = 1e3 * torch.randn(policy.lm_head.weight.shape[1])
        for seed in range(20):
            torch.manual_seed(seed)
            policy.lm_head.weight[END] = 1e3 * torch.randn(policy.lm_head.weight.shape[1])
            written = write(policy, [QUERIES[0]], numbers, GenerationConfig(max_new_tokens=4), pad_id=PAD, end_id=END)
            if written.ids == [[END]]:
                break
    assert written.ids == [[END]]
    assert written.ended == [True]


def test_other_ways_of_writing_are_transformers_own_and_disturb_no_random_numbers(policy: Policy) -> None:
    settings = GenerationConfig(max_new_tokens=8, min_new_tokens=5, top_k=3)
    assert settings.sampling_changes() == ["min_new_tokens = 5", "top_k = 3"]
    before = torch.random.get_rng_state()
    first = written(policy, [0, 1, 2], settings)
    assert first == written(policy, [0, 1, 2], settings)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(len(ids) > 5 for ids in first)
    beams = GenerationConfig(max_new_tokens=5, num_beams=2)
    assert written(policy, [0], beams) == written(policy, [0], beams, step=9)


def test_each_purpose_and_row_has_numbers_of_its_own() -> None:
    drawn = [
        uniforms(1, purpose, step, [row], 4) for purpose in (TRAINING, HELD_OUT) for step in (1, 2) for row in (0, 1)
    ]
    assert len({tuple(numbers.flatten().tolist()) for numbers in drawn}) == 8
    assert torch.equal(uniforms(1, TRAINING, 1, [0, 1], 4), torch.cat([drawn[0], drawn[1]]))
