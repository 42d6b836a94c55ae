"""A run of several processes gives the same results as with one, and is one run to watch, control and end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from PIL import Image
from transformers import BertConfig, BertModel

import looptop.engine as looptop
from looptop.engine import config as configuration
from looptop.engine.compute.device import Device
from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.judgements import record_judgement
from looptop.engine.ppo.records import TOKEN_COLUMNS
from looptop.engine.runs import checkpoint
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup import companions
from looptop.engine.startup.host import launch
from looptop.engine.startup.run import Run
from looptop.engine.startup.run import resume as go_on
from looptop.engine.vqa.model.vqa_model import VqaModel
from tests.factories.ppo import ppo_config, reward_config
from tests.factories.processes import has_ended
from tests.factories.published_models import save_vqa_parts
from tests.support import eventually, hold_at, last, wait_taken

TOLERANCE = 1e-4
"""Sums are added in another order."""


def finished(run: Run) -> RunFolder:
    assert run.wait() is RunState.FINISHED, run.reason
    return run.folder


def figures(folder: RunFolder) -> dict[str, list[tuple[int, Any]]]:
    """Every metric that does not depend on the clock."""
    journal = Journal(folder.db)
    return {
        name: [(point.step, point.value) for point in journal.values(name)]
        for name in journal.names()
        if not name.startswith(("time/", "train_", "eval_runtime", "eval_steps_per", "eval_samples_per"))
        and not name.startswith(("test_runtime", "test_steps_per", "test_samples_per"))
        and name not in ("samples_per_second", "seconds_left", "total_flos")
    }


def agree(run: RunFolder, wanted: RunFolder) -> None:
    ours, theirs = figures(run), figures(wanted)
    assert ours.keys() == theirs.keys()
    for name, points in ours.items():
        assert points == [
            (step, pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE, nan_ok=True)) for step, value in theirs[name]
        ], name


def companions_of(folder: RunFolder) -> list[psutil.Process]:
    words = {"looptop.engine.startup.companions", str(folder.path)}
    return [each for each in psutil.process_iter(["cmdline"]) if words <= set(each.info["cmdline"] or [])]


def test_two_processes_make_the_batches_that_one_makes(tmp_path: Path) -> None:
    """Mini-batches of 3 samples, so that the two have different shares; the whole distribution's KL; one sample out."""
    chosen = ppo_config(
        tmp_path, "batch_size=6", "mini_batch_size=3", "kl_penalty=full", "precision=fp32", "max_steps=3",
        "eval_steps=3", "held_out=5", "per_device_eval_batch_size=2", "ppo_epochs=2",
    )  # fmt: skip
    folders = []
    for count in (1, 2):
        run = looptop.start(configuration.override(chosen, [f"processes={count}"]))
        run.pause()
        eventually(lambda run=run: run.state is RunState.PAUSED)  # type: ignore[misc]
        record_judgement(run.folder, 2, 1, "leave_out", 1.0, "test")
        run.continue_()
        folders.append(finished(run))
    alone, together = folders
    agree(together, alone)
    assert Journal(together.db).facts()["processes"] == 2
    for step in (1, 2, 3):
        for ours, theirs in zip(*(PpoJournal(folder.db).samples(step) for folder in (together, alone)), strict=True):
            assert (ours.query, ours.response, ours.reference_response) == (
                theirs.query, theirs.response, theirs.reference_response,
            )  # fmt: skip
            assert ours.reward == pytest.approx(theirs.reward, abs=TOLERANCE)
        ours, theirs = (PpoJournal(folder.db).tokens(step, 4) for folder in (together, alone))
        assert ours.ids == theirs.ids  # type: ignore[union-attr]
        for name in TOKEN_COLUMNS:
            assert ours.columns[name] == pytest.approx(theirs.columns[name], rel=1e-3, abs=1e-3, nan_ok=True), name  # type: ignore[union-attr]


def images(folder: Path, count: int) -> Path:
    """Questions about small images, of which the sixth is none."""
    folder.mkdir()
    lines = ["image,question,answer"]
    for number in range(count):
        colour = ("red", "blue")[number % 2]
        Image.new("RGB", (16, 16), colour).save(folder / f"{number}.png")
        lines.append(f"{number}.png,what color is it?,{colour}")
    (folder / "5.png").write_text("no image")
    (folder / "questions.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_run_of_two_processes_resumes_exactly_and_names_every_image_that_cannot_be_read(tmp_path: Path) -> None:
    source = images(tmp_path / "images", 24)
    chosen = configuration.override(
        configuration.preset("tiny"),
        [
            f"data.source={source}", "per_device_train_batch_size=2", "per_device_eval_batch_size=2", "processes=2",
            "eval_strategy=steps", "eval_steps=4", "max_steps=8", "precision=fp32", "keep_features=false",
            "validation_fraction=0.3", "save_minutes=1000",
        ],
    )  # fmt: skip
    whole = finished(looptop.start(chosen))
    told = " ".join(event.text for event in Journal(whole.db).events() if event.kind == "data")
    assert told.count("left out") == 1 and "5.png" in told, "whichever of the two met it, it is reported once"
    facts = Journal(whole.db).facts()
    assert list(facts["left_out"].values()) == [1]

    run = looptop.start(chosen)
    hold_at(run, 5)
    run.stop(checkpoint=False)
    assert run.wait() is RunState.STOPPED, run.reason
    kept = checkpoint.newest_complete(run.folder.checkpoints, None)
    assert kept is not None and {file.name for file in kept.glob("rng_state*")} == {
        "rng_state_0.pth",
        "rng_state_1.pth",
    }
    again = finished(go_on(run.id))
    agree(again, whole)


def test_a_run_of_two_processes_obeys_and_takes_its_companion_with_it(tmp_path: Path) -> None:
    chosen = ppo_config(tmp_path, "processes=2", "max_steps=100000", "eval_steps=100000")
    folder = launch(chosen)
    try:
        owner = folder.owner()
        assert owner is not None
        eventually(lambda: (last := Journal(folder.db).last("loss")) and last.step >= 2)
        assert "paused" in str(wait_taken(folder, send(folder, "pause", by="test"), 60))
        held = last(Journal(folder.db), "loss").step
        send(folder, "step", by="test")
        eventually(lambda: last(Journal(folder.db), "loss").step == held + 1)
        eventually(lambda: folder.state() is RunState.PAUSED)

        (companion,) = companions_of(folder)
        companion.send_signal(signal.SIGKILL)
        eventually(lambda: not folder.is_live())
        assert folder.state() is RunState.FAILED
        assert "process 2 of 2 was ended by SIGKILL" in Journal(folder.db).states()[-1].reason
    finally:
        if folder.is_live():
            os.kill(owner.pid, signal.SIGKILL)  # type: ignore[union-attr]


def test_a_companion_does_not_outlive_a_run_that_is_killed(tmp_path: Path) -> None:
    folder = launch(ppo_config(tmp_path, "processes=2", "max_steps=100000", "eval_steps=100000"))
    owner = folder.owner()
    assert owner is not None
    eventually(lambda: (last := Journal(folder.db).last("loss")) and last.step >= 1)
    (companion,) = companions_of(folder)
    rendezvous = next(Path(word) for word in companion.cmdline() if word.endswith("rendezvous"))
    assert rendezvous.exists()
    os.kill(owner.pid, signal.SIGKILL)
    eventually(lambda: has_ended(companion.pid))
    eventually(lambda: not rendezvous.parent.exists())  # nothing of it stays behind
    eventually(lambda: folder.state() is RunState.INTERRUPTED)


TROUBLE = """
import sys
from looptop.engine.errors import LooptopError
from looptop.engine.startup import companions

def fail(kind):
    raise LooptopError("the second \x1b[31mGPU is gone")

companions.training_of = fail
sys.exit(companions.main())
"""


def test_a_companion_that_does_not_start_takes_those_before_it_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def start(words: list[str], **options: Any) -> subprocess.Popen[str]:
        if started:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(real([sys.executable, "-c", "import sys; sys.stdin.read()"], **options))
        return started[0]

    monkeypatch.setattr(companions.subprocess, "Popen", start)  # type: ignore[attr-defined]
    monkeypatch.setattr(companions._Companion, "failure", lambda *_: pytest.fail("it waited for one that runs"))
    folder = RunFolder.create("ppo", ppo_config(tmp_path))
    with pytest.raises(BlockingIOError), companions.with_companions(folder, 3, "cpu", print):
        pass
    assert started[0].poll() == 0


def test_what_goes_wrong_in_a_companion_is_why_the_run_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companions, "PROGRAM", (sys.executable, "-c", TROUBLE))
    run = looptop.start(ppo_config(tmp_path, "processes=2"))
    assert run.wait() is RunState.FAILED
    assert run.reason.startswith("process 2 of 2: the second ") and run.reason.endswith("GPU is gone")
    assert "\x1b" not in run.reason
    assert "WORLD_SIZE" not in os.environ, "the next run of this process is one process again"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("processes=3", "training.processes \\(3\\) must divide a batch's 8 samples"),
        ("processes=0", "processes"),
    ],
)
def test_processes_that_cannot_share_a_batch_are_refused(setting: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match=message):
        ppo_config(tmp_path, setting)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(companions, "pick", lambda device: Device("cuda:0", "fp32", "a GPU", 1))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    run = looptop.start(ppo_config(tmp_path, "processes=2"))
    assert run.wait() is RunState.FAILED
    assert run.reason == "training.processes is 2, and this machine has 1 GPU: each process needs one"


def parts_with_poolers(tmp_path: Path, *settings: str) -> Any:
    """A run of a BERT and a ViT, whose poolers no loss reaches, and a GPT-2."""
    text, image, decoder = save_vqa_parts(tmp_path / "parts", toy=True)
    BertModel(
        BertConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    ).save_pretrained(text)
    return configuration.override(
        configuration.preset("tiny"),
        [
            f"data.source={images(tmp_path / 'images', 24)}", f"text_encoder={text}", f"image_encoder={image}",
            f"decoder={decoder}", "freeze=nothing", "precision=fp32", "per_device_train_batch_size=2",
            "gradient_accumulation_steps=1", "eval_strategy=steps", "eval_steps=2", "max_steps=4", "save_minutes=1000",
            "validation_fraction=0.3", *settings,
        ],
    )  # fmt: skip


def test_two_processes_train_encoders_with_parts_that_no_loss_reaches(tmp_path: Path) -> None:
    folder = finished(looptop.start(parts_with_poolers(tmp_path, "processes=2")))

    facts = Journal(folder.db).facts()
    poolers = 2 * (32 * 32 + 32)
    assert facts["parameters"] - facts["trainable_parameters"] == poolers


def test_a_checkpoint_with_moments_of_parts_that_no_loss_reaches_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = parts_with_poolers(tmp_path)
    whole = finished(looptop.start(chosen))
    with monkeypatch.context() as before:  # As it was: everything is trained, and has moments.
        before.setattr("looptop.engine.vqa.vqa_training.freeze_unreached", lambda model, loss: frozenset())
        run = looptop.start(chosen)
        run.pause()
        eventually(lambda: run.state is RunState.PAUSED)
        run.step()
        eventually(lambda: run.journal.last("loss") and run.state is RunState.PAUSED)
        run.stop()
        assert run.wait() is RunState.STOPPED, run.reason
    kept = checkpoint.newest_complete(run.folder.checkpoints, None)
    assert kept is not None
    groups = torch.load(kept / "optimizer.pt")["param_groups"]
    assert sum(len(group["params"]) for group in groups) == len(list(VqaModel.from_pretrained(kept).parameters()))

    assert figures(finished(go_on(run.id)))["loss"] == figures(whole)["loss"]


def test_two_processes_train_a_reward_model(tmp_path: Path) -> None:
    """TRL's trainer and accelerate send nothing that would have to be unpickled either."""
    run = looptop.start(reward_config(tmp_path, "processes=2", "max_steps=4", "eval_steps=2", "precision=fp32"))
    assert run.wait() is RunState.FINISHED, run.reason
    assert [point.step for point in run.journal.values("loss")] == [1, 2, 3, 4]
