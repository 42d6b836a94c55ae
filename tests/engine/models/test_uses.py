"""The tables of model families agree with transformers."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import model_type_to_module_name

from looptop.engine.config.ppo import POLICY_FAMILIES
from looptop.engine.errors import LooptopError
from looptop.engine.models import uses as model_uses
from looptop.engine.models.uses import index_of_label
from looptop.engine.ppo.policy import POLICIES


def test_policies_are_what_can_be_loaded_as_one() -> None:
    assert set(POLICY_FAMILIES) == set(POLICIES)


def test_no_family_of_images_reads_or_writes_texts() -> None:
    assert not model_uses.IMAGE_FAMILIES & set(modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
    assert not model_uses.IMAGE_FAMILIES & set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert set(modeling_auto.MODEL_MAPPING_NAMES) >= model_uses.IMAGE_FAMILIES | model_uses.TEXT_FAMILIES


def test_no_family_of_texts_reads_images() -> None:
    assert not model_uses.TEXT_FAMILIES & set(modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)


@pytest.mark.parametrize("family", sorted(model_uses.NO_CROSS_ATTENTION))
def test_decoders_that_are_refused_have_no_cross_attention(family: str) -> None:
    if family not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    name = model_type_to_module_name(family)
    package = importlib.import_module(f"transformers.models.{name}")
    text = (Path(str(package.__file__)).parent / f"modeling_{name}.py").read_text("utf-8")
    assert "crossattention" not in text and "encoder_attn" not in text


def test_a_label_is_chosen_by_its_name_or_number() -> None:
    assert index_of_label("good", {"0": "bad", "1": "good"}, None) == 1
    assert index_of_label("good", None, {"bad": 0, "good": 1}) == 1
    assert index_of_label("2", {0: "a", 1: "b", 2: "c"}, {}) == 2
    assert index_of_label("LABEL_1", None, None) == 1
    for label, id2label in (("good", {"0": "bad"}), ("1", {"0": "bad"}), ("good", {"x": "good"})):
        with pytest.raises(LooptopError):
            index_of_label(label, id2label, None)
