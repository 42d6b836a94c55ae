"""The fast kernels of the decoder compute the same as transformers': values, gradients, and token by token."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from looptop.engine.vqa.model.fast_gpt2 import ATTENTION, use_fast_kernels

MEMORY_SEEN = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 1]])


@pytest.fixture
def both() -> tuple[GPT2LMHeadModel, GPT2LMHeadModel]:
    """The same decoder twice: with transformers' eager kernels, and with the fast ones."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=30, n_embd=24, n_layer=2, n_head=3, add_cross_attention=True, resid_pdrop=0.0,
                        embd_pdrop=0.0, attn_pdrop=0.0)  # fmt: skip
    theirs = GPT2LMHeadModel(config)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = copy.deepcopy(theirs)
    theirs.set_attn_implementation("eager")
    use_fast_kernels(ours)
    assert ours.config._attn_implementation == ATTENTION != theirs.config._attn_implementation
    return theirs, ours


def logits(model: GPT2LMHeadModel, ids: Tensor, memory: Tensor, seen: Tensor | None) -> Tensor:
    out = model(input_ids=ids, encoder_hidden_states=memory, encoder_attention_mask=seen, use_cache=False)
    logits: Tensor = out.logits
    return logits


@pytest.mark.parametrize("length", [1, 2, 6])
@pytest.mark.parametrize("seen", [None, MEMORY_SEEN], ids=["one memory state or all", "padded questions"])
def test_values_and_gradients_are_those_of_transformers_own(
    both: tuple[GPT2LMHeadModel, GPT2LMHeadModel], length: int, seen: Tensor | None
) -> None:
    ids, memory = torch.randint(0, 30, (3, length)), torch.randn(3, 4, 24)
    gradients = []
    for model in both:
        logits(model, ids, memory, seen).logsumexp(-1).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(logits(both[1], ids, memory, seen), logits(both[0], ids, memory, seen))
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-4)


def test_a_later_token_changes_no_earlier_one_and_hidden_memory_changes_nothing(
    both: tuple[GPT2LMHeadModel, GPT2LMHeadModel],
) -> None:
    model = both[1]
    ids, memory = torch.randint(0, 30, (3, 5)), torch.randn(3, 4, 24)
    before = logits(model, ids, memory, MEMORY_SEEN)
    changed_ids, changed_memory = ids.clone(), memory + (1 - MEMORY_SEEN).unsqueeze(-1) * 9.0
    changed_ids[:, 4] = (ids[:, 4] + 1) % 30
    after = logits(model, changed_ids, changed_memory, MEMORY_SEEN)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4], before[:, 4])


def test_token_by_token_with_a_cache_is_the_whole_at_once(both: tuple[GPT2LMHeadModel, GPT2LMHeadModel]) -> None:
    model = both[1].eval()
    ids, memory = torch.randint(0, 30, (3, 5)), torch.randn(3, 4, 24)
    first = model(input_ids=ids[:, :2], encoder_hidden_states=memory, use_cache=True)
    rest = model(
        input_ids=ids[:, 2:], encoder_hidden_states=memory, past_key_values=first.past_key_values, use_cache=True
    )
    torch.testing.assert_close(
        torch.cat([first.logits, rest.logits], dim=1), logits(model, ids, memory, None), atol=1e-4, rtol=1e-4
    )


def test_a_decoder_that_is_not_on_a_processor_is_left_as_it_is() -> None:
    decoder = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=24, n_layer=1, n_head=3)).to("meta")  # type: ignore[arg-type]
    before = decoder.config._attn_implementation
    use_fast_kernels(decoder)
    assert decoder.config._attn_implementation == before != ATTENTION
    assert not any(isinstance(part, torch.nn.GELU) for part in decoder.modules())
