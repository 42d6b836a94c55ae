"""What was chosen for a new run, without a screen."""

from __future__ import annotations

import pytest

from looptop.engine import config as configuration
from looptop.engine.config.catalogue import settings_of, values_of
from looptop.engine.config.toml_lines import line_of
from looptop.engine.errors import LooptopError
from looptop.tui.forms.draft import Draft


def test_settings_that_are_only_right_together_are_accepted() -> None:
    draft = Draft("ppo")
    draft.put("ppo.batch_size", "24")
    assert "multiple of" in draft.errors["ppo.batch_size"] and draft.config is None
    draft.put("ppo.mini_batch_size", "12")
    assert not draft.errors and draft.config is not None


def test_nothing_typed_means_the_presets_value_or_no_value() -> None:
    draft = Draft("vqa")
    draft.put("training.num_train_epochs", "")
    assert not draft.is_changed
    draft.put("data.max_images", "5")
    draft.put("data.max_images", "")
    assert not draft.is_changed
    ppo = Draft("ppo")
    ppo.put("data.prefix", "")
    assert ppo.config is not None and ppo.differs("data.prefix")
    ppo.reset("data.prefix")
    assert not ppo.is_changed


def test_another_preset_keeps_a_duplicates_own_rewards() -> None:
    config = configuration.override(configuration.preset("tiny", "ppo"), ["rewards.mine.person=true"])
    draft = Draft("ppo")
    draft.take(config)
    assert draft.differs("rewards.mine.person")
    draft.put("preset", "tiny-hackable")
    assert draft.config is not None and draft.config.preset == "tiny-hackable"
    assert draft.text("rewards.mine.person") == "true"


def test_what_differs_is_a_file_that_gives_the_same_run() -> None:
    draft = Draft("ppo")
    draft.put("rewards.neutral.weight", "0.25")
    draft.put("training.seed", "7")
    for whole in (False, True):
        assert configuration.loads(draft.to_toml(whole=whole), "ppo") == draft.config
    assert configuration.loads(draft.to_file(), "ppo") == draft.config
    draft.put("training.seed", "much")
    assert "# not allowed: training.seed = much" in draft.to_file()
    with pytest.raises(LooptopError, match=r"training\.seed"):
        draft.to_toml(whole=True)


TEXT = """\
kind = "ppo"
[model]
policy = "x"

[[rewards]]
weight = 2
name = "good"  # the first
[[rewards]]
name = 'bad'
weight = 3
[training]
seed = 1
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("kind", 1),
        ("model.policy", 3),
        ("rewards.good.weight", 6),
        ("rewards.bad.weight", 10),
        ("training.seed", 12),
        ("training.other", 11),
        ("ppo.lam", None),
    ],
)
def test_the_line_of_a_key_is_known(key: str, line: int | None) -> None:
    assert line_of(TEXT, key) == line


def test_an_error_in_an_edited_text_names_its_line() -> None:
    for text, words in (
        ('[training]\n\nseed = "x"\n', "line 3: training.seed is 'x'"),
        ("[training]\nsed = 1\n", "line 2: there is no key 'training.sed'"),
        ("[training\n", "at line 1"),
        ("[training]\nnum_train_epochs = 0\n", "line 2: training.num_train_epochs"),
    ):
        with pytest.raises(LooptopError, match=words.replace("'", ".")):
            configuration.loads(text, "vqa")


@pytest.mark.parametrize("kind", configuration.KINDS)
def test_every_settings_line_is_known_in_the_text_that_is_edited(kind: str) -> None:
    config = configuration.preset("tiny", kind)
    text = configuration.dump(config)
    lines = text.splitlines()
    values = values_of(config)
    for setting in settings_of(config):
        if values[setting.key] is not None:
            line = line_of(text, setting.key)
            assert line is not None
            name = setting.key.rpartition(".")[2]
            assert lines[line - 1].startswith(f"{name} ="), (setting.key, lines[line - 1])
