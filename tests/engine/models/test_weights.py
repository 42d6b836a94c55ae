"""Damaged or missing weights are refused in one sentence wherever they are loaded; none are initialised instead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, BertModel, ViTConfig, ViTModel

from looptop.engine import config
from looptop.engine.config.ppo import RewardConfig
from looptop.engine.errors import LooptopError
from looptop.engine.models.names import resolve
from looptop.engine.models.weights import is_pooler, load_complete_model
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.reward_training import load_classifier
from looptop.engine.ppo.rewards import Classifier
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.vqa_training import build_model
from tests.factories.ppo import save_classifier, save_policy


def without(folder: Path, word: str) -> None:
    """Removes the first weight whose name contains the word."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights[next(name for name in sorted(weights) if word in name)]
    save_file(weights, file, {"format": "pt"})


def halve(folder: Path) -> None:
    """The same weights in bf16, as many published folders hold them."""
    file = folder / "model.safetensors"
    save_file({name: weight.bfloat16() for name, weight in load_file(file).items()}, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))


def damage(folder: Path) -> None:
    """Overwrites the file with as many other bytes."""
    file = folder / "model.safetensors"
    file.write_bytes(b"\xff" * file.stat().st_size)


def build(*settings: str) -> Any:
    chosen: Any = config.override(config.preset("tiny"), settings)
    return build_model(chosen)


def part(name: str) -> Callable[[Path], Any]:
    def load(folder: Path) -> Any:
        shutil.copytree(resolve(f"bundled:{name}"), folder)
        return lambda: build(f"model.{name}={folder}")

    return load


def whole_model(folder: Path) -> Any:
    shutil.copytree(folder_of("bundled"), folder)
    return lambda: build(f"start_from={folder}")


def policy(folder: Path) -> Any:
    save_policy(folder)
    return lambda: load_policy(folder)


def reward(folder: Path) -> Any:
    save_classifier(folder)
    return lambda: Classifier.load(RewardConfig(name="one", model=str(folder)), "cpu")


def classifier(folder: Path) -> Any:
    save_classifier(folder)
    return lambda: load_classifier(str(folder))


LOADED = [
    pytest.param(part("text_encoder"), "q_lin", id="the text encoder"),
    pytest.param(part("image_encoder"), "layernorm", id="the image encoder"),
    pytest.param(part("decoder"), "wpe", id="the decoder"),
    pytest.param(whole_model, "text_projection", id="start_from"),
    pytest.param(policy, "encoder", id="a policy"),
    pytest.param(reward, "classifier", id="a reward model's head"),
    pytest.param(reward, "query", id="a reward model"),
    pytest.param(classifier, "query", id="what becomes a reward model"),
]


@pytest.mark.parametrize(("save", "word"), LOADED)
def test_a_missing_tensor_is_an_error_that_names_it(save: Callable[[Path], Any], word: str, tmp_path: Path) -> None:
    load = save(tmp_path / "model")
    load()
    without(tmp_path / "model", word)
    with pytest.raises(LooptopError, match=rf"weights in .*model are incomplete: \S*{word}\S* is missing; download"):
        load()


def test_several_missing_tensors_are_counted(tmp_path: Path) -> None:
    load = part("text_encoder")(tmp_path / "model")
    without(tmp_path / "model", "q_lin")
    without(tmp_path / "model", "v_lin")
    with pytest.raises(LooptopError, match=r"q_lin\S* is missing, and 1 more tensor; download or save the model again"):
        load()


def test_tensors_of_another_shape_are_named(tmp_path: Path) -> None:
    load = part("text_encoder")(tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    weights = load_file(file)
    norms = [name for name in sorted(weights) if "output_layer_norm" in name]
    for count, more in enumerate(("", "; 1 more tensor has a wrong shape")):
        weights[norms[count]] = weights[norms[count]][:-1]
        save_file(weights, file, {"format": "pt"})
        with pytest.raises(LooptopError) as caught:
            load()
        assert str(caught.value) == (
            f"the weights in {tmp_path / 'model'} do not fit its config.json: {norms[0]} has the shape (95,) instead of"
            f" (96,){more}; download or save the model again"
        )


@pytest.mark.parametrize("save", [part("decoder"), part("text_encoder"), whole_model, policy, reward, classifier])
def test_weights_that_were_saved_in_bf16_are_loaded_in_fp32(save: Callable[[Path], Any], tmp_path: Path) -> None:
    load = save(tmp_path / "model")
    halve(tmp_path / "model")
    loaded = load()
    model = loaded[0] if isinstance(loaded, tuple) else getattr(loaded, "model", loaded)
    assert {weight.dtype for weight in model.state_dict().values() if weight.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("save", [part("decoder"), whole_model, policy, reward, classifier])
def test_damaged_weights_are_an_error_in_a_sentence(save: Callable[[Path], Any], tmp_path: Path) -> None:
    load = save(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(LooptopError, match=r"is damaged: .*; download or save the model again") as caught:
        load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize(("save", "word"), LOADED)
def test_weights_that_are_no_numbers_are_refused(
    save: Callable[[Path], Any], word: str, number: float, tmp_path: Path
) -> None:
    load = save(tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    weights = load_file(file)
    name = next(name for name in sorted(weights) if word in name)
    weights[name].view(-1)[-1] = number
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(LooptopError, match=rf"are not all numbers: \S*{word}\S* holds NaN or infinity") as caught:
        load()
    assert "name another model" in str(caught.value) and "\n" not in str(caught.value)


def test_large_weights_whose_sum_overflows_are_numbers(tmp_path: Path) -> None:
    load = policy(tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    weights = load_file(file)
    weights["shared.weight"].fill_(3e38)
    save_file(weights, file, {"format": "pt"})
    load()


@pytest.mark.parametrize(
    ("save", "key", "value", "why"),
    [
        (policy, "num_layers", 10**6, r"num_layers is 1000000, and its weights have \d+ tensors"),
        (policy, "num_decoder_layers", 10**6, r"num_decoder_layers is 1000000, and its weights have \d+ tensors"),
        (policy, "vocab_size", 10**12, r"vocab_size is 1000000000000, and the largest size in its weights is \d+"),
        (policy, "d_kv", 10**12, "d_kv is 1000000000000, and the largest size"),
        (policy, "num_heads", 10**12, "num_heads is 1000000000000, and the largest size"),
        (policy, "vocab_size", 5, "vocab_size is 5, and no tensor of its weights has that size"),
        (policy, "d_model", 0, "d_model is 0, and no tensor of its weights has that size"),
        (part("decoder"), "n_layer", 10**6, r"n_layer is 1000000, and its weights have \d+ tensors"),
        (part("decoder"), "n_embd", 10**12, "n_embd is 1000000000000, and the largest size"),
        (part("image_encoder"), "num_hidden_layers", 10**6, "num_hidden_layers is 1000000, and its weights"),
        (reward, "intermediate_size", 10**12, "intermediate_size is 1000000000000, and the largest size"),
        (classifier, "num_hidden_layers", 10**6, "num_hidden_layers is 1000000, and its weights"),
    ],
)
def test_a_size_far_from_the_weights_is_named_before_anything_is_built(
    save: Callable[[Path], Any], key: str, value: int, why: str, tmp_path: Path
) -> None:
    load = save(tmp_path / "model")
    file = tmp_path / "model/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(LooptopError, match=rf"config\.json is damaged: {why}[^;]*; download or save") as caught:
        load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part_of", ["text_config", "vision_config", "decoder_config"])
def test_a_size_of_a_part_far_from_the_weights_is_named(part_of: str, tmp_path: Path) -> None:
    load = whole_model(tmp_path / "model")
    file = tmp_path / "model/config.json"
    settings = json.loads(file.read_text())
    settings[part_of] |= {"num_hidden_layers": 10**6}
    file.write_text(json.dumps(settings))
    with pytest.raises(LooptopError, match=rf"is damaged: {part_of}\.num_hidden_layers is 1000000, and its weights"):
        load()


@pytest.mark.parametrize("token", [10**6, -1, None])
def test_a_start_token_outside_the_vocabulary_is_a_sentence(
    token: int | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load = policy(tmp_path / "model")
    file = tmp_path / "model/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"decoder_start_token_id": token}))
    with pytest.raises(
        LooptopError, match=rf"has the decoder_start_token_id {token}, and its vocabulary has the tokens"
    ):
        load()
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    load = whole_model(tmp_path / "model")
    (tmp_path / "model/model.safetensors").rename(tmp_path / "model/training_images.safetensors")
    with pytest.raises(LooptopError, match=r"model holds no weights: no model\.safetensors; download or save"):
        load()


def test_what_is_new_may_be_missing(tmp_path: Path) -> None:
    """A value head, a classifier's head, and a pooler, which published encoders lack."""
    without(save_policy(tmp_path / "policy"), "v_head.summary.weight")
    assert not load_policy(tmp_path / "policy").v_head.summary.weight.any()
    without(save_classifier(tmp_path / "classifier"), "classifier.dense")
    load_classifier(str(tmp_path / "classifier"))
    size: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    ViTModel(ViTConfig(image_size=16, patch_size=8, **size), add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    BertModel(BertConfig(vocab_size=8, **size), add_pooling_layer=False).save_pretrained(tmp_path / "bert")
    for name in ("vit", "bert"):
        load_complete_model(AutoModel.from_pretrained, tmp_path / name, may_be_new=is_pooler)
