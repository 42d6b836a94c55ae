"""Training as a person gets it: a run that learns, is watched, paused and stopped, and goes on as if undisturbed."""

from __future__ import annotations

import csv
import json
import math
import resource
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from transformers import AttentionInterface, get_cosine_schedule_with_warmup

import looptop.engine as looptop
from looptop.engine import config
from looptop.engine.journal.records import RunState
from looptop.engine.models.names import resolve
from looptop.engine.runs import checkpoint
from looptop.engine.runs.alerts import Alerts
from looptop.engine.runs.alerts.records import Resources, Timing
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import Run, resume
from looptop.engine.vqa.breakdown import read_breakdowns
from looptop.engine.vqa.confidence.doubts import Check, UnknownWords
from looptop.engine.vqa.confidence.training_notes import read_calibration, read_words
from looptop.engine.vqa.data import easy_vqa
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.model import fast_gpt2
from looptop.engine.vqa.model.vqa_model import VqaModel
from tests.support import eventually, hold_at, last, losses, wait_taken

SHORT = ["max_images=60", "per_device_train_batch_size=32", "eval_strategy=steps", "eval_steps=6", "precision=fp32"]


def start(*settings: str) -> Run:
    return looptop.start(config.override(config.preset("tiny"), [*SHORT, *settings]))


def test_a_run_learns_and_leaves_behind_what_a_person_looks_for() -> None:
    run = start("num_train_epochs=6", "learning_rate=5e-3")
    assert run.wait() is RunState.FINISHED, run.reason
    result = run.result()
    journal = run.journal
    validation = journal.values("eval_loss")
    assert validation[0].step == 0, "the first point is the loss before training (figure 7.8)"
    assert validation[-1].value < validation[0].value  # type: ignore[operator]
    assert losses(run.journal)[1] > sum(list(losses(run.journal).values())[-5:]) / 5
    facts = journal.facts()
    total = facts["total_steps"]
    assert list(losses(run.journal)) == list(range(1, total + 1)), "every step is journalled once"
    for name in ("learning_rate", "grad_norm", "samples_per_second", "seconds_left", "epoch"):
        assert last(journal, name).step == total
    assert last(journal, "seconds_left").value == 0
    assert last(journal, "test_accuracy").value == result["accuracy"]
    assert facts["n_test"] > 0 and facts["trainable_parameters"] < facts["parameters"]
    # The run ends with its best model: the first of the highest accuracy.
    best = max(journal.values("eval_accuracy")[1:], key=lambda point: (point.value, -point.step))
    samples = journal.answer_samples(best.step)
    assert len(samples) == 8
    assert all(0 < sample.confidence <= 1 and Path(sample.image).is_file() for sample in samples)
    evaluations = read_breakdowns(journal)
    assert [one.step for one in evaluations] == [point.step for point in validation] == journal.answer_steps()
    for (_, breakdown), point in zip(evaluations, journal.values("eval_accuracy"), strict=True):
        for types in (breakdown.by_answer_type, breakdown.by_question_type):
            assert sum(one.questions for one in types) == facts["n_validation"]
            assert math.isclose(
                sum(one.questions * one.accuracy for one in types) / facts["n_validation"],
                point.value,  # type: ignore[arg-type]
            )
        assert sum(map(sum, breakdown.confusion.counts)) == facts["n_validation"]
    assert 0 < facts["n_validation_images"] < facts["n_validation"]
    assert (run.folder.model / "README.md").is_file()
    answer = looptop.Answerer.load(run.id).answer(Path(samples[0].image), samples[0].question)
    assert answer.answer == samples[0].answer
    fitted = [event.text for event in journal.events() if event.kind == "calibration"]
    assert len(fitted) == 1 and f"on {facts['n_validation']:,} validation questions" in fitted[0]
    assert answer.calibrated and not [doubt for doubt in answer.doubts if isinstance(doubt, UnknownWords)]
    whole = [path.name for path in checkpoint.steps(run.folder.checkpoints).values() if checkpoint.is_complete(path)]
    assert f"checkpoint-{total - total % 6}" in whole and len(whole) <= 3
    # Its best checkpoint is calibrated as the result is, on the answers of its own evaluation.
    kept, ended = run.folder.checkpoints / f"checkpoint-{best.step}", run.folder.model
    by_evaluation, at_the_end = read_calibration(kept), read_calibration(ended)
    assert by_evaluation is not None and at_the_end is not None
    assert by_evaluation.questions == at_the_end.questions == facts["n_validation"]
    assert by_evaluation.temperature == pytest.approx(at_the_end.temperature, rel=0.01)
    assert by_evaluation.error == pytest.approx(at_the_end.error, abs=0.001)
    assert read_words(kept) == read_words(ended) and read_words(ended)
    from_checkpoint = looptop.Answerer.load(f"{run.id}:{kept.name}").answer(Path(samples[0].image), samples[0].question)
    assert from_checkpoint.confidence == pytest.approx(answer.confidence, abs=0.001)
    assert from_checkpoint.calibrated and from_checkpoint.unchecked == [Check.IMAGE]


def test_the_kernels_of_transformers_give_the_same_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    def attend(*arguments: Any, **options: Any) -> Any:
        used.append("fast")
        return fast_gpt2.attend(*arguments, **options)

    monkeypatch.setitem(AttentionInterface._global_mapping, fast_gpt2.ATTENTION, attend)
    fast = start("max_steps=4", "kernels=fast")
    assert fast.wait() is RunState.FINISHED, fast.reason
    assert used
    used.clear()
    plain = start("max_steps=4", "kernels=transformers")
    assert plain.wait() is RunState.FINISHED, plain.reason
    assert not used
    assert losses(fast.journal) == pytest.approx(losses(plain.journal), rel=1e-4)


def table_of_the_benchmark(folder: Path, rows: int) -> Path:
    """A folder's table of some of the benchmark's questions: data that has no test split."""
    folder.mkdir()
    taken = list(easy_vqa.rows("train", Problems()))[:rows]
    with (folder / "questions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question", "answer"])
        writer.writerows([row.image, row.question, row.answer] for row in taken)
    return folder


def test_without_a_test_split_the_result_is_what_the_best_evaluation_measured(tmp_path: Path) -> None:
    data = table_of_the_benchmark(tmp_path / "data", 300)
    run = looptop.start(
        config.override(
            config.preset("tiny"),
            [f"source={data}", "eval_strategy=steps", "eval_steps=3", "max_steps=10", "learning_rate=1e-5",
             "per_device_train_batch_size=64", "validation_fraction=0.2"],
        )
    )  # fmt: skip
    assert run.wait() is RunState.FINISHED, run.reason
    measured = {point.step: point for point in run.journal.values("eval_loss")}
    assert list(measured) == [0, 3, 6, 9, 10], "the last step is measured, wherever it falls"
    accuracy = {point.step: point.value for point in run.journal.values("eval_accuracy")}
    best = max(list(measured)[1:], key=lambda step: (accuracy[step], -step))
    assert best < 10, "it learns so slowly that its accuracy stays, or this shows nothing"
    result = run.result()
    assert (result["step"], result["loss"], result["accuracy"]) == (best, measured[best].value, accuracy[best])
    # What was measured after the last step stays what it was: the best model is not measured again over it.
    assert measured[10].value != measured[best].value
    checkpoints = [event.time for event in run.journal.events() if event.text == "checkpoint of step 10 written"]
    assert measured[10].time < checkpoints[0]
    # Prolonged, with another learning rate: the schedule is that of a run of this length from the start.
    before = losses(run.journal)
    longer = resume(run.id, settings=["max_steps=14", "learning_rate=2e-5"])
    assert longer.wait() is RunState.FINISHED, longer.reason
    assert longer.journal.facts()["total_steps"] == 14 and list(losses(longer.journal)) == list(range(1, 15))
    assert {step: loss for step, loss in losses(longer.journal).items() if step <= 10} == before
    schedule = get_cosine_schedule_with_warmup(torch.optim.SGD([torch.zeros(1)], lr=2e-5), 1, 14).lr_lambdas[0]
    rates = {point.step: point.value for point in longer.journal.values("learning_rate")}
    assert [rates[step] for step in (11, 12, 14)] == pytest.approx([2e-5 * schedule(step - 1) for step in (11, 12, 14)])
    assert max(point.step for point in longer.journal.values("eval_loss")) == 14
    assert longer.folder.config().training.max_steps == 14
    assert "training.max_steps: 10 before, 14 from here on" in [event.text for event in longer.journal.events()]
    assert longer.result()["step"] in checkpoint.steps(longer.folder.checkpoints)


def decoder_with_dropout(folder: Path) -> Path:
    """The bundled decoder with dropout, so that a step depends on the random numbers before it."""
    shutil.copytree(resolve("bundled:decoder"), folder)
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"resid_pdrop": 0.2, "embd_pdrop": 0.2, "attn_pdrop": 0.2}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        ("fusion=mean",),
        (
            "fusion=tokens",
            "freeze=nothing",
            "gradient_accumulation_steps=2",
            "keep_features=false",
            "per_device_train_batch_size=8",
            "max_images=30",
        ),
    ],
    ids=["kept features", "all parts trained, two batches a step"],
)
def test_a_resumed_run_makes_the_same_losses_as_an_undisturbed_one(settings: tuple[str, ...], tmp_path: Path) -> None:
    settings = (*settings, f"decoder={decoder_with_dropout(tmp_path / 'decoder')}")
    undisturbed = start("max_steps=12", *settings)
    assert undisturbed.wait() is RunState.FINISHED, undisturbed.reason
    expected = losses(undisturbed.journal)

    run = start("max_steps=12", *settings)
    hold_at(run, 8)
    run.stop(checkpoint=False)
    assert run.wait() is RunState.STOPPED, run.reason
    made = losses(run.journal)
    again = resume(run.id)
    assert again.wait() is RunState.FINISHED, again.reason
    events = [event.text for event in again.journal.events() if event.kind == "resume"]
    assert events and "checkpoint-" in events[-1]
    assert losses(again.journal).keys() == expected.keys()
    for step, loss in losses(again.journal).items():
        assert math.isclose(loss, expected[step], abs_tol=1e-6), step
    for step, loss in made.items():
        assert math.isclose(loss, expected[step], abs_tol=1e-6), step
    assert again.result()["accuracy"] == undisturbed.result()["accuracy"]
    assert read_breakdowns(again.journal) == read_breakdowns(undisturbed.journal)
    whole = [last(one.journal, "train_loss").value for one in (undisturbed, again)]
    assert whole == pytest.approx([sum(expected.values()) / len(expected)] * 2, abs=1e-6)
    first, second = (VqaModel.from_pretrained(one.folder.model).state_dict() for one in (undisturbed, again))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_the_best_checkpoint_is_what_the_run_ends_with(tmp_path: Path) -> None:
    run = start("max_steps=18", "learning_rate=2e-2", "metric_for_best_model=loss", "freeze=nothing")
    assert run.wait() is RunState.FINISHED, run.reason
    best = min(run.journal.values("eval_loss"), key=lambda point: (point.value, point.step))
    if best.step == 0:
        best = min(run.journal.values("eval_loss")[1:], key=lambda point: (point.value, point.step))
    ended = VqaModel.from_pretrained(run.folder.model).state_dict()
    kept = VqaModel.from_pretrained(run.folder.checkpoints / f"checkpoint-{best.step}").state_dict()
    assert all(torch.equal(ended[name], kept[name]) for name in ended)


@pytest.mark.parametrize("eval_steps", [1, 100_000])
def test_pause_step_checkpoint_and_stop_are_taken_at_a_steps_end(eval_steps: int) -> None:
    """Also where the step that is held is evaluated, which comes before its checkpoint."""
    run = start("max_steps=100000", f"eval_steps={eval_steps}")
    eventually(lambda: len(losses(run.journal)) >= 3)
    run.pause()
    eventually(lambda: run.state is RunState.PAUSED)
    held = max(losses(run.journal))
    run.step()
    eventually(lambda: max(losses(run.journal)) == held + 1)
    eventually(lambda: run.state is RunState.PAUSED)
    assert wait_taken(run.folder, run.checkpoint(), 60) == f"makes a checkpoint after step {held + 1}"
    eventually(lambda: checkpoint.is_complete(run.folder.checkpoints / f"checkpoint-{held + 1}"))
    assert run.state is RunState.PAUSED, "a checkpoint does not let a paused run go on"
    run.continue_()
    eventually(lambda: max(losses(run.journal)) > held + 3)
    run.stop()
    assert run.wait() is RunState.STOPPED, run.reason
    last = max(losses(run.journal))
    assert checkpoint.is_complete(run.folder.checkpoints / f"checkpoint-{last}")


def test_nan_in_the_loss_fails_the_run_and_names_tensor_and_step() -> None:
    run = start("max_steps=60", "learning_rate=1e30", "max_grad_norm=0", "lr_scheduler_type=constant", "warmup_steps=0")
    assert run.wait() is RunState.FAILED
    assert "the tensor '" in run.reason and "at step " in run.reason
    assert "\n" not in run.reason
    assert "NonFiniteError" in run.folder.log.read_text()


def test_a_crash_fails_the_run_with_its_reason_and_leaves_the_traceback_in_its_log(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "data.csv").write_text("image,question,answer\nnone.png,what?,this\n")
    run = looptop.start(config.override(config.preset("tiny"), [f"source={tmp_path}"]))
    assert run.wait() is RunState.FAILED
    assert "none.png" in " ".join([run.reason, *(event.text for event in run.journal.events())])
    assert "Traceback" in run.folder.log.read_text()


# A limit on the size of files stands for the full disk: the journal fits, weights do not.
LIMITED = (
    "import resource, sys;"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, resource.getrlimit(resource.RLIMIT_FSIZE)[1]));"
    "from looptop.engine.startup.host import main; sys.exit(main())"
)


needs_limits = pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="lifts another process's limit")


def make_room(folder: RunFolder) -> None:
    owner = folder.owner()
    assert owner is not None
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    psutil.Process(owner.pid).rlimit(psutil.RLIMIT_FSIZE, (hard, hard))


@needs_limits
def test_a_disk_that_takes_no_checkpoint_costs_the_checkpoint_and_not_the_run() -> None:
    chosen = config.override(config.preset("tiny"), [*SHORT, "max_steps=14"])
    folder = looptop.launch(chosen, program=(sys.executable, "-c", LIMITED))
    eventually(lambda: folder.state() is RunState.PAUSED)
    journal = looptop.Journal(folder.db)
    assert [point.step for point in journal.values("loss")] == list(range(1, 15))
    warnings = [event.text for event in journal.events() if event.level == "warning"]
    assert any("checkpoint of step 6 could not be written" in text and "continues" in text for text in warnings)
    # The later ones are of the same kind: only the log has them.
    assert sum("could not be written" in text for text in warnings) == 1
    assert "checkpoint of step 12 could not be written" in folder.log.read_text()
    assert checkpoint.newest_complete(folder.checkpoints) is None
    assert "the result could not be written" in journal.state()[1]
    make_room(folder)
    send(folder, "continue")
    eventually(lambda: not folder.is_live())
    assert folder.state() is RunState.FINISHED
    assert looptop.Answerer.load(folder.id).name == folder.id


@needs_limits
def test_a_stop_whose_checkpoint_cannot_be_written_holds_the_run_until_there_is_room() -> None:
    chosen = config.override(config.preset("tiny"), [*SHORT, "max_steps=100000", "eval_steps=100000"])
    folder = looptop.launch(chosen, program=(sys.executable, "-c", LIMITED))
    journal = looptop.Journal(folder.db)
    eventually(lambda: len(journal.values("loss")) >= 3)
    send(folder, "stop")
    eventually(lambda: folder.state() is RunState.PAUSED)
    step = max(point.step for point in journal.values("loss"))
    assert f"the checkpoint of step {step} could not be written" in journal.state()[1]
    assert not any("training continues" in event.text for event in journal.events()), "which would not be true"
    make_room(folder)
    send(folder, "continue")
    eventually(lambda: not folder.is_live())
    assert journal.state() == (RunState.STOPPED, f"stopped on request, with a checkpoint of step {step}")
    assert checkpoint.is_complete(folder.checkpoints / f"checkpoint-{step}")


def test_a_stop_leaves_an_evaluation_undone_and_whoever_goes_on_makes_it() -> None:
    undisturbed = start("max_steps=12")
    assert undisturbed.wait() is RunState.FINISHED, undisturbed.reason

    run = start("max_steps=12")
    wait_taken(run.folder, run.pause(), 60)
    while max(losses(run.journal), default=0) < 6:
        before = max(losses(run.journal), default=0)
        run.step()
        eventually(lambda before=before: max(losses(run.journal), default=0) > before)  # type: ignore[misc]
        eventually(lambda: run.state is RunState.PAUSED)
    run.stop()  # held at the end of step 6, before its evaluation
    assert run.wait() is RunState.STOPPED
    assert run.reason == "stopped on request, with a checkpoint of step 6"
    assert [point.step for point in run.journal.values("eval_loss")] == [0]
    kept = run.folder.checkpoints / "checkpoint-6"
    assert read_calibration(kept) is None, "no answers of this step are known"

    again = resume(run.id)
    assert again.wait() is RunState.FINISHED, again.reason
    for name in ("eval_loss", "eval_accuracy", "loss"):
        made, expected = again.journal.values(name), undisturbed.journal.values(name)
        assert [point.step for point in made] == [point.step for point in expected]
        assert all(
            math.isclose(one.value, other.value, abs_tol=1e-6)  # type: ignore[arg-type]
            for one, other in zip(made, expected, strict=True)
        )
    expected_calibration = read_calibration(undisturbed.folder.checkpoints / "checkpoint-6")
    assert expected_calibration is not None and read_calibration(kept) == expected_calibration
    assert checkpoint.is_complete(kept, reads=True)
    for name in ("accuracy", "step"):
        assert again.result()[name] == undisturbed.result()[name]


def test_a_stop_during_the_last_evaluation_stops_the_run_and_resuming_makes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = RunContext.pass_between_steps

    def stop_in_the_last_one(context: RunContext, text: str, done: int, total: int) -> None:
        if checkpoint.is_complete(context.folder.checkpoints / "checkpoint-6") and 0 < done < total:
            context.request_stop()
        real(context, text, done, total)

    with monkeypatch.context() as patch:
        patch.setattr(RunContext, "pass_between_steps", stop_in_the_last_one)
        run = start("max_steps=6", "max_images=250", "per_device_eval_batch_size=4")
        assert run.wait(60) is RunState.STOPPED
    assert any("step 6 written" in event.text for event in run.journal.events())
    assert run.reason == "stopped on request, with a checkpoint of step 6"
    assert "test_accuracy" not in run.journal.names() and not run.folder.model.exists()
    again = resume(run.id)
    assert again.wait() is RunState.FINISHED, again.reason
    assert last(again.journal, "test_accuracy").value == again.result()["accuracy"]
    assert max(losses(again.journal)) == 6, "no step more than was asked for"


def test_early_stopping_is_trainers_own() -> None:
    run = start("max_steps=400", "learning_rate=1e-9", "early_stopping_patience=2", "metric_for_best_model=accuracy")
    assert run.wait() is RunState.FINISHED, run.reason
    assert max(losses(run.journal)) < 400


def test_a_run_that_diverges_raises_alerts_and_the_baseline_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    timings: list[Timing] = []
    left: list[Resources] = []
    monkeypatch.setattr(Alerts, "on_timing", lambda alerts, timing: timings.append(timing))
    monkeypatch.setattr(Alerts, "on_resources", lambda alerts, resources: left.append(resources))
    run = start("num_train_epochs=12", "learning_rate=30", "max_grad_norm=0")
    assert run.wait() is RunState.FINISHED, run.reason
    baseline = run.journal.facts()["question_only_accuracy"]
    assert 0.3 < baseline < 0.95
    events = [event for event in run.journal.events() if event.kind == "alert"]
    assert all(event.step and event.level == "warning" for event in events)
    beginnings = [
        "the training loss is still above",
        "the validation loss is worse",
        "the validation accuracy is no better",
    ]
    assert all(sum(event.text.startswith(words) for event in events) == 1 for words in beginnings), events
    assert [timing.step for timing in timings] == list(range(1, run.journal.facts()["total_steps"] + 1))
    assert all(0 < timing.loading_seconds < timing.seconds and timing.work == 32 for timing in timings)
    newest = checkpoint.newest_complete(run.folder.checkpoints)
    assert newest is not None and left[0].step == 1 and left[0].disk_free > 0 == left[0].gpu_total
    written = (
        sum(path.stat().st_size for path in newest.rglob("*.safetensors")) + (newest / "optimizer.pt").stat().st_size
    )
    assert left[0].checkpoint_bytes == pytest.approx(written, rel=0.05)


@pytest.mark.parametrize("fusion", ["mean", "tokens"])
def test_features_of_questions_that_do_not_fit_are_not_kept_and_change_nothing(
    fusion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (f"fusion={fusion}", "freeze=encoders", "max_steps=4")
    kept = start(*settings)
    assert kept.wait() is RunState.FINISHED, kept.reason
    assert not [event for event in kept.journal.events() if "are not kept" in event.text]

    full = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=0))
    monkeypatch.setattr("looptop.engine.vqa.question_splits.psutil", full)
    asked = start(*settings)
    assert asked.wait() is RunState.FINISHED, asked.reason
    texts = [event.text for event in asked.journal.events() if event.kind == "features"]
    assert [text.partition(" would take")[0].split()[-1] for text in texts] == ["images", *["questions"] * 3]
    assert all("are not kept; a quarter of the free memory is 0.0 GiB" in text for text in texts)
    assert losses(asked.journal) == pytest.approx(losses(kept.journal), abs=1e-4)
