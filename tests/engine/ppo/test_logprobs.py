"""Tokens' log-probabilities, entropies and gradients are torch's own, however many rows are taken at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.ppo import policy as module
from looptop.engine.ppo.policy import logprobs_and_entropies


@given(st.integers(0, 9), st.integers(2, 40), st.integers(1, 100), st.integers(0, 2**32), st.sampled_from([1.0, 30.0]))
def test_they_are_torchs_own(tokens: int, vocabulary: int, numbers_per_chunk: int, seed: int, spread: float) -> None:
    source = torch.Generator().manual_seed(seed)
    logits = (spread * torch.randn(tokens, vocabulary, generator=source)).requires_grad_()
    ids = torch.randint(vocabulary, (tokens,), generator=source)
    weights = torch.randn(tokens, generator=source)
    distribution = logits.double().log_softmax(-1)
    exact = distribution[torch.arange(tokens), ids]
    (wanted,) = torch.autograd.grad((exact * weights).sum(), logits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "NUMBERS_PER_CHUNK", numbers_per_chunk)
        logprobs, entropies = logprobs_and_entropies(logits, ids)
        (gradient,) = torch.autograd.grad((logprobs * weights).sum(), logits)
        with torch.no_grad():
            again = logprobs_and_entropies(logits, ids)

    close = {"atol": 1e-5, "rtol": 1e-5, "check_dtype": False}
    torch.testing.assert_close(logprobs, exact, **close)  # type: ignore[arg-type]
    torch.testing.assert_close(entropies, torch.special.entr(distribution.exp()).sum(-1), **close)  # type: ignore[arg-type]
    torch.testing.assert_close(gradient, wanted, **close)  # type: ignore[arg-type]
    assert not entropies.requires_grad
    assert torch.equal(again[0], logprobs) and torch.equal(again[1], entropies)


def test_in_bf16_it_is_the_logits_that_are_rounded_and_nothing_else() -> None:
    logits = torch.randn(5, 300, dtype=torch.bfloat16).requires_grad_()
    ids = torch.arange(5)
    logprobs, _ = logprobs_and_entropies(logits, ids)
    logprobs.sum().backward()
    wide = logits.detach().float().requires_grad_()
    wanted = wide.log_softmax(-1)[torch.arange(5), ids]
    wanted.sum().backward()
    torch.testing.assert_close(logprobs, wanted, atol=1e-6, rtol=1e-6)
    assert logits.grad is not None and wide.grad is not None
    torch.testing.assert_close(logits.grad, wide.grad.bfloat16())
