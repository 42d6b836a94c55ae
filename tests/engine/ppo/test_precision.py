"""Training computes no T5 in fp16: its activations overflow there."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForSequenceClassification

import looptop.engine as looptop
from looptop.engine.compute.device import Device
from looptop.engine.config.ppo import RewardConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.ppo import ppo_training, reward_training
from looptop.engine.ppo.fp16 import t5_among
from looptop.engine.ppo.rewards import Classifier, Reward
from tests.factories.ppo import ppo_config, reward_config, save_classifier, save_policy, save_tokenizer


class Stopped(Exception):
    """Training was stopped once it had chosen its device."""


@pytest.fixture
def old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretends a GPU that does not compute bf16 itself."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old GPU")


def precision_of(train: Any, config: Any) -> str:
    """The precision that a training function chooses; it is stopped then."""
    chosen: list[Device] = []

    def compute_on(device: Device) -> None:
        chosen.append(device)
        raise Stopped

    with pytest.raises(Stopped):
        train(SimpleNamespace(config=config, compute_on=compute_on, threads=1))
    assert chosen[0].torch_device == "cuda:0"
    return chosen[0].precision


def save_t5_classifier(folder: Path) -> Path:
    config = T5Config(  # type: ignore[call-arg]
        vocab_size=64, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2, decoder_start_token_id=0, num_labels=1
    )
    T5ForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(folder, 64)
    return folder


def test_ppo_computes_a_t5_in_fp32_where_bf16_is_missing(old_gpu: None, tmp_path: Path) -> None:
    assert precision_of(ppo_training.train, ppo_config(tmp_path / "t5", "device=cuda", "precision=auto")) == "fp32"
    assert precision_of(ppo_training.train, ppo_config(tmp_path / "bf16", "device=cuda", "precision=bf16")) == "bf16"
    gpt2 = ppo_config(tmp_path / "gpt2", "device=cuda", "precision=auto", family="gpt2")
    assert precision_of(ppo_training.train, gpt2) == "fp16"
    reference = save_policy(tmp_path / "reference")
    mixed = ppo_config(
        tmp_path / "mixed", "device=cuda", "precision=auto", f"model.reference={reference}", family="gpt2"
    )
    assert precision_of(ppo_training.train, mixed) == "fp32"


def test_ppo_refuses_fp16_for_a_t5_by_name(old_gpu: None, tmp_path: Path) -> None:
    config = ppo_config(tmp_path, "device=cuda", "precision=fp16")
    with pytest.raises(
        LooptopError, match="policy is a T5 model, and T5's activations overflow in fp16; use precision"
    ):
        ppo_training.train(SimpleNamespace(config=config, threads=1))  # type: ignore[arg-type]
    gpt2 = ppo_config(tmp_path / "gpt2", "device=cuda", "precision=fp16", family="gpt2")
    assert precision_of(ppo_training.train, gpt2) == "fp16"


def test_reward_training_computes_no_t5_in_fp16(old_gpu: None, tmp_path: Path) -> None:
    assert precision_of(reward_training.train, reward_config(tmp_path, "device=cuda", "precision=auto")) == "fp16"
    classifier = f"classifier={save_t5_classifier(tmp_path / 't5')}"
    auto = reward_config(tmp_path, classifier, "device=cuda", "precision=auto")
    assert precision_of(reward_training.train, auto) == "fp32"
    fp16 = reward_config(tmp_path, classifier, "device=cuda", "precision=fp16")
    with pytest.raises(LooptopError, match="t5 is a T5 model"):
        reward_training.train(SimpleNamespace(config=fp16, threads=1))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["t5", "mt5", "umt5", "longt5", "switch_transformers"])
def test_the_kin_of_t5_is_known_by_its_configuration_alone(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "d_model": "wrong", "auto_map": {}}))
    assert t5_among(["", str(tmp_path)]) == str(tmp_path)


def test_other_models_and_unreadable_ones_are_no_t5(tmp_path: Path) -> None:
    for name, text in {
        "gpt2": '{"model_type": "gpt2"}',
        "unknown": '{"model_type": "x"}',
        "broken": "{",
        "list": "[1]",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
        assert t5_among([str(tmp_path / name)]) == ""
    assert t5_among([str(tmp_path / "missing"), "nobody/nothing"]) == ""
    assert t5_among(["bundled:decoder", "bundled:summariser"]) == "bundled:summariser"


class Watched(torch.nn.Module):
    """A classifier that notes which precision its products are computed in."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config, self.device = model, model.config, model.device
        self.seen: set[torch.dtype] = set()

    def forward(self, **inputs: Any) -> Any:
        self.seen.add(torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype)
        return self.model(**inputs)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("family", ["roberta", "t5"])
def test_reward_models_compute_in_the_runs_precision_and_no_t5_in_fp16(
    precision: Any, family: str, tmp_path: Path
) -> None:
    folder = save_classifier(tmp_path / family) if family == "roberta" else save_t5_classifier(tmp_path / family)
    part = RewardConfig(name="r", model=str(folder), label="LABEL_0")
    (exact,) = Classifier.load(part, "cpu")(["q"], ["the tram in Oslo"])
    (scorer,) = Reward.load([part], "cpu", precision).scorers
    assert isinstance(scorer, Classifier)
    watched = scorer.model = Watched(scorer.model)

    (score,) = scorer(["q"], ["the tram in Oslo"])
    overflows = family == "t5" and precision == "fp16"
    wanted = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}["fp32" if overflows else precision]
    assert watched.seen == {wanted}
    assert score == pytest.approx(exact, rel=0.05, abs=0.05)


def test_a_run_scores_in_its_precision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str] = []
    plain = Classifier._autocast
    monkeypatch.setattr(Classifier, "_autocast", lambda self: seen.append(self.precision) or plain(self))
    run = looptop.start(ppo_config(tmp_path, "precision=bf16", "max_steps=1"))
    assert run.wait() is RunState.FINISHED, run.reason
    assert set(seen) == {"bf16"}
