"""Settings without effect because of another setting are named by their key; a preset's own settings never count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config import override, preset, presets
from looptop.engine.config.settings import KINDS
from looptop.engine.errors import SettingError
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.effects import EFFECT_CONDITIONS, refuse_settings_without_effect, settings_without_effect

pytestmark = pytest.mark.usefixtures("engine")

FUNCTION = "rewards.mine.function=rewards.py:mine"

IDLE = [
    ("vqa", ["eval_steps=20"], "training.eval_steps", "eval_strategy=steps"),
    ("reward", ["eval_steps=20"], "training.eval_steps", "eval_strategy=steps"),
    ("vqa", ["lr_scheduler_type=constant", "warmup_steps=7"], "training.warmup_steps", "lr_scheduler_type=linear"),
    ("ppo", ["lr_scheduler_type=constant", "warmup_steps=7"], "training.warmup_steps", "lr_scheduler_type=linear"),
    ("vqa", ["max_steps=9", "num_train_epochs=3"], "training.num_train_epochs", "max_steps=-1"),
    ("ppo", ["num_train_epochs=3"], "training.num_train_epochs", "max_steps=-1"),
    ("vqa", ["logging_steps=1"], "training.logging_steps", "report_to=tensorboard"),
    ("vqa", ["min_agreement=3"], "data.min_agreement", "source=vqa-v2"),
    ("vqa", ["annotations=a.json"], "data.annotations", "source=vqa-v2"),
    ("vqa", ["questions=q.json"], "data.questions", "source=vqa-v2"),
    ("vqa", ["images=folder"], "data.images", "source=my-folder"),
    ("vqa", ["start_from=bundled", "decoder=gpt2"], "model.decoder", "start_from="),
    ("ppo", ["source=texts.csv", "split=test"], "data.split", "source=owner/name"),
    ("reward", ["split=test"], "data.split", "source=owner/name"),
    ("ppo", ["text_column=body"], "data.text_column", "source=texts.csv"),
    ("ppo", ["lora_alpha=32"], "model.lora_alpha", "lora_rank=8"),
    ("ppo", ["lora_modules=q,v"], "model.lora_modules", "lora_rank=8"),
    ("ppo", ["target_kl=0.5"], "ppo.target_kl", "early_stopping=true"),
    ("ppo", ["use_score_norm=true"], "ppo.use_score_norm", "use_score_scaling=true"),
    ("ppo", ["adap_kl_ctrl=false", "target=2"], "ppo.target", "adap_kl_ctrl=true"),
    ("ppo", ["adap_kl_ctrl=false", "horizon=99"], "ppo.horizon", "adap_kl_ctrl=true"),
    ("ppo", ["init_kl_coef=0", "target=2"], "ppo.target", "init_kl_coef=0.1"),
    ("ppo", ["init_kl_coef=0", "horizon=99"], "ppo.horizon", "init_kl_coef=0.1"),
    ("ppo", ["num_beams=2", "top_k=5"], "generation.top_k", "num_beams=1"),
    ("ppo", ["num_beams=2", "top_p=0.5"], "generation.top_p", "num_beams=1"),
    ("ppo", ["num_beams=2", "temperature=0.5"], "generation.temperature", "num_beams=1"),
    ("vqa", ["freeze=nothing", "keep_features=false"], "training.keep_features", "freeze=text_encoder"),
    ("vqa", ["freeze=decoder", "keep_features=false"], "training.keep_features", "freeze=all"),
    ("reward", ["optim=sgd", "adam_beta2=0.9"], "training.adam_beta2", "optim=adamw_torch"),
    ("ppo", [FUNCTION, "rewards.mine.label=good"], "rewards.mine.label", ""),
    ("ppo", [FUNCTION, "rewards.mine.reads=both"], "rewards.mine.reads", ""),
    ("ppo", ["rewards.me.person=true", "rewards.me.max_tokens=9"], "rewards.me.max_tokens", ""),
]


@pytest.mark.parametrize(("kind", "settings", "key", "mend"), IDLE, ids=[f"{case[0]} {case[1]}" for case in IDLE])
def test_a_setting_that_does_nothing_is_named(kind: str, settings: list[str], key: str, mend: str) -> None:
    config = override(preset("tiny", kind), settings)
    assert list(settings_without_effect(config)) == [key]
    with pytest.raises(SettingError, match=rf"{key.replace('*', '.')} has no effect .*; or leave it out") as error:
        refuse_settings_without_effect(config)
    assert error.value.key == key
    assert not settings_without_effect(config, config), "what it was made like is nobody's choice"
    if mend:
        assert not settings_without_effect(override(config, [mend]))


def test_every_line_of_the_table_is_a_setting() -> None:
    tried = {key if not key.startswith("rewards.") else f"rewards.*.{key.rpartition('.')[2]}" for _, _, key, _ in IDLE}
    assert tried | {"model.text_encoder", "model.image_encoder", "data.validation_fraction"} == {
        effect.key for effect in EFFECT_CONDITIONS
    }


def test_a_share_held_out_of_data_with_a_validation_split_is_named(tmp_path: Path) -> None:
    config = override(preset("tiny"), [f"source={tmp_path}", "validation_fraction=0.3"])
    (tmp_path / "train.csv").write_text("image,question,answer\n")
    assert not settings_without_effect(config)
    (tmp_path / "val.csv").write_text("image,question,answer\n")
    assert list(settings_without_effect(config)) == ["data.validation_fraction"]
    for name in ("train", "val"):
        (tmp_path / f"{name}.csv").unlink()
    assert not settings_without_effect(config), "what is wrong with the data is said elsewhere"
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert not settings_without_effect(config)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    assert list(settings_without_effect(config)) == ["data.validation_fraction"]


def test_a_split_of_what_is_not_on_the_hub_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{}")
    run = RunFolder.create("ppo", preset("tiny", "ppo"))
    for kind, source in (("ppo", tmp_path), ("reward", tmp_path), ("reward", run.id)):
        assert list(settings_without_effect(override(preset("tiny", kind), [f"source={source}", "split=test"]))) == [
            "data.split"
        ]


def test_switching_off_a_setting_without_effect_is_accepted() -> None:
    like = override(preset("tiny", "ppo"), ["use_score_scaling=true", "use_score_norm=true"])
    assert not settings_without_effect(override(like, ["use_score_scaling=false", "use_score_norm=false"]), like)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in presets(kind)])
def test_a_presets_own_settings_do_not_count(kind: str, name: str) -> None:
    config = preset(name, kind)
    other = {"vqa": "source=easy-vqa", "ppo": "source=texts.csv", "reward": "source=pairs.csv"}[kind]
    assert not settings_without_effect(config)
    assert not settings_without_effect(override(config, [other]))
    assert not settings_without_effect(override(config, ["lr_scheduler_type=constant"]))
    if kind == "vqa":
        emptied = ["source=easy-vqa", "min_agreement=1", "annotations=", "questions=", "images="]
        assert not settings_without_effect(override(config, emptied))


def test_the_command_refuses_it_before_there_is_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "vqa", "--set", "eval_steps=20"]) == 2
    err = capsys.readouterr().err
    assert "training.eval_steps has no effect while training.eval_strategy is epoch; set it to steps" in err
    assert RunFolder.all() == []


def test_an_old_run_is_duplicated_and_resumed_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.create("vqa", override(preset("tiny"), ["eval_steps=20"]))
    writer = JournalWriter(run.db)
    writer.state(RunState.STOPPED)
    writer.close()
    assert main(["train", "--like", "vqa-1", "--set", "seed=3", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["run"] == "vqa-2" and "looptop: training.eval_steps has no effect" in err
    assert main(["resume", "vqa-1", "--json"]) == 0
    assert "vqa-1  training.eval_steps has no effect" in capsys.readouterr().err
    assert main(["train", "--like", "vqa-1", "--set", "min_agreement=3"]) == 2
    assert "data.min_agreement has no effect" in capsys.readouterr().err
