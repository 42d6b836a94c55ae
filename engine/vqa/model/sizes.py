"""Counts the weights of a VQA run's model before it is loaded, for `engine.models.memory`."""

from __future__ import annotations

from torch import nn
from transformers import AutoConfig

from looptop.engine.config.vqa import ModelConfig
from looptop.engine.models.memory import ModelSize, build_empty, size_of
from looptop.engine.models.weights import is_pooler, load_part
from looptop.engine.vqa.model.configuration import VqaConfig, frozen_parts
from looptop.engine.vqa.model.processing import resolve
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.model.vqa_model import VqaModel


def vqa_sizes(model: ModelConfig, copies: int = 1) -> list[ModelSize]:
    """The sizes of the model's three parts and of the projections between them.

    Args:
        model: The model section of the run's configuration.
        copies: The number of processes that hold the model in the same memory.
    """
    whole = model.start_from
    built = build_empty(whole or "the VQA model", lambda: build_from_configuration(model))
    if built is None:
        return []
    parts: dict[str, nn.Module] = {
        f"the text encoder {f'of {whole}' if whole else model.text_encoder}": built.text_encoder,
        f"the image encoder {f'of {whole}' if whole else model.image_encoder}": built.image_encoder,
        f"the decoder {f'of {whole}' if whole else model.decoder}": built.decoder,
        "the projection layer": nn.ModuleList([built.text_projection, built.image_projection]),
    }
    return [size_of(name, part, is_trained=True, copies=copies) for name, part in parts.items()]


def vqa_memory_advice(model: ModelConfig) -> list[str]:
    """What a person can do if the model does not fit into memory: choose smaller parts, or train fewer of them."""
    frozen = frozen_parts(model.freeze)
    # With start_from, all parts come from one model.
    smaller = "choose a smaller model" if model.start_from else "choose smaller parts"
    return [smaller, *([] if len(frozen) == 3 else ["freeze more of it (model.freeze)"])]


def build_from_configuration(names: ModelConfig) -> VqaModel:
    """The model of a configuration alone, frozen as in a run, for counting on a device without memory.

    Raises:
        LooptopError: A configuration cannot be read, or a part cannot be used.
    """
    if names.start_from:
        config = load_part(VqaConfig.from_pretrained, folder_of(names.start_from), "the configuration in")
    else:
        parts = (names.text_encoder, names.image_encoder, names.decoder)
        text, image, decoder = (
            load_part(AutoConfig.from_pretrained, resolve(name), "the configuration in") for name in parts
        )
        config = VqaConfig(text, image, decoder)
    model = VqaModel(config)
    model.freeze(names.freeze)
    for name, parameter in model.named_parameters():
        if is_pooler(name):  # It gets no gradient, and a run freezes it after loading.
            parameter.requires_grad = False
    return model
