"""A value of the wrong type in one of a model's JSON files is named: file, key, value, and what it must be."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from looptop.engine.config.ppo import RewardConfig
from looptop.engine.errors import LooptopError
from looptop.engine.models.names import resolve
from looptop.engine.models.value_types import wrong_value
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.rewards import Classifier
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.model.saved_models import folder_of

BUNDLED = folder_of("bundled").parent
JSONS = sorted(BUNDLED.rglob("*.json"))


@pytest.mark.parametrize("file", JSONS, ids=lambda file: str(file.relative_to(BUNDLED)))
def test_the_bundled_models_have_the_right_types(file: Path) -> None:
    assert wrong_value(file.name, json.loads(file.read_text())) == ""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("preprocessor_config.json", {"size": 224, "resample": 3, "image_mean": 0.5, "do_center_crop": None}),
        ("preprocessor_config.json", {"size": {"shortest_edge": 224}, "crop_size": [224, 224], "rescale_factor": 1}),
        ("tokenizer_config.json", {"model_max_length": 1e30, "bos_token": {"content": "<s>"}, "unk_token": None}),
        ("tokenizer_config.json", {"extra_special_tokens": {}, "added_tokens_decoder": {}, "add_prefix_space": None}),
        ("generation_config.json", {"eos_token_id": [1, 2], "pad_token_id": None, "decoder_start_token_id": 0}),
        ("config.json", {"architectures": None, "dtype": {"": "float32"}, "id2label": {"0": "a"}, "hidden_act": None}),
        ("other.json", {"model_type": 7}),
    ],
)
def test_what_published_models_have_is_right(name: str, data: dict[str, Any]) -> None:
    assert wrong_value(name, data) == ""


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("config.json", {"model_type": None}, "model_type is null, and must be a text"),
        (
            "config.json",
            {"chunk_size_feed_forward": None},
            "chunk_size_feed_forward is null, and must be",
        ),
        ("config.json", {"a": {"model_type": "t5", "return_dict": 1}}, "a.return_dict is 1, and must be true or false"),
        ("config.json", {"architectures": ["A", 1]}, 'architectures is ["A", 1], and must be a list of texts'),
        ("config.json", {"chunk_size_feed_forward": True}, "is true, and must be a whole number"),
        ("config.json", {"id2label": "x" * 99}, f'id2label is "{"x" * 39}…, and must be an object'),
        ("preprocessor_config.json", {"image_mean": [0.5, "x"]}, "must be a number or a list of numbers"),
        ("preprocessor_config.json", {"size": {"height": 1.5}}, "must be a whole number, or height and width as"),
        ("preprocessor_config.json", {"rescale_factor": "1\x1b"}, r'rescale_factor is "1\u001b", and must be a number'),
        ("tokenizer_config.json", {"pad_token": {}}, "must be a text, or an object with a text as its content"),
        ("tokenizer_config.json", {"extra_special_tokens": "x"}, "must be a list or an object"),
        ("generation_config.json", {"eos_token_id": ["x"]}, "must be a token's number or a list of them"),
        ("tokenizer.json", {"model": {"merges": 7}}, "model.merges is 7, and must be a list"),
        ("tokenizer.json", {"added_tokens": [{}, {"id": 1.5}]}, "added_tokens[1].id is 1.5, and must be a whole"),
    ],
)
def test_the_wrong_value_is_named(name: str, data: dict[str, Any], words: str) -> None:
    assert words in wrong_value(name, data)


def ask(folder: Path) -> None:
    Answerer.load(str(folder), "cpu").answer(Image.new("RGB", (80, 60)), "what colour is it?")


def reward(folder: Path) -> None:
    Classifier.load(RewardConfig(name="one", model=str(folder)), "cpu")


@pytest.mark.parametrize(
    ("model", "load", "name", "change", "words"),
    [
        ("vqa", ask, "config.json", {"return_dict": []}, "return_dict is [], and must be true or false"),
        ("vqa", ask, "question_tokenizer/tokenizer_config.json", {"model_max_length": "x"}, 'model_max_length is "x"'),
        ("vqa", ask, "answer_tokenizer/tokenizer.json", {"padding": 7}, "padding is 7, and must be an object"),
        ("vqa", ask, "preprocessor_config.json", {"image_mean": "x"}, 'image_mean is "x", and must be a number or'),
        (
            "summariser",
            load_policy,
            "config.json",
            {"num_heads": "x"},
            'num_heads is "x", which a model',
        ),
        ("summariser", load_policy, "generation_config.json", {"pad_token_id": {}}, "pad_token_id is {}, and must be"),
        (
            "grammar",
            reward,
            "config.json",
            {"hidden_size": 1.5},
            "hidden_size is 1.5, which a model",
        ),
    ],
)
def test_the_file_is_named_where_the_model_is_loaded(
    model: str, load: Callable[[Path], object], name: str, change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    shutil.copytree(BUNDLED / model, tmp_path / "model")
    file = tmp_path / "model" / name
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(LooptopError) as caught:
        load(tmp_path / "model")
    assert f"{file} is damaged: " in str(caught.value) and words in str(caught.value)
    assert str(caught.value).endswith("; download or save the model again")


def test_a_part_of_a_configuration_is_named(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED / "vqa", tmp_path / "model")
    file = tmp_path / "model/config.json"
    data = json.loads(file.read_text())
    data["decoder_config"]["n_embd"] = "x"
    file.write_text(json.dumps(data))
    with pytest.raises(LooptopError, match=r'decoder_config\.n_embd is "x", which a model of the family gpt2 cannot'):
        ask(tmp_path / "model")


def test_an_image_processor_that_prepares_no_image_is_refused(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED / "vqa", tmp_path / "model")
    file = tmp_path / "model/preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"size": None}))
    with pytest.raises(LooptopError, match=r"cannot prepare an image: .*[^.]; correct preprocessor_config\.json in"):
        ask(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"do_resize": None}, "does not bring images to one size; correct do_resize"),
        ({"do_resize": False}, "does not bring images to one size; correct do_resize"),
        ({"size": {"height": 96, "width": 80}}, "makes images of 96 x 80 pixels, which its model does not take"),
    ],
)
def test_images_of_a_size_that_the_model_does_not_take_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    shutil.copytree(BUNDLED / "vqa", tmp_path / "model")
    file = tmp_path / "model/preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(LooptopError, match=re.escape(words)) as caught:
        ask(tmp_path / "model")
    assert str(caught.value).endswith(f"preprocessor_config.json in {tmp_path / 'model'}")


def test_one_number_normalises_all_channels(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED / "vqa", tmp_path / "model")
    file = tmp_path / "model/preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"image_mean": 0.5, "image_std": 0.5}))
    image = Image.linear_gradient("L").convert("RGB")
    whole, changed = (Answerer.load(name, "cpu").processor.images([image]) for name in ("bundled", str(file.parent)))
    assert whole.allclose(changed, atol=1e-6)


def test_a_classifier_without_a_padding_id_is_refused(tmp_path: Path) -> None:
    shutil.copytree(resolve("bundled:grammar"), tmp_path / "model")
    file = tmp_path / "model/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pad_token_id": None}))
    with pytest.raises(LooptopError, match=r"config\.json has no pad_token_id"):
        reward(tmp_path / "model")
