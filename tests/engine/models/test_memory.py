"""A run whose models cannot fit is refused in one sentence before a weight is read; any other run is not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

import looptop.engine as looptop
from looptop.engine.compute.device import Device
from looptop.engine.config import RunConfig, override, preset
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.machine.free_memory import bytes_text, free_bytes, gpu_peak
from looptop.engine.models import memory
from looptop.engine.models.memory import ModelSize
from looptop.engine.models.names import resolve
from looptop.engine.ppo.loading import load_policy_and_reference
from looptop.engine.ppo.model_sizes import ppo_sizes, reward_sizes
from looptop.engine.ppo.reference import Frozen
from looptop.engine.ppo.reward_training import load_classifier
from looptop.engine.text import count_text
from looptop.engine.vqa.model.sizes import vqa_sizes
from looptop.engine.vqa.vqa_training import build_model
from tests.factories.ppo import ppo_config

VQA = ["max_images=20", "max_steps=1", "eval_strategy=steps", "eval_steps=10", "precision=fp32"]
REWARD = ["max_pairs=20", "max_steps=1", "eval_strategy=steps", "eval_steps=10", "precision=fp32"]


def chosen(kind: str, *settings: str) -> RunConfig:
    return override(preset("tiny", kind), settings)


def ppo(*settings: str) -> PpoRunConfig:
    config = chosen("ppo", *settings)
    assert isinstance(config, PpoRunConfig)
    return config


def vqa(*settings: str) -> VqaRunConfig:
    config = chosen("vqa", *settings)
    assert isinstance(config, VqaRunConfig)
    return config


def parameters(model: torch.nn.Module, *, trained: bool = False) -> int:
    return sum(each.numel() for each in model.parameters() if each.requires_grad or not trained)


# Counting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freeze", ["nothing", "encoders", "decoder", "all"])
@pytest.mark.parametrize("start_from", ["", "bundled"])
def test_the_parts_of_a_vqa_model_are_counted_as_they_are_loaded(freeze: str, start_from: str) -> None:
    config = vqa(f"freeze={freeze}", f"start_from={start_from}")
    model, _ = build_model(config)
    text, image, decoder, joints = vqa_sizes(config.model)
    assert text.parameters == parameters(model.text_encoder)
    assert image.parameters == parameters(model.image_encoder)
    assert decoder.parameters == parameters(model.decoder)
    assert sum(part.parameters for part in (text, image, decoder, joints)) == parameters(model)
    assert sum(part.trained for part in (text, image, decoder, joints)) == parameters(model, trained=True)


@pytest.mark.parametrize("family", ["bundled", "t5", "gpt2"])
def test_the_models_of_a_ppo_run_are_counted_as_they_are_loaded(family: str, tmp_path: Path) -> None:
    config = ppo() if family == "bundled" else ppo_config(tmp_path, family=family)
    _, policy, frozen = load_policy_and_reference(config.model, "cpu")
    assert isinstance(frozen, Frozen)
    sizes = ppo_sizes(config)
    assert [size.parameters for size in sizes[:2]] == [parameters(policy), parameters(frozen.model)]
    assert [size.trained for size in sizes[:2]] == [parameters(policy), 0]
    for part, size in zip(config.rewards, sizes[2:], strict=True):
        model = AutoModelForSequenceClassification.from_pretrained(resolve(part.model))
        assert (size.parameters, size.trained) == (parameters(model), 0), part.name
    assert len(ppo_sizes(config, with_rewards=False)) == 2


def test_with_adapters_the_policy_is_its_own_reference_and_is_not_trained() -> None:
    sizes = ppo_sizes(ppo("lora_rank=4"), with_rewards=False)
    assert [(size.name, size.trained) for size in sizes] == [("the policy bundled:summariser", 0)]
    both = ppo_sizes(ppo("lora_rank=4", "reference=bundled:summariser"), with_rewards=False)
    assert [size.name for size in both][1:] == ["the reference bundled:summariser"]


@pytest.mark.parametrize("name", ["grammar", "grammar_hackable", "sentiment", "text_encoder"])
def test_a_classifier_is_counted_with_its_new_head(name: str) -> None:
    config = chosen("reward", f"classifier=bundled:{name}")
    assert isinstance(config, RewardRunConfig)
    model, _ = load_classifier(config.model.classifier)
    (size,) = reward_sizes(config)
    assert size.parameters == size.trained == parameters(model)


def test_counting_draws_no_random_numbers() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # type: ignore[index]
    assert ppo_sizes(ppo()) and vqa_sizes(vqa().model)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # type: ignore[index]
    assert torch.equal(before[0], after[0]) and before[1] == after[1] and np.array_equal(before[2], after[2])


def test_what_cannot_be_counted_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nobody-knows"}')
    assert vqa_sizes(vqa(f"decoder={tmp_path}").model) == []
    names = [size.name for size in ppo_sizes(ppo(f"policy={tmp_path}"))]
    assert names == ["the reward model bundled:grammar", "the reward model bundled:sentiment"]


def test_the_least_is_weights_gradients_and_moments() -> None:
    size = ModelSize("a model", parameters=100, trained=50)
    assert size.bytes_needed("adamw_torch") == 400 + 3 * 200
    assert size.bytes_needed("sgd") == 400 + 200
    assert ModelSize("a model", 100, copies=3).bytes_needed("adamw_torch") == 1200


def test_numbers_are_written_for_people() -> None:
    assert [bytes_text(count) for count in (12, 1536, 80 * 2**30, 2**50)] == [
        "12 bytes", "1.5 KiB", "80.0 GiB", "1.0 PiB",
    ]  # fmt: skip
    assert [count_text(count) for count in (371_521, 124_439_808, 11_003_740_161)] == [
        "371,521", "124.4 million", "11.0 billion",
    ]  # fmt: skip


# What is free -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fraction", "free"), [(1.0, 30 + 15), (0.5, 50 - 25)])
def test_a_gpu_has_free_what_torch_keeps_unused_too_and_no_more_than_its_limit(
    fraction: float, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 40)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 25)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: fraction, raising=False)
    assert free_bytes("cuda:0") == free


def test_a_gpu_has_in_use_at_its_peak_what_torch_and_other_programs_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 40)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 35)
    assert gpu_peak("cuda:0") == (30 + 35, 100)
    assert gpu_peak("cpu") == gpu_peak("mps") == (0, 0)


def test_a_processor_has_free_what_its_container_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("looptop.engine.machine.usage.memory", lambda: (700, 1000))
    assert free_bytes("cpu") == 300


# Refusing -----------------------------------------------------------------------------------------------------------


def refuse_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*given: Any, **options: Any) -> None:
        raise AssertionError("weights are read")

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(load))


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        (
            "ppo",
            (),
            "the models do not fit on cpu: the policy bundled:summariser has 371,521 parameters, the reference, its"
            " copy, has 371,521 parameters, the reward model bundled:grammar has 146,242 parameters and the reward"
            " model bundled:sentiment has 146,307 parameters; they need at least 8.2 MiB (weights,"
            " gradients and Adam's moments), but only 1.0 MiB is free; choose smaller models, set"
            " model.lora_rank or use another device",
        ),
        (
            "ppo",
            ("lora_rank=8",),
            "the models do not fit on cpu: the policy bundled:summariser has 371,521 parameters, the reward model"
            " bundled:grammar has 146,242 parameters and the reward model bundled:sentiment has 146,307 parameters;"
            " they need at least 2.5 MiB (weights), but only 1.0 MiB is free; choose smaller models or use another"
            " device",
        ),
        (
            "vqa",
            (*VQA, "freeze=nothing"),
            "the models do not fit on cpu: the text encoder bundled:text_encoder has 250,080 parameters, the image"
            " encoder bundled:image_encoder has 369,888 parameters, the decoder bundled:decoder has 483,264 parameters"
            " and the projection layer has 18,624 parameters; they need at least 17.0 MiB (weights, gradients"
            " and Adam's moments), but only 1.0 MiB is free; choose smaller parts, freeze more of it"
            " (model.freeze) or use another device",
        ),
        (
            "reward",
            REWARD,
            "the model does not fit on cpu: the classifier bundled:grammar has 146,177 parameters; it needs at"
            " least 2.2 MiB (weights, gradients and Adam's moments), but only 1.0 MiB is free; choose a smaller"
            " classifier or use another device",
        ),
    ],
)
def test_models_that_cannot_fit_are_refused_before_any_is_loaded(
    kind: str, settings: Sequence[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_load(monkeypatch)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**20)
    run = looptop.start(chosen(kind, "device=cpu", *settings))
    assert run.wait() is RunState.FAILED
    assert run.reason == reason


def test_on_a_gpu_each_process_counts_its_own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def count(copies: int) -> list[ModelSize]:
        asked.append(copies)
        return [ModelSize("the decoder", 1000, copies=copies)]

    monkeypatch.setattr(memory, "free_bytes", lambda device: {"cuda:1": 3999}[device])
    with pytest.raises(
        LooptopError, match=r"does not fit on cuda:1: the decoder has 1,000 parameters; .*; buy one or use"
    ):
        memory.check_memory(cast(Any, None), Device("cuda:1", "fp32", "a GPU", 1), count, "adamw_torch", ["buy one"])
    assert asked == [1]


def test_processes_that_share_the_memory_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ppo_config(tmp_path, "processes=2", "device=cpu")
    refuse_to_load(monkeypatch)
    needed = sum(size.bytes_needed("adamw_torch") for size in ppo_sizes(config, 2))
    assert needed > sum(size.bytes_needed("adamw_torch") for size in ppo_sizes(config))
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed - 1)
    run = looptop.start(config)
    assert run.wait() is RunState.FAILED
    assert "parameters in each of 2 processes" in run.reason
    assert "start fewer processes (training.processes)" in run.reason


@pytest.mark.parametrize(("kind", "settings"), [("ppo", ()), ("vqa", VQA), ("reward", REWARD)])
def test_models_that_just_fit_are_trained_and_the_figures_are_journalled(
    kind: str, settings: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "ppo":
        config: RunConfig = ppo_config(tmp_path, "max_steps=1", "eval_steps=1", "device=cpu")
    else:
        config = chosen(kind, "device=cpu", *settings)
    sizes = (
        ppo_sizes(config) if isinstance(config, PpoRunConfig)
        else vqa_sizes(config.model) if isinstance(config, VqaRunConfig)
        else reward_sizes(config)
    )  # fmt: skip
    needed = sum(size.bytes_needed("adamw_torch") for size in sizes)
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed)
    run = looptop.start(config)
    assert run.wait() is RunState.FINISHED, run.reason
    (event,) = [event.text for event in run.journal.events() if event.kind == "memory"]
    assert event == (
        f"models need at least {bytes_text(needed)} on cpu (weights, gradients and Adam's moments);"
        f" {bytes_text(needed)} is free"
    )


def test_a_run_whose_models_cannot_be_counted_fails_by_what_loads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nobody-knows"}')
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    run = looptop.start(chosen("reward", f"classifier={tmp_path}", *REWARD))
    assert run.wait() is RunState.FAILED
    assert run.reason.startswith(f"the model in {tmp_path} cannot be loaded: ")
