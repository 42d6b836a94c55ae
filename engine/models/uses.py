"""Refuses a model for a use that its config.json rules out: without torch, before anything is loaded.

Only what is certain is refused. The tables list families that people confuse with one another; a family that is in none
of them is tried when the run loads the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from looptop.engine.config.ppo import POLICY_FAMILIES
from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

Use = Literal["policy", "reward model", "classifier", "text encoder", "image encoder", "decoder"]

IMAGE_FAMILIES = frozenset((
    "beit", "clip", "convnext", "convnextv2", "data2vec-vision", "deit", "dinov2", "dinov3_vit", "resnet", "siglip",
    "swin", "swinv2", "vit", "vit_mae",
))  # fmt: skip
TEXT_FAMILIES = frozenset((
    "albert", "bart", "bert", "bloom", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "gemma", "gpt2",
    "gpt_neo", "gpt_neox", "gptj", "llama", "mbart", "mistral", "mt5", "opt", "phi", "qwen2", "qwen3", "roberta", "t5",
    "xlm-roberta",
))  # fmt: skip
NO_CROSS_ATTENTION = frozenset((
    "albert", "bloom", "deberta", "deberta-v2", "distilbert", "gemma", "gpt_neo", "gpt_neox", "gptj", "llama",
    "mistral", "opt", "phi", "qwen2", "qwen3",
))  # fmt: skip
NEEDS_A_DECODER_INPUT = frozenset(("t5", "mt5", "longt5", "umt5"))
"""Families whose whole model cannot encode a text without an input for its decoder."""

VQA_MODEL = "looptop-vqa"

_OTHER_HEADS = (
    "ForCausalLM",
    "ForConditionalGeneration",
    "ForMaskedLM",
    "ForPreTraining",
    "ForQuestionAnswering",
    "ForTokenClassification",
    "LMHeadModel",
    "Policy",
)
_KNOWN_ENCODERS = ("Albert", "Bert", "Deberta", "DebertaV2", "DistilBert", "Electra", "Roberta", "XLMRoberta")
"""Class names that, followed by `Model`, are encoders without a head; `...RewardModel` is not one."""


def refuse_use(use: Use, name: str, config: Mapping[str, Any]) -> None:
    """Refuses a model for a use that its configuration rules out.

    Args:
        use: What the model is to be used as.
        name: The model's name as a person wrote it.
        config: The content of its config.json; empty if it is not known.

    Raises:
        LooptopError: The model cannot be used so; names its family, and what to use instead.
    """
    family = config.get("model_type")
    if not isinstance(family, str):
        return
    if use == "policy":
        if family not in POLICY_FAMILIES:
            raise _of_family(use, name, family, "name a T5 or a GPT-2")
        return
    if family == VQA_MODEL or (family in TEXT_FAMILIES if use == "image encoder" else family in IMAGE_FAMILIES):
        raise _of_family(use, name, family, "name a ViT" if use == "image encoder" else "name a text model")
    if use == "text encoder" and family in NEEDS_A_DECODER_INPUT:
        raise _of_family(use, name, family, "name an encoder, such as a DistilBERT")
    if use == "decoder" and (family in NO_CROSS_ATTENTION or config.get("is_encoder_decoder") is True):
        raise _of_family(use, name, family, "name a decoder that can have cross-attention, such as a GPT-2")
    if use == "reward model" and (classes := _without_classifier(config)):
        raise LooptopError(
            f"{visible(name)} is a {visible(classes)} and has no classifier's head; name a sequence classifier"
        )


def _of_family(use: Use, name: str, family: str, advice: str) -> LooptopError:
    which = "an" if use == "image encoder" else "a"
    return LooptopError(
        f"{visible(name)} is of the family '{visible(family)}', which cannot be {which} {use}; {advice}"
    )


def _without_classifier(config: Mapping[str, Any]) -> str:
    """The class that a model was saved as, if that is known to have another head or none; otherwise empty."""
    names = config.get("architectures")
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        return ""
    known = names[0].endswith(_OTHER_HEADS) or names[0] in {f"{encoder}Model" for encoder in _KNOWN_ENCODERS}
    return names[0] if known else ""


def index_of_label(label: str, id2label: Any, label2id: Any) -> int:
    """The index of a classifier's label.

    Args:
        label: The label's name or number.
        id2label: From the configuration. A published one may have this, `label2id`, or both; if it has neither,
            transformers' two default labels are used.
        label2id: From the configuration.

    Raises:
        LooptopError: There is no such label; lists the labels.
    """
    by_index = id2label if isinstance(id2label, Mapping) else {}
    by_name = label2id if isinstance(label2id, Mapping) else {}
    if not by_index and not by_name:
        by_index = {0: "LABEL_0", 1: "LABEL_1"}
    try:
        names = {str(name): int(index) for index, name in by_index.items()}
        names |= {str(name): int(index) for name, index in by_name.items()}
    except (TypeError, ValueError):
        raise LooptopError("its labels are not numbered; correct id2label and label2id in its config.json") from None
    if label in names:
        return names[label]
    if label.isdigit() and int(label) < (len(by_index) or len(names)):
        return int(label)
    known = ", ".join(sorted(names, key=lambda name: names[name])) or "none"
    raise LooptopError(f"it has no label '{visible(label)}'; its labels are: {visible(known)}")
