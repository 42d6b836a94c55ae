"""A language model with a value head: T5 (encoder-decoder) or GPT-2 (decoder-only).

A policy is the transformers model itself with one linear layer more, `v_head.summary`, on the decoder's last state. So
it generates, trains and is saved as any model; a saved folder also opens as a plain T5 or GPT-2 (the value head is
passed over), and a plain model's folder opens as a policy whose values begin at 0. Weights are named as TRL named them.

Load policies with `load_policy`: transformers 5 ties the head of a T5 that is built from a configuration to its
embeddings, whatever the configuration says.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from looptop.engine.compute.out_of_memory import is_out_of_memory
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.folder_check import check_model_files
from looptop.engine.models.names import adapted_from, whole_model
from looptop.engine.models.weights import load_part, load_whole
from looptop.engine.ppo import t5
from looptop.engine.ppo.logits import said_of_tokens
from looptop.engine.ppo.writers import GPT2Writer, ResponseWriter, T5CacheWriter, T5Writer
from looptop.engine.text import visible


class PolicyOutput(NamedTuple):
    """What a policy says of given responses; column t belongs to the response's t-th generated token.

    Attributes:
        logprobs: `[batch, response length]`, 0 where the response has no token.
        values: `[batch, response length]`, of the state before the token; 0 where the response has none.
        entropy: `[batch, response length]`, of the distribution that the token was drawn from, without gradient.
        log_distribution: Where asked for, `[tokens of all responses, vocabulary]`, row after row.
    """

    logprobs: Tensor
    values: Tensor
    entropy: Tensor
    log_distribution: Tensor | None = None


class ValueHead(nn.Module):
    """One linear layer, `[..., hidden size]` to `[...]`; untaught, it says 0."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.summary = nn.Linear(hidden_size, 1)
        self.reset()

    def reset(self) -> None:
        """Forgets what was learned."""
        nn.init.zeros_(self.summary.weight)
        nn.init.zeros_(self.summary.bias)

    def forward(self, states: Tensor) -> Tensor:
        """The value of each state."""
        values: Tensor = self.summary(states).squeeze(-1)
        return values


class PolicyMixin:
    """What policies of both families share; each family says how it gets its states and its logits."""

    start_tokens: ClassVar[int]
    """How many tokens the decoder is given to begin a response with."""
    v_head: ValueHead

    def response_states(
        self, query_ids: Tensor, query_mask: Tensor, response_ids: Tensor, response_mask: Tensor
    ) -> Tensor:
        """The decoder's last state before each token of the responses: `[batch, response length, hidden size]`."""
        raise NotImplementedError

    def writer(self, query_ids: Tensor, query_mask: Tensor) -> ResponseWriter:
        """Begins responses to queries, `[batch, query length]`, padded as `Batch` says."""
        raise NotImplementedError

    def logits(self, states: Tensor) -> Tensor:
        """The next token's logits: `[..., hidden size]` to `[..., vocabulary]`."""
        raise NotImplementedError

    def judge(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        response_ids: Tensor,
        response_mask: Tensor,
        return_distribution: bool = False,
    ) -> PolicyOutput:
        """Log-probabilities, values and entropies of given responses.

        Called through the model's `forward` (give it `response_ids`), so that wrappers of a model see it. The
        vocabulary's logits are computed only where a response has a token.

        Args:
            query_ids: `[batch, query length]`, padded as `Batch` says.
            query_mask: The same shape, true where there is a token.
            response_ids: `[batch, response length]`, the generated tokens alone, padded on the right.
            response_mask: The same shape, true where there is a token.
            return_distribution: Also return the log-probabilities of the whole vocabulary.
        """
        states = self.response_states(query_ids, query_mask, response_ids, response_mask)[response_mask]
        logits = self.logits(states)
        logprobs, entropies = said_of_tokens(logits, response_ids[response_mask])
        nothing = logprobs.new_zeros(response_ids.shape)
        return PolicyOutput(
            logprobs=nothing.masked_scatter(response_mask, logprobs),
            values=nothing.masked_scatter(response_mask, self.v_head(states).float()),
            entropy=nothing.masked_scatter(response_mask, entropies),
            log_distribution=logits.float().log_softmax(-1) if return_distribution else None,
        )

    def _init_weights(self, module: nn.Module) -> None:
        # Called for weights that a folder did not hold, and by the base class before there is a value head.
        if getattr(self, "v_head", None) is not None and module is self.v_head.summary:
            self.v_head.reset()
        else:
            super()._init_weights(module)  # type: ignore[misc]


class T5Policy(PolicyMixin, T5ForConditionalGeneration):
    """An encoder-decoder policy: the encoder reads the query, the decoder says the response."""

    start_tokens = 1

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.v_head = ValueHead(config.d_model)

    @functools.wraps(T5ForConditionalGeneration.forward)
    def forward(  # type: ignore[override]
        self, *args: Any, response_ids: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """The model's own forward pass or, given `response_ids`, what `judge` says of them."""
        if response_ids is None:
            return super().forward(*args, **kwargs)
        return _judged(self, response_ids, **kwargs)

    def response_states(
        self, query_ids: Tensor, query_mask: Tensor, response_ids: Tensor, response_mask: Tensor
    ) -> Tensor:
        """See `PolicyMixin`."""
        memory = self.encoder(input_ids=query_ids, attention_mask=query_mask).last_hidden_state
        start = torch.full_like(response_ids[:, :1], self.config.decoder_start_token_id)
        # Padding stands behind a response's end, where causal attention keeps it out: no mask is needed. The state of
        # the last token is not needed either; it is computed so that sums are made in the order in which TRL made them.
        states: Tensor = self.decoder(
            input_ids=torch.cat([start, response_ids], dim=1),
            encoder_hidden_states=memory,
            encoder_attention_mask=query_mask,
            use_cache=False,
        ).last_hidden_state
        return states[:, :-1]

    def writer(self, query_ids: Tensor, query_mask: Tensor) -> ResponseWriter:
        """See `PolicyMixin`."""
        chosen = T5Writer if t5.is_for(query_ids.device) else T5CacheWriter
        return chosen(self, query_ids, query_mask)

    def logits(self, states: Tensor) -> Tensor:
        """See `PolicyMixin`."""
        if self.config.scale_decoder_outputs:
            states = states * self.model_dim**-0.5
        logits: Tensor = self.lm_head(states)
        return logits


class GPT2Policy(PolicyMixin, GPT2LMHeadModel):
    """A decoder-only policy: the response goes on where the query ends."""

    start_tokens = 0

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.v_head = ValueHead(config.hidden_size)

    @functools.wraps(GPT2LMHeadModel.forward)
    def forward(  # type: ignore[override]
        self, *args: Any, response_ids: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """The model's own forward pass or, given `response_ids`, what `judge` says of them."""
        if response_ids is None:
            return super().forward(*args, **kwargs)
        return _judged(self, response_ids, **kwargs)

    def response_states(
        self, query_ids: Tensor, query_mask: Tensor, response_ids: Tensor, response_mask: Tensor
    ) -> Tensor:
        """See `PolicyMixin`."""
        mask = torch.cat([query_mask, response_mask], dim=1).long()
        states: Tensor = self.transformer(
            torch.cat([query_ids, response_ids], dim=1),
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            use_cache=False,
        ).last_hidden_state
        # The state before the first token is that of the query's last one.
        return states[:, query_ids.shape[1] - 1 : -1]

    def writer(self, query_ids: Tensor, query_mask: Tensor) -> ResponseWriter:
        """See `PolicyMixin`."""
        return GPT2Writer(self, query_ids, query_mask)

    def logits(self, states: Tensor) -> Tensor:
        """See `PolicyMixin`."""
        logits: Tensor = self.lm_head(states)
        return logits


def _judged(
    policy: PolicyMixin,
    response_ids: Tensor,
    input_ids: Tensor,
    attention_mask: Tensor,
    response_mask: Tensor,
    return_distribution: bool = False,
    **_: Any,
) -> PolicyOutput:
    # Wrappers (peft) add arguments of their own with nothing in them.
    return policy.judge(input_ids, attention_mask, response_ids, response_mask, return_distribution)


Policy: TypeAlias = T5Policy | GPT2Policy

POLICIES: dict[str, type[T5Policy] | type[GPT2Policy]] = {"t5": T5Policy, "gpt2": GPT2Policy}
"""Model type, as configurations name it, to policy."""


def load_policy(source: str | os.PathLike[str], device: torch.device | str = "cpu", **load: Any) -> Policy:
    """A policy from a saved policy or a plain model, on the device that it will compute on.

    On a processor a T5's inner parts are this package's (`looptop.engine.ppo.t5`); naming an `attn_implementation`
    leaves transformers' own, which make each sum in the order in which TRL made it. On a GPU it is transformers' T5.

    Args:
        source: Hub name or local folder; one of adapters alone stands for their model with the adapters merged in.
        device: Where the policy will compute.
        **load: Passed to `from_pretrained` (`local_files_only`, `dtype`, `attn_implementation`, ...).

    Raises:
        LooptopError: The model is of another family, or its weights are damaged or not all there.
        OSError: It is neither on disk nor to be had from the hub.
    """
    base = adapted_from(source)
    if base is not None:
        check_model_files(source, weights=True)
        whole_model(base)
        return _with_adapters(load_policy(base, device, **load), Path(source))
    config = load_part(
        AutoConfig.from_pretrained,
        source,
        "the configuration in",
        local_files_only=load.get("local_files_only", False),
    )
    if config.model_type not in POLICIES:
        raise LooptopError(
            f"'{visible(source)}' is of type '{visible(config.model_type)}';"
            f" a policy must be one of: {', '.join(sorted(POLICIES))}"
        )
    policy: Policy = load_whole(
        POLICIES[config.model_type].from_pretrained, source, new=lambda name: name.startswith("v_head."), **load
    )
    policy.to(device)  # type: ignore[arg-type]  # a decorator of theirs hides the signature
    if isinstance(policy, T5Policy) and t5.is_for(device) and "attn_implementation" not in load:
        t5.quicken(policy)
    return policy


def _with_adapters(policy: Policy, folder: Path) -> Policy:
    """A policy with the adapters of a folder merged into it."""
    try:
        from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    except ImportError:
        raise LooptopError(
            f"{visible(folder)} holds adapters, and that needs peft; install it with `pip install peft`"
        ) from None
    try:
        adapted: Any = get_peft_model(policy, LoraConfig.from_pretrained(str(folder)))
        weights = load_file(folder / "adapter_model.safetensors")
        read: Any = set_peft_model_state_dict(adapted, weights)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # peft, safetensors and json each have exceptions of their own for a damaged file.
        raise LooptopError(f"the adapters in {visible(folder)} cannot be loaded: {error_text(error)}") from error
    own = [name for name in read.missing_keys if "lora_" in name or "modules_to_save" in name]
    if wrong := [*own, *read.unexpected_keys]:
        raise LooptopError(
            f"the adapters in {visible(folder)} are not whole or belong to another model, see {visible(wrong[0])}"
        )
    merged: Policy = adapted.merge_and_unload().requires_grad_(True)
    merged.name_or_path = str(folder)
    return merged
