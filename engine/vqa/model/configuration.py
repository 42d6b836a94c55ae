"""The VQA model's configuration: its three parts, how their states are fused, and what freezing a part means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transformers import AutoConfig, DistilBertConfig, GPT2Config, PreTrainedConfig, ViTConfig

from looptop.engine.config.vqa import FREEZE_VALUES, FUSIONS, Fusion
from looptop.engine.errors import LooptopError
from looptop.engine.text import visible


class VqaConfig(PreTrainedConfig):
    """The configurations of the three parts, and how their states are fused.

    Args:
        text_config: Configuration of the text encoder (DistilBERT by default).
        vision_config: Configuration of the image encoder (ViT by default).
        decoder_config: Configuration of the decoder; cross-attention is added to it.
        fusion: `mean`, as in the book: one vector, the average of the two mean states. `tokens`: the projected states
            of all text tokens and patches, one after another.
    """

    model_type = "looptop-vqa"
    sub_configs = {"text_config": AutoConfig, "vision_config": AutoConfig, "decoder_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        vision_config: PreTrainedConfig | dict[str, Any] | None = None,
        decoder_config: PreTrainedConfig | dict[str, Any] | None = None,
        fusion: Fusion = "mean",
        **kwargs: Any,
    ) -> None:
        if fusion not in FUSIONS:
            raise LooptopError(
                f"the model's config.json has the fusion '{visible(fusion)}'; it must be one of: {', '.join(FUSIONS)}"
            )
        self.text_config = _as_config(text_config, DistilBertConfig)
        self.vision_config = _as_config(vision_config, ViTConfig)
        self.decoder_config = _as_config(decoder_config, GPT2Config)
        self.decoder_config.add_cross_attention = True
        self.decoder_config.is_decoder = True
        self.decoder_config.use_cache = False
        if self.decoder_config.model_type == "gpt2":
            # Padding comes after an answer's end, where causal attention hides it. With a pad id, GPT-2 would search
            # for it in every pass (on a GPU: wait for the result) and warn. Others, such as RoBERTa, need the id to
            # count positions.
            self.decoder_config.pad_token_id = None
        self.fusion: Fusion = fusion
        # GPT-2 ties its embedding to its head inside the decoder; no weights are shared between the three parts.
        kwargs.setdefault("tie_word_embeddings", False)
        super().__init__(**kwargs)


def _as_config(value: PreTrainedConfig | dict[str, Any] | None, default: type[PreTrainedConfig]) -> PreTrainedConfig:
    if value is None:
        return default()
    if isinstance(value, dict):
        value = dict(value)
        return AutoConfig.for_model(value.pop("model_type", default.model_type), **value)
    return value


def frozen_parts(freeze: str | Iterable[str]) -> frozenset[str]:
    """The parts (`text_encoder`, `image_encoder`, `decoder`) that the values of `model.freeze` name.

    Raises:
        LooptopError: A value is not one of `FREEZE_VALUES`.
    """
    words = [freeze] if isinstance(freeze, str) else list(freeze)
    parts: set[str] = set()
    for word in words:
        if word not in FREEZE_VALUES:
            raise LooptopError(f"freeze is '{word}'; it must be one of: {', '.join(FREEZE_VALUES)}")
        if word in ("encoders", "all"):
            parts |= {"text_encoder", "image_encoder"}
        if word == "all":
            parts.add("decoder")
        if word in ("text_encoder", "image_encoder", "decoder"):
            parts.add(word)
    return frozenset(parts)


def is_cross_attention(name: str) -> bool:
    """Whether a decoder's weight belongs to cross-attention: new in a pretrained decoder, and never frozen."""
    return any(part in name for part in ("crossattention", "ln_cross_attn", "encoder_attn"))
