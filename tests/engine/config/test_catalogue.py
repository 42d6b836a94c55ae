"""The list of everything that can be set, as the form and `looptop config` show it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine import config as configuration
from looptop.engine.config.catalogue import GROUPS, PRESET, Setting, settings_of, values_of
from looptop.engine.config.differences import value_text
from looptop.engine.errors import SettingError

EVERY = [(kind, name) for kind in configuration.KINDS for name in configuration.presets(kind)]


def by_key(kind: str) -> dict[str, Setting]:
    return {setting.key: setting for setting in settings_of(configuration.preset("tiny", kind))}


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_everything_that_can_be_set_is_listed_with_its_meaning(kind: str, name: str) -> None:
    config = configuration.preset(name, kind)
    listed = settings_of(config)
    keys = [setting.key for setting in listed if setting.key != PRESET]
    tables = {key for key in configuration.keys(type(config)) if "." not in key}
    plain = [key for key in configuration.keys(type(config)) if "." in key]
    assert sorted(key for key in keys if key.partition(".")[0] not in tables) == sorted(plain)
    assert [setting.key for setting in listed if not setting.meaning] == []
    assert {setting.group for setting in listed} <= set(GROUPS)
    groups = [setting.group for setting in listed]
    assert groups == sorted(groups, key=GROUPS.index), "a group is in one piece"


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_value_can_be_typed_as_it_is_shown(kind: str, name: str) -> None:
    config = configuration.preset(name, kind)
    values = values_of(config)
    for setting in settings_of(config):
        if setting.key != PRESET:
            typed = f"{setting.key}={value_text(values[setting.key])}"
            assert configuration.override(config, [typed]) == config, typed


@pytest.mark.parametrize("kind", configuration.KINDS)
def test_every_word_to_choose_from_is_accepted(kind: str) -> None:
    config = configuration.preset("tiny", kind)
    for setting in settings_of(config):
        for word in setting.words if setting.key != PRESET and not setting.key.endswith(".person") else ():
            configuration.override(config, [f"{setting.key}={word}"])


def test_the_kinds_of_values_are_known() -> None:
    vqa = by_key("vqa")
    assert vqa["model.fusion"].words == ("mean", "tokens") and not vqa["model.fusion"].other_words
    assert vqa["training.keep_features"].words == ("true", "false")
    assert vqa["model.freeze"].several and "encoders" in vqa["model.freeze"].words
    assert vqa["training.optim"].other_words and "adamw_torch" in vqa["training.optim"].words
    assert vqa["data.max_images"].optional and not vqa["data.max_images"].words
    assert by_key("ppo")["rewards.neutral.reads"].words == ("response", "both")
    assert vqa["training.eval_steps"].group == "evaluation"


def test_an_empty_value_takes_an_optional_value_away() -> None:
    config = configuration.override(configuration.preset("tiny"), ["max_images=7"])
    assert config.data.max_images == 7
    assert configuration.override(config, ["data.max_images="]).data.max_images is None


@pytest.mark.parametrize(
    ("kind", "setting", "key"),
    [
        ("vqa", "learning_rate=fast", "training.learning_rate"),
        ("vqa", "freeze=tail", "model.freeze"),
        ("vqa", "report_to=paper", "training.report_to"),
        ("ppo", "rewards.neutral.weight=half", "rewards.neutral.weight"),
    ],
)
def test_an_error_names_the_setting_that_causes_it(kind: str, setting: str, key: str) -> None:
    with pytest.raises(SettingError) as caught:
        configuration.override(configuration.preset("tiny", kind), [setting])
    assert caught.value.key == key


@given(text=some.text(some.characters(exclude_categories=["Cs", "Cc"]), max_size=12))
def test_a_text_is_shown_as_it_is_typed(text: str) -> None:
    typed = value_text(text)
    if '"' in text or "\\" in text or "'" in text:  # shown as it is; such a prefix is set in a file
        return
    config: Any = configuration.override(configuration.preset("tiny", "ppo"), [f"data.prefix={typed}"])
    assert config.data.prefix == text


def test_the_printed_configuration_says_what_each_setting_means() -> None:
    for kind in configuration.KINDS:
        config = configuration.preset("tiny", kind)
        printed = " ".join(configuration.dump(config).replace("\n# ", " ").split())
        for setting in settings_of(config):
            if setting.key != PRESET:
                assert " ".join(setting.meaning.split()) in printed, setting.key
