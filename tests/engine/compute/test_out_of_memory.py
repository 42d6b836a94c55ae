"""Running out of memory ends a run or a command in one sentence, and loses nothing that was saved before."""

from __future__ import annotations

import gc
import io
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

import looptop.engine as looptop
from looptop.engine.cli.main import main
from looptop.engine.compute.out_of_memory import is_out_of_memory, out_of_memory_text, release_memory
from looptop.engine.config import override, preset
from looptop.engine.errors import LooptopError
from looptop.engine.helpers.answer_server import Server
from looptop.engine.helpers.answers import AskReply
from looptop.engine.journal.records import RunState
from looptop.engine.models.weights import load_complete_model
from looptop.engine.ppo import step as ppo_step
from looptop.engine.ppo.reward_training import RewardModelTrainer
from looptop.engine.ppo.step import PpoStep
from looptop.engine.runs import checkpoint
from looptop.engine.runs.context import RunContext
from looptop.engine.startup import companions
from looptop.engine.startup.run import Run, resume, start
from looptop.engine.training.result import save_result
from looptop.engine.vqa.model.vqa_model import VqaModel
from looptop.engine.vqa.trainer import VqaTrainer
from tests.factories.ppo import ppo_config
from tests.factories.runs import config

CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 1 has a total capacity of 79.10 GiB of which 1.20 GiB is"
    " free. Including non-PyTorch memory, this process has 77.00 GiB memory in use. If reserved but unallocated memory"
    " is large try setting PYTORCH_ALLOC_CONF=expandable_segments:True"
)
REQUESTED = "1.0 PiB was requested and "


def allocate(*_: Any, **__: Any) -> Any:
    """A real allocation that fails: a petabyte on the CPU."""
    return torch.empty(2**50, dtype=torch.uint8)


def error_of(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


# Recognising --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            torch.OutOfMemoryError(CUDA),
            "out of memory on cuda:1 in step 3: 2.50 GiB was requested and 1.20 GiB is free",
        ),
        (
            torch.OutOfMemoryError(CUDA.replace("If reserved", "1024.00 MiB allowed; If reserved")),
            "out of memory on cuda:1 in step 3: 2.50 GiB was requested and this process may use 1024.00 MiB in total",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "out of memory in step 3",
        ),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be ..."), "out of memory in step 3"),
    ],
)
def test_errors_of_a_gpu_are_recognised(error: BaseException, sentence: str) -> None:
    assert is_out_of_memory(error)
    assert out_of_memory_text(error, "in step 3") == sentence


def test_errors_of_the_cpu_are_recognised() -> None:
    for error in (error_of(allocate), error_of(lambda: np.empty(2**50, dtype=np.uint8)), error_of(lambda: [0] * 2**50)):
        assert is_out_of_memory(error), error
        # Also in a run that computes on a GPU.
        assert out_of_memory_text(error, "in step 3", "cuda:0").startswith("out of memory on cpu in step 3: ")
    assert REQUESTED in out_of_memory_text(error_of(allocate), "in step 3")


@pytest.mark.parametrize(
    "error", [RuntimeError("a shape is wrong"), OSError(28, "No space left on device"), LooptopError("out of memory")]
)
def test_other_errors_are_not_recognised(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_out_of_memory_while_weights_are_read_is_no_damaged_folder() -> None:
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        load_complete_model(allocate, "a model")


# Runs ---------------------------------------------------------------------------------------------------------------


def fail_in_step(monkeypatch: pytest.MonkeyPatch, home: Any, name: str, number: int) -> dict[str, Any]:
    """Makes a function fail by a real allocation in its N-th call; keeps a weak reference to its first argument."""
    real = getattr(home, name)
    seen: dict[str, Any] = {"calls": 0, "fails": True}

    def replaced(*given: Any, **options: Any) -> Any:
        seen["calls"] += 1
        seen["first"] = weakref.ref(given[0])
        if seen["fails"] and seen["calls"] == number:
            allocate()
        return real(*given, **options)

    monkeypatch.setattr(home, name, replaced)
    return seen


def ended_in_a_sentence(run: Run, activity: str, advice: str, step: int) -> None:
    """Checks that the run failed with one sentence, a complete checkpoint of this step and its traceback in the log."""
    assert run.wait() is RunState.FAILED
    folder = run.folder
    beginning, _, rest = run.reason.partition(": ")
    assert beginning == f"out of memory on cpu {activity}"
    assert rest.startswith(REQUESTED)
    end = (
        f"; {advice}; `looptop resume {run.id}` then continues from the checkpoint of step {step}, with the settings of"
        f" {folder.config_file}"
    )
    assert run.reason.endswith(end) and "\n" not in run.reason
    assert folder.summary().reason == run.reason
    newest = checkpoint.newest_complete(folder.checkpoints)
    assert newest is not None and checkpoint.step_of(newest) == step
    assert "Traceback" not in "".join(event.text for event in run.journal.events())
    assert "Traceback (most recent call last)" in folder.log.read_text("utf-8")


VQA = ["max_images=40", "per_device_train_batch_size=16", "eval_strategy=steps", "eval_steps=3", "max_steps=7"]


def test_a_vqa_run_fails_in_a_sentence_frees_its_memory_and_can_be_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = fail_in_step(monkeypatch, VqaModel, "forward", 6)  # One sample goes through it before the first step.
    run = looptop.start(override(preset("tiny"), [*VQA, "precision=fp32", "device=cpu"]))
    ended_in_a_sentence(run, "in step 5", "lower training.per_device_train_batch_size", 3)
    assert seen["first"]() is None, "nothing holds the model, though the caller holds the run"
    again = resume(run.id)
    assert again.wait() is RunState.FINISHED, again.reason
    assert [point.step for point in again.journal.values("loss")] == list(range(1, 8))


def test_an_evaluation_and_kept_features_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = override(preset("tiny"), [*VQA, "precision=fp32", "device=cpu"])
    with monkeypatch.context() as patch:
        patch.setattr("looptop.engine.vqa.trainer.greedy", allocate)
        run = looptop.start(chosen)
        assert run.wait() is RunState.FAILED
    assert run.reason.startswith("out of memory on cpu while it evaluated before its first step: ")
    assert run.reason.endswith("; lower training.per_device_eval_batch_size")
    with monkeypatch.context() as patch:
        patch.setattr("looptop.engine.vqa.question_splits.keep_image_features", allocate)
        run = looptop.start(chosen)
        assert run.wait() is RunState.FAILED
    assert run.reason.startswith("out of memory on cpu while it kept the frozen image encoder's features: ")
    assert run.reason.endswith("; set training.keep_features = false")
    with monkeypatch.context() as patch:
        patch.setattr("looptop.engine.vqa.vqa_training.VqaModel.from_parts", allocate)
        run = looptop.start(chosen)
        assert run.wait() is RunState.FAILED
    assert run.reason.startswith("out of memory on cpu while it loaded the models: ")
    assert run.reason.endswith("; choose smaller parts or freeze more of it (model.freeze)")


def test_a_later_evaluation_is_named_with_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_after(trainer: Any, *given: Any, **options: Any) -> Any:
        return allocate() if trainer.state.global_step == 6 else real(trainer, *given, **options)

    real = VqaTrainer.prediction_step
    monkeypatch.setattr(VqaTrainer, "prediction_step", fail_after)
    run = looptop.start(override(preset("tiny"), [*VQA, "precision=fp32", "device=cpu"]))
    ended_in_a_sentence(run, "while it evaluated after step 6", "lower training.per_device_eval_batch_size", 3)


@pytest.mark.parametrize(
    ("owner", "name", "stage", "advice"),
    [
        (ppo_step, "roll_out", "generated", "lower ppo.batch_size or lower generation.max_new_tokens"),
        (PpoStep, "score", "scored", "lower max_tokens of the reward models or choose smaller reward models"),
        (PpoStep, "compare", "compared", "lower ppo.mini_batch_size or lower generation.max_new_tokens"),
        (
            PpoStep, "make_passes", "updated",
            "lower ppo.mini_batch_size, lower generation.max_new_tokens or set model.lora_rank",
        ),
    ],
)  # fmt: skip
def test_a_ppo_run_names_the_stage_of_its_batch_and_can_be_resumed(
    owner: Any, name: str, stage: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = fail_in_step(monkeypatch, owner, name, 3)
    chosen = ppo_config(tmp_path, "precision=fp32", "reference_responses=0", "device=cpu")
    run = looptop.start(chosen)
    ended_in_a_sentence(run, f"while batch 3 was {stage}", advice, 2)
    assert seen["first"]() is None, "nothing holds the trainer or the policy, though the caller holds the run"
    again = resume(run.id)
    assert again.wait() is RunState.FINISHED, again.reason
    assert [point.step for point in again.journal.values("loss")] == [1, 2, 3, 4]


def test_a_reward_run_fails_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in_step(monkeypatch, RewardModelTrainer, "training_step", 5)
    settings = ["max_pairs=60", "eval_strategy=steps", "eval_steps=3", "max_steps=7", "precision=fp32", "device=cpu"]
    run = looptop.start(override(preset("tiny", "reward"), settings))
    ended_in_a_sentence(run, "in step 5", "lower training.per_device_train_batch_size", 3)


def test_memory_that_runs_out_while_the_result_is_written_does_not_wait_for_a_disk() -> None:
    def train(context: RunContext) -> dict[str, Any]:
        save_result(context, allocate)
        return {}

    run = start(config(), train)
    assert run.wait() is RunState.FAILED
    assert run.reason.startswith("out of memory on cpu while it wrote its result: ")


def test_a_companions_memory_is_why_the_run_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = (
        "import sys, torch\n"
        "from looptop.engine.startup import companions\n"
        "companions.training_of = lambda kind: lambda context: torch.empty(2**50, dtype=torch.uint8)\n"
        "sys.exit(companions.main())\n"
    )
    monkeypatch.setattr(companions, "PROGRAM", (sys.executable, "-c", trouble))
    run = looptop.start(ppo_config(tmp_path, "processes=2", "device=cpu"))
    assert run.wait() is RunState.FAILED
    assert run.reason.startswith(f"process 2 of 2: out of memory on cpu while it ran: {REQUESTED}")
    assert "\n" not in run.reason


def test_the_first_processs_memory_is_not_taken_for_a_broken_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_in_step(monkeypatch, PpoStep, "make_passes", 1)
    run = looptop.start(ppo_config(tmp_path, "processes=2", "device=cpu", "precision=fp32"))
    assert run.wait() is RunState.FAILED
    assert run.reason.startswith(f"out of memory on cpu while batch 1 was updated: {REQUESTED}")


def test_models_that_refer_to_each_other_are_freed() -> None:
    class Holder:
        pass

    assert not gc.isenabled()  # Otherwise it could be freed before it is looked for.
    one = Holder()
    one.itself = one  # type: ignore[attr-defined]
    kept = weakref.ref(one)
    del one
    release_memory(thoroughly=True)
    assert kept() is None


# Commands -----------------------------------------------------------------------------------------------------------


def test_a_command_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "picture.png")
    monkeypatch.setattr(VqaModel, "encode", allocate)
    assert main(["ask", str(tmp_path / "picture.png"), "what color is it?", "--device", "cpu"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"looptop: out of memory on cpu in `looptop ask`: {REQUESTED}")
    assert printed.err.endswith("; use a smaller model or another device (--device), or close other programs\n")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("a mistake of the program"), NotImplementedError("another")])
def test_a_commands_other_errors_keep_their_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("looptop.engine.cli.runs.run", fail)
    with pytest.raises(type(error), match=str(error)):
        main(["runs"])


def test_generating_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("looptop.engine.ppo.responding.roll_out", allocate)
    assert main(["generate", "bundled:summariser", "a text", "--device", "cpu"]) == 2
    assert capsys.readouterr().err.startswith(f"looptop: out of memory on cpu in `looptop generate`: {REQUESTED}")


def test_the_answering_process_reports_it_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written = io.BytesIO()
    server = Server(written, tmp_path / "log")
    monkeypatch.setattr(server, "answer", allocate)
    server.serve(b"{}\n")
    reply = msgspec.json.decode(written.getvalue(), type=AskReply)
    assert reply.error is not None and reply.error.startswith(f"out of memory on cpu while it answered: {REQUESTED}")
    assert "Traceback" in capfd.readouterr().err
