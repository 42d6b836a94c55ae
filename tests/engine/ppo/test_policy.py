"""T5 and GPT-2 with a value head: loading, saving, generating, and what they say of responses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, DistilBertConfig, GPT2Config, GPT2LMHeadModel

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.policy import GPT2Policy, Policy, T5Policy
from tests.engine.ppo.golden import END, GOLDEN, PAD, load

QUERIES = [[7, 8, 9, 1], [20, 21, 1], [30, 31, 32, 33, 34, 1]]
RESPONSES = [[5, 6, 1], [11, 1], [40, 41, 42, 43, 44]]
FAMILIES = {"policy_before": T5Policy, "gpt2_policy_before": GPT2Policy}


@pytest.fixture(params=FAMILIES)
def policy(request: pytest.FixtureRequest) -> Policy:
    return load(request.param)


def batch(policy: Policy, queries: list[list[int]] = QUERIES, responses: list[list[int]] = RESPONSES) -> Batch:
    return Batch.of(queries, responses, pad_id=PAD, end_id=END, start_tokens=policy.start_tokens)


@torch.no_grad()
def test_it_says_what_the_plain_model_says_of_one_sample_alone(policy: Policy) -> None:
    together = policy(**batch(policy).model_inputs(), return_distribution=True)
    distributions = iter(together.log_distribution.split([len(response) for response in RESPONSES]))
    for row, (query, response) in enumerate(zip(QUERIES, RESPONSES, strict=True)):
        if policy.config.is_encoder_decoder:
            given = torch.tensor([[PAD, *response]])
            out = policy(torch.tensor([query]), decoder_input_ids=given, output_hidden_states=True)
            logits, states = out.logits[0, :-1], out.decoder_hidden_states[-1][0, :-1]
        else:
            out = policy(torch.tensor([query + response]), output_hidden_states=True)
            logits, states = out.logits[0, len(query) - 1 : -1], out.hidden_states[-1][0, len(query) - 1 : -1]
        log_distribution = logits.log_softmax(-1)
        length = len(response)
        torch.testing.assert_close(next(distributions), log_distribution, atol=1e-5, rtol=1e-5)
        alone = log_distribution.gather(1, torch.tensor(response).unsqueeze(1)).squeeze(1)
        torch.testing.assert_close(together.logprobs[row, :length], alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.values[row, :length], policy.v_head(states), atol=1e-5, rtol=1e-5)
        entropy = -(log_distribution.exp() * log_distribution).sum(-1)
        torch.testing.assert_close(together.entropy[row, :length], entropy, atol=1e-5, rtol=1e-5)
        for part in (together.logprobs, together.values, together.entropy):
            assert not part[row, length:].any()


@torch.no_grad()
def test_a_sample_gets_the_same_numbers_in_any_company(policy: Policy) -> None:
    together = policy(**batch(policy).model_inputs())
    for row in range(len(QUERIES)):
        alone = policy(**batch(policy, [QUERIES[row]], [RESPONSES[row]]).model_inputs())
        for ours, theirs in zip(alone[:3], together[:3], strict=True):
            torch.testing.assert_close(ours[0], theirs[row, : ours.shape[1]], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_saved_policy_opens_as_a_policy_and_as_a_plain_model(policy: Policy, tmp_path: Path) -> None:
    policy.save_pretrained(tmp_path / "saved")
    again = load_policy(tmp_path / "saved", kernels="transformers", attn_implementation="eager")
    assert type(again) is type(policy)
    saved = again.state_dict()
    assert all(torch.equal(saved[name], weight) for name, weight in policy.state_dict().items())
    inputs = batch(policy).model_inputs()
    # Not to the last bit: how a loaded weight lies in memory changes the order of a sum.
    for ours, theirs in zip(again(**inputs)[:3], policy(**inputs)[:3], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    seq2seq = policy.config.is_encoder_decoder
    plain = (AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM).from_pretrained(tmp_path / "saved")
    weights = plain.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in policy.state_dict().items() if name in weights)
    assert policy.state_dict().keys() - weights.keys() == {"v_head.summary.weight", "v_head.summary.bias"}


def test_a_plain_models_folder_opens_as_a_policy_whose_values_are_0(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=32)).save_pretrained(tmp_path)
    policy = load_policy(str(tmp_path)).train(False)
    out = policy(**batch(policy).model_inputs())
    assert not out.values.any()
    assert out.logprobs.any()


def test_a_t5s_own_head_is_not_tied_to_its_embeddings() -> None:
    policy = load("policy_before")
    assert policy.lm_head.weight is not policy.shared.weight  # type: ignore[union-attr]
    assert not torch.equal(policy.lm_head.weight, policy.shared.weight)  # type: ignore[arg-type, union-attr]


@torch.no_grad()
def test_it_generates_as_the_plain_model_does(policy: Policy, tmp_path: Path) -> None:
    policy.save_pretrained(tmp_path / "saved")
    seq2seq = policy.config.is_encoder_decoder
    plain = (AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM).from_pretrained(tmp_path / "saved")
    inputs = batch(policy)
    asked = {"input_ids": inputs.query_ids, "attention_mask": inputs.query_mask.long()}
    asked |= {"max_new_tokens": 6, "do_sample": False, "pad_token_id": PAD}  # type: ignore[dict-item]
    assert torch.equal(policy.generate(**asked), plain.eval().generate(**asked))  # type: ignore[arg-type, misc]


def test_gradients_reach_every_weight(policy: Policy) -> None:
    out = policy(**batch(policy).model_inputs())
    (out.logprobs.sum() + out.values.sum()).backward()
    assert not out.entropy.requires_grad
    assert [name for name, weight in policy.named_parameters() if weight.grad is None] == []


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    DistilBertConfig().save_pretrained(tmp_path)
    with pytest.raises(LooptopError, match="'distilbert'; a policy must be one of: gpt2, t5"):
        load_policy(tmp_path)


def test_the_recordings_hold_a_value_head() -> None:
    assert (GOLDEN / "policy_before.safetensors").is_file()
    assert load("policy_before").v_head.summary.weight.any()
