"""Values with which no run can train on this machine are refused before there is a run."""

from __future__ import annotations

import os

import pytest
from transformers.training_args import OptimizerNames

from looptop.engine.config import override, preset
from looptop.engine.errors import SettingError
from looptop.engine.startup import limits
from looptop.engine.startup.limits import MOST_PER_CORE, OPTIMIZERS, REPORTERS, impossible_values
from looptop.engine.startup.sources import with_checked_sources

MANY = MOST_PER_CORE * (os.cpu_count() or 1) + 1


@pytest.mark.parametrize(
    ("setting", "key", "words"),
    [
        ("seed=5000000000", "training.seed", "4294967295 at most"),
        ("optim=adamw_trch", "training.optim", "did you mean adamw_torch"),
        ("optim=lomo", "training.optim", "the package lomo_optim, which is not installed"),
        (f"threads={MANY}", "training.threads", "CPU cores; give at most"),
        (f"dataloader_num_workers={MANY}", "training.dataloader_num_workers", "CPU cores; give at most"),
        (f"processes={MANY}", "training.processes", "CPU cores; give at most"),
        ("end_at=0", "data.end_at", "must be above data.start_at, 0"),
        ("device=gpu", "training.device", "it must be auto, cpu"),
    ],
)
def test_it_is_refused_by_its_setting(setting: str, key: str, words: str) -> None:
    config = override(preset("tiny"), [setting])
    assert words in impossible_values(config)[key]
    with pytest.raises(SettingError, match=words) as caught:
        with_checked_sources(config)
    assert caught.value.key == key


@pytest.mark.parametrize("reporter", REPORTERS)
def test_a_reporter_needs_its_package(reporter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = override(preset("tiny"), [f"report_to={reporter}"])
    monkeypatch.setattr(limits, "find_spec", lambda package: None)
    assert f"needs the package {REPORTERS[reporter][0]}" in impossible_values(config)["training.report_to"]
    monkeypatch.setattr(limits, "find_spec", lambda package: package)
    assert not impossible_values(config)


@pytest.mark.parametrize("setting", ["seed=4294967295", "optim=sgd", "end_at=1", "device=auto"])
def test_what_can_train_is_not_refused(setting: str) -> None:
    assert not impossible_values(override(preset("tiny"), [setting]))


def test_the_optimisers_are_those_of_transformers() -> None:
    assert set(OPTIMIZERS) == {name.value for name in OptimizerNames}
