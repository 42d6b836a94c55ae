"""T5's fast kernels give transformers' outputs and gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.fast_t5 import ATTENTION, FastT5Decoder, FeedForward, Norm
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.policy import Policy, T5Decoder, T5Policy
from tests.engine.ppo.golden import END, PAD, lay_out, load

QUERIES = [[7, 8, 9, 1], [20, 21, 1], [30, 31, 32, 33, 34, 1]]
RESPONSES = [[5, 6, 1], [11, 1], [40, 41, 42, 43, 44]]


@pytest.fixture
def models() -> tuple[Policy, Policy]:
    """The same weights with fast kernels and with transformers' own."""
    plain, fast = load("policy_before"), load("policy_before", "fast")
    assert {type(part) for part in fast.modules()} >= {Norm, FeedForward}
    assert not {type(part) for part in plain.modules()} & {Norm, FeedForward}
    return fast.train(False), plain.train(False)


def gradients(policy: Policy, queries: list[list[int]], bf16: bool = False) -> dict[str, torch.Tensor]:
    """The outputs for responses, and their gradients."""
    batch = Batch.of(queries, RESPONSES, pad_id=PAD, end_id=END, start_tokens=1)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = policy(**batch.model_inputs())
    (output.logprobs.sum() + output.values.square().sum()).backward()
    outputs = {"logprobs": output.logprobs.detach(), "values": output.values.detach(), "entropy": output.entropy}
    return outputs | {name: weight.grad for name, weight in policy.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("queries", [QUERIES, [QUERIES[0]] * 3], ids=["padded", "not padded"])
def test_outputs_and_gradients_are_transformers(models: tuple[Policy, Policy], queries: list[list[int]]) -> None:
    fast, plain = (gradients(model, queries) for model in models)
    assert fast.keys() == plain.keys()
    for name, wanted in plain.items():
        allowed = 1e-5 * max(1.0, wanted.abs().max().item())
        assert (fast[name] - wanted).abs().max().item() < allowed, name


def test_in_bf16_they_stray_no_further_than_transformers_own(models: tuple[Policy, Policy]) -> None:
    exact = gradients(models[1], QUERIES)
    models[1].zero_grad()
    fast, plain = (gradients(model, QUERIES, bf16=True) for model in models)
    for name, wanted in exact.items():
        ours, theirs = ((each[name] - wanted).norm().item() for each in (fast, plain))
        assert ours <= 1.5 * theirs + 0.01 * wanted.norm().item(), name


def test_they_are_saved_as_transformers_own(models: tuple[Policy, Policy], tmp_path: Path) -> None:
    fast, plain = models
    fast.save_pretrained(tmp_path / "saved")
    again = T5Policy.from_pretrained(tmp_path / "saved", attn_implementation="eager")
    assert again.config.to_dict().keys() == plain.config.to_dict().keys()
    weights = again.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in plain.state_dict().items())
    assert again.config.dense_act_fn == plain.config.dense_act_fn


@pytest.mark.parametrize("device", ["meta", torch.device("meta")])
def test_on_another_device_than_a_processor_a_t5_is_transformers_own(
    tmp_path: Path, device: torch.device | str
) -> None:
    folder = lay_out("policy_before", tmp_path)
    policy = load_policy(folder, device)
    assert {weight.device.type for weight in policy.parameters()} == {"meta"}
    assert {type(part).__module__.partition(".")[0] for part in policy.encoder.modules()} == {"torch", "transformers"}  # type: ignore[union-attr]
    assert {type(part).__module__.partition(".")[0] for part in policy.decoder.modules()} == {"torch", "transformers"}  # type: ignore[union-attr]
    assert policy.config._attn_implementation == "sdpa"
    processor = load_policy(folder, "cpu")
    assert processor.config._attn_implementation == ATTENTION
    assert {weight.device.type for weight in processor.parameters()} == {"cpu"}


def test_the_kernels_are_chosen_by_the_configuration_and_never_fast_off_a_processor(tmp_path: Path) -> None:
    folder = lay_out("policy_before", tmp_path)
    for kernels, device, fast in (
        ("fast", "cpu", True),
        ("transformers", "cpu", False),
        ("fast", "meta", False),
        ("transformers", "meta", False),
    ):
        policy = load_policy(folder, device, kernels)  # type: ignore[arg-type]
        assert any(isinstance(part, Norm | FeedForward) for part in policy.modules()) is fast
        ids = torch.ones(2, 3, dtype=torch.long, device=device)
        decoder = policy.start_decoding(ids, ids.bool()) if device == "cpu" else None
        assert decoder is None or type(decoder) is (FastT5Decoder if fast else T5Decoder)
