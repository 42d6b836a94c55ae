"""The VQA model (listing 7.2): DistilBERT reads the question, ViT the image, GPT-2 with cross-attention answers.

It is the book's class as a `PreTrainedModel`, with three corrections. States are averaged under the attention mask, so
that an answer does not depend on the other rows of its batch. The end of an answer is a target, so that the model
learns to stop. Cross-attention can attend to single states (`fusion="tokens"`), not only to one averaged vector.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.utils.generic import ModelOutput

from looptop.engine.config.vqa import Fusion
from looptop.engine.errors import LooptopError
from looptop.engine.models.weights import is_pooler, load_complete_model, load_part
from looptop.engine.text import visible
from looptop.engine.vqa.model.configuration import VqaConfig, frozen_parts, is_cross_attention
from looptop.engine.vqa.model.processing import IGNORED

ENCODERS = ("text_encoder", "image_encoder")
"""The parts that `freeze` freezes completely; a frozen decoder still trains its cross-attention."""


class NonFiniteError(LooptopError):
    """A tensor holds NaN or infinity; names the tensor, and the step once the trainer has added it."""

    def __init__(self, tensor_name: str, detail: str, step: int | None = None, *, in_fp32: bool = False) -> None:
        self.tensor_name = tensor_name
        self.detail = detail
        self.step = step
        at = "" if step is None else f" at step {step}"
        super().__init__(
            f"the tensor '{tensor_name}' holds {detail}{at}; check the data of that step, or lower the learning rate"
            f"{'' if in_fp32 else ' or use precision fp32'}"
        )


def check_finite(tensor: Tensor, name: str) -> None:
    """Refuses NaN and infinity.

    Raises:
        NonFiniteError: The tensor holds one; the error names the tensor.
    """
    # A sum is finite only if all its terms are: NaN and infinity never cancel. One pass gives one number.
    if not tensor.is_floating_point() or torch.isfinite(tensor.detach().float().sum()):
        return
    if torch.isnan(tensor).any():
        raise NonFiniteError(name, "NaN")
    if torch.isinf(tensor).any():
        raise NonFiniteError(name, "an infinite number")


def _width_of(config: Any, part: str) -> int:
    """The width of a part's states."""
    width = getattr(config, "hidden_size", None)
    if not isinstance(width, int):
        raise LooptopError(
            f"a model of the family '{visible(config.model_type)}' cannot be the {part}: it does not return one"
            " sequence of states of one width; name another model"
        )
    return width


@dataclass
class VqaOutput(ModelOutput):
    """The result of a forward pass.

    Attributes:
        loss: Mean cross-entropy over the labels that are not ignored, a scalar. Only with labels.
        logits: `[batch, answer length, vocabulary]`.
        cross_attentions: Per decoder layer `[batch, heads, answer length, memory length]`, if requested.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


class VqaModel(PreTrainedModel):
    """Answers a question about an image, one answer token after another."""

    config_class = VqaConfig
    base_model_prefix = "vqa"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    config: VqaConfig
    _mode: bool | None = None
    """The mode that `train` has set; None before the first call, and after `freeze`."""

    def __init__(self, config: VqaConfig) -> None:
        super().__init__(config)
        self.text_encoder = AutoModel.from_config(config.text_config, trust_remote_code=False)
        self.image_encoder = AutoModel.from_config(config.vision_config, trust_remote_code=False)
        self.decoder = AutoModelForCausalLM.from_config(config.decoder_config, trust_remote_code=False)
        width = _width_of(config.decoder_config, "decoder")
        self.text_projection = nn.Linear(_width_of(config.text_config, "text encoder"), width)
        self.image_projection = nn.Linear(_width_of(config.vision_config, "image encoder"), width)
        if getattr(self.decoder.config, "tie_word_embeddings", False):
            # The head is the embedding. Without this, Trainer warns that a checkpoint lacks it.
            self._keys_to_ignore_on_save = {"decoder.lm_head.weight"}
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        # The three parts initialise their own modules; only the projections are ours.
        ours = (getattr(self, "text_projection", None), getattr(self, "image_projection", None))
        if isinstance(module, nn.Linear) and module in ours:
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)

    @classmethod
    def from_parts(
        cls, text_encoder: str, image_encoder: str, decoder: str, fusion: Fusion = "mean", **load: Any
    ) -> VqaModel:
        """A model of three pretrained parts; projections and cross-attention start with random weights.

        Args:
            text_encoder: Hub name or local folder of the question's encoder.
            image_encoder: Hub name or local folder of the image's encoder.
            decoder: Hub name or local folder of the answer's decoder.
            fusion: `mean` or `tokens`, as in `VqaConfig`.
            **load: Passed to every `from_pretrained` (`local_files_only`, `dtype`, ...).

        Raises:
            LooptopError: A part's weights are damaged or incomplete, or its family cannot be used as this part.
            OSError: A part is neither on disk nor on the hub.
        """
        text = load_complete_model(AutoModel.from_pretrained, text_encoder, may_be_new=is_pooler, **load)
        image = load_complete_model(AutoModel.from_pretrained, image_encoder, may_be_new=is_pooler, **load)
        decoder_config = load_part(
            AutoConfig.from_pretrained,
            decoder,
            "the configuration in",
            local_files_only=load.get("local_files_only", False),
        )
        if getattr(decoder_config, "is_encoder_decoder", False):
            raise LooptopError(
                f"the decoder {visible(decoder)} is of the family '{visible(decoder_config.model_type)}' and has an"
                " encoder as well; name a plain decoder, such as a GPT-2"
            )
        decoder_config.add_cross_attention = True
        decoder_config.is_decoder = True
        answerer = load_complete_model(
            AutoModelForCausalLM.from_pretrained, decoder, may_be_new=is_cross_attention, config=decoder_config, **load
        )
        if not any(is_cross_attention(name) for name, _ in answerer.named_parameters()):
            raise LooptopError(
                f"the decoder {visible(decoder)} is of the family '{visible(answerer.config.model_type)}', which has no"
                " cross-attention: it could see neither question nor image; name a GPT-2"
            )
        model = cls(VqaConfig(text.config, image.config, answerer.config, fusion=fusion))
        model.text_encoder, model.image_encoder, model.decoder = text, image, answerer
        return model

    def save_pretrained(  # type: ignore[override]
        self, save_directory: str | os.PathLike[str], **kwargs: Any
    ) -> None:
        """Saves weights and configuration, with the names that the weights have in memory.

        transformers would save some with names of older versions. Trainer does not translate these when it reads a
        checkpoint: it would warn, and not load those weights.
        """
        kwargs.setdefault("save_original_format", False)
        super().save_pretrained(save_directory, **kwargs)

    # Freezing ---------------------------------------------------------------------------------------------------

    def freeze(self, names: str | Iterable[str]) -> None:
        """Freezes the named parts; everything else is trained.

        Args:
            names: One or several of `FREEZE_VALUES`. `decoder` and `all` leave the decoder's cross-attention and the
                two projections trainable: without them the model could not learn.

        Raises:
            LooptopError: A name is not one of `FREEZE_VALUES`.
        """
        frozen = frozen_parts(names)
        self._mode = None
        for parameter in self.parameters():
            parameter.requires_grad = True
        for part in ENCODERS:
            if part in frozen:
                getattr(self, part).requires_grad_(False)
        if "decoder" in frozen:
            for name, parameter in self.decoder.named_parameters():
                if not is_cross_attention(name):
                    parameter.requires_grad = False

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of the parts that are trained. A frozen encoder is always in evaluation mode.

        Without dropout it always returns the same features for an image or a question, so that kept features change
        nothing. Trainer sets the mode at every step; the frozen encoders are determined only when the mode changes,
        because going through all parameters takes a thirtieth of a step of the tiny preset.
        """
        if mode != self._mode:
            self._mode = self.training = mode
            for name, part in self.named_children():
                frozen = name in ENCODERS and not any(parameter.requires_grad for parameter in part.parameters())
                part.train(mode and not frozen)
        return self

    # Encoding ---------------------------------------------------------------------------------------------------

    def check_input(self, tensor: Tensor, name: str) -> None:
        """Refuses NaN and infinity.

        Raises:
            NonFiniteError: The tensor holds one; the error names the tensor.
        """
        check_finite(tensor, name)

    def image_states(self, pixel_values: Tensor) -> Tensor:
        """The image encoder's last states.

        Args:
            pixel_values: `[batch, channels, height, width]`, prepared by the image processor.

        Returns:
            `[batch, 1 + patches, image width]`, or their mean `[batch, 1, image width]` with `fusion="mean"`.
        """
        self.check_input(pixel_values, "pixel_values")
        states: Tensor = self.image_encoder(pixel_values).last_hidden_state
        return states.mean(dim=1, keepdim=True) if self.config.fusion == "mean" else states

    def text_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The text encoder's last states.

        Args:
            input_ids: `[batch, question length]`.
            attention_mask: The same shape, 1 where there is a token.

        Returns:
            `[batch, question length, text width]`, or their mean under the mask `[batch, 1, text width]` with
            `fusion="mean"`.
        """
        states: Tensor = self.text_encoder(input_ids, attention_mask=attention_mask).last_hidden_state
        if self.config.fusion == "tokens":
            return states
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def fuse(self, text_states: Tensor, image_states: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """The memory that the decoder's cross-attention attends to.

        Args:
            text_states: As `text_states` returns them.
            image_states: As `image_states` returns them.
            attention_mask: The question's, `[batch, question length]`.

        Returns:
            The memory `[batch, memory length, decoder width]` and its mask `[batch, memory length]`, or None if
            all of it counts.
        """
        self.check_input(text_states, "text features")
        self.check_input(image_states, "image features")
        text = self.text_projection(text_states)
        image = self.image_projection(image_states)
        if self.config.fusion == "mean":
            return (text + image) / 2, None
        mask = torch.cat([attention_mask, attention_mask.new_ones(image.shape[:2])], dim=1)
        return torch.cat([text, image], dim=1), mask

    def encode(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        text_features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Encodes question and image to memory; kept features of a frozen encoder replace its forward pass."""
        if text_features is None:
            if input_ids is None:
                raise ValueError("either input_ids or text_features is needed")
            text_features = self.text_states(input_ids, attention_mask)
        if image_features is None:
            if pixel_values is None:
                raise ValueError("either pixel_values or image_features is needed")
            image_features = self.image_states(pixel_values)
        return self.fuse(text_features, image_features, attention_mask)

    def decode(self, decoder_input_ids: Tensor, memory: Tensor, memory_mask: Tensor | None) -> Tensor:
        """The next token's logits after every token.

        Args:
            decoder_input_ids: `[batch, answer length]`, beginning with the begin-of-answer token.
            memory: `[batch, memory length, decoder width]`.
            memory_mask: `[batch, memory length]` or None.

        Returns:
            `[batch, answer length, vocabulary]`. Causal attention hides later positions, so padding at the end
            needs no mask.
        """
        out = self.decoder(
            input_ids=decoder_input_ids,
            encoder_hidden_states=memory,
            encoder_attention_mask=memory_mask,
            use_cache=False,
        )
        logits: Tensor = out.logits
        return logits

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        image_features: Tensor | None = None,
        text_features: Tensor | None = None,
        output_attentions: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> VqaOutput:
        """The loss of given answers, or the next token's logits after given beginnings of answers.

        Args:
            input_ids: `[batch, question length]`; not needed with `text_features`.
            attention_mask: The same shape, 1 where there is a token; all ones if left out.
            pixel_values: `[batch, channels, height, width]`; not needed with `image_features`.
            decoder_input_ids: `[batch, answer length]`: the begin token, then the answer so far.
            labels: `[batch, answer length]`: the token that should follow each of `decoder_input_ids` (already
                shifted), or `IGNORED`, as `answer_labels` returns them.
            image_features: What `image_states` returned for these images, kept from an earlier pass.
            text_features: What `text_states` returned for these questions, kept from an earlier pass.
            output_attentions: Also return the cross-attentions (needs `attn_implementation="eager"`).
            num_items_in_batch: The number of labels in the whole accumulated batch, from Trainer; the loss is then the
                sum over this part divided by it.

        Raises:
            NonFiniteError: NaN or infinity in the images, the features or the loss.
        """
        if attention_mask is None:
            if input_ids is None:
                raise ValueError("attention_mask is needed if there are no input_ids")
            attention_mask = torch.ones_like(input_ids)
        if decoder_input_ids is None:
            raise ValueError("decoder_input_ids is needed: begin with the begin-of-answer token")
        memory, memory_mask = self.encode(input_ids, attention_mask, pixel_values, image_features, text_features)
        out = self.decoder(
            input_ids=decoder_input_ids,
            encoder_hidden_states=memory,
            encoder_attention_mask=memory_mask,
            use_cache=False,
            output_attentions=output_attentions,
        )
        logits = out.logits
        loss = None
        if labels is not None:
            flat = logits.flatten(0, 1).float()
            if num_items_in_batch is None:
                loss = F.cross_entropy(flat, labels.flatten(), ignore_index=IGNORED)
            else:
                loss = F.cross_entropy(flat, labels.flatten(), ignore_index=IGNORED, reduction="sum")
                loss = loss / num_items_in_batch
            self.check_input(loss, "loss")
        return VqaOutput(loss=loss, logits=logits, cross_attentions=out.cross_attentions if output_attentions else None)
