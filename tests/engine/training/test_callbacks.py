"""Trainer's own loop, watched and controlled through the callback: in a run of looptop, or in any program."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from looptop.engine.cli.main import main
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import start
from looptop.engine.training.callbacks import JournalCallback
from tests.factories.runs import config
from tests.factories.trainers import trainer
from tests.support import eventually, last, wait_taken

pytestmark = pytest.mark.slow  # They train.


def test_a_run_is_journalled_under_trainers_own_names() -> None:
    def train(context: RunContext) -> dict[str, Any]:
        trainer(context.folder.checkpoints, JournalCallback(context)).train()
        return {}

    run = start(config(), train)
    assert run.wait() is RunState.FINISHED, run.reason
    journal = run.journal
    assert [point.step for point in journal.values("loss")] == list(range(1, 13))
    assert [point.step for point in journal.values("eval_loss")] == [6, 12]
    assert {"grad_norm", "learning_rate", "epoch", "eval_runtime", "train_loss", "train_runtime"} <= set(
        journal.names()
    )
    assert journal.facts()["total_steps"] == 12
    assert journal.facts()["epochs"] == 6.0


def test_metrics_that_are_journalled_elsewhere_are_left_out() -> None:
    def train(context: RunContext) -> dict[str, Any]:
        context.journal.metrics(10, {"loss": 77.0})
        trainer(context.folder.checkpoints, JournalCallback(context, leave_out=["loss"]), logging_steps=5).train()
        return {}

    run = start(config(), train)
    assert run.wait() is RunState.FINISHED, run.reason
    assert [(point.step, point.value) for point in run.journal.values("loss")] == [(10, 77.0)]
    assert [point.step for point in run.journal.values("grad_norm")] == [5, 10]


def test_a_paused_trainer_makes_the_checkpoint_it_is_asked_for_and_stops_where_it_stands() -> None:
    def train(context: RunContext) -> dict[str, Any]:
        trainer(context.folder.checkpoints, JournalCallback(context), steps=1_000_000, eval_strategy="no").train()
        return {}

    run = start(config(), train)
    wait_taken(run.folder, run.pause(), 60)
    last = run.journal.last("loss")
    held = last.step if last else 0
    wait_taken(run.folder, run.checkpoint(), 60)
    eventually(lambda: [path.name for path in run.folder.checkpoints.glob("checkpoint-*/trainer_state.json")])
    assert run.state is RunState.PAUSED
    run.stop()
    assert run.wait() is RunState.STOPPED
    (saved,) = run.folder.checkpoints.iterdir()
    assert run.journal.values("loss")[-1].step == int(saved.name.partition("-")[2]) >= held


@pytest.mark.parametrize("stop_at", [1, 2], ids=["in the middle of an epoch", "at its last step"])
def test_a_stopped_trainer_evaluates_only_where_it_would_have_anyway(stop_at: int) -> None:
    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step + 1 == 2 + stop_at:
                stopping.request_stop()

    def train(context: RunContext) -> dict[str, Any]:
        nonlocal stopping  # type: ignore[misc]
        stopping = context
        loop = trainer(
            context.folder.checkpoints, JournalCallback(context), eval_strategy="epoch", save_strategy="epoch"
        )
        loop.add_callback(Stop())
        loop.train()
        return {}

    stopping: Any = None
    run = start(config(), train)
    assert run.wait() is RunState.STOPPED, run.reason
    assert run.journal.values("loss")[-1].step == 2 + stop_at
    assert [point.step for point in run.journal.values("eval_loss")] == ([2] if stop_at == 1 else [2, 4])
    states = {
        path.name: json.loads((path / "trainer_state.json").read_text()) for path in run.folder.checkpoints.iterdir()
    }
    assert sorted(states) == ["checkpoint-2", f"checkpoint-{2 + stop_at}"]
    evaluated = [row["step"] for row in states[f"checkpoint-{2 + stop_at}"]["log_history"] if "eval_loss" in row]
    assert evaluated == ([2] if stop_at == 1 else [2, 4])


def test_any_trainer_becomes_a_run_that_can_be_watched_and_controlled(tmp_path: Path) -> None:
    callback = JournalCallback(name="mine")
    thread = threading.Thread(
        target=trainer(tmp_path, callback, steps=1_000_000, eval_strategy="no", logging_steps=2).train
    )
    thread.start()
    eventually(RunFolder.all)
    (folder,) = RunFolder.all()
    assert folder.id == "trainer-1"
    eventually(lambda: Journal(folder.db).last("loss"))
    assert folder.state() is RunState.RUNNING
    assert wait_taken(folder, send(folder, "pause"), 60) is not None
    assert folder.summary().state is RunState.PAUSED
    assert wait_taken(folder, send(folder, "stop"), 60) is not None
    thread.join()
    assert folder.state() is RunState.STOPPED
    assert not folder.is_live()
    assert Journal(folder.db).facts()["name"] == "mine"
    assert folder.settings()["arguments"]["learning_rate"] == 1e-2


def test_names_that_are_not_utf_8_neither_end_a_training_nor_lose_values(tmp_path: Path) -> None:
    callback = JournalCallback(name="caf\udce9 \ud800")

    class Logs(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            callback.on_log(args, state, control, {"ok": 1.0, "caf\udce9": 2.0})

    training = trainer(tmp_path / "caf\udce9", callback, steps=3, eval_strategy="no")
    training.add_callback(Logs())
    training.train()
    (folder,) = RunFolder.all()
    assert folder.state() is RunState.FINISHED
    assert [path.name for path in folder.path.parent.iterdir()] == [folder.id]
    assert folder.about().title == "caf\udce9 \ud800" == folder.settings()["name"]
    journal = Journal(folder.db)
    assert [point.value for point in journal.values("ok")] == [1.0] * 3
    assert [point.value for point in journal.values("caf\udce9")] == [2.0] * 3
    (name,) = [name for name in journal.names() if name.startswith("caf")]
    assert journal.last(name) is not None and journal.series(name).steps
    assert main(["metrics", folder.id, "caf\udce9"]) == 0


def test_one_callback_makes_a_run_for_each_training(tmp_path: Path) -> None:
    callback = JournalCallback(name="twice")
    for _ in range(2):
        trainer(tmp_path, callback, steps=3, eval_strategy="no").train()
    assert [folder.state() for folder in RunFolder.all()] == [RunState.FINISHED] * 2
    assert {folder.id for folder in RunFolder.all()} == {"trainer-1", "trainer-2"}


# Before, after and beside training -----------------------------------------------------------------------------------


def test_what_is_logged_before_and_after_training_is_in_the_run(tmp_path: Path) -> None:
    callback = JournalCallback(name="whole story")
    loop = trainer(tmp_path, callback, steps=3, eval_strategy="no")
    before = loop.evaluate()["eval_loss"]
    assert not RunFolder.all(), "a run begins with training"
    loop.train()
    after = loop.evaluate()["eval_loss"]
    tested = loop.evaluate(metric_key_prefix="test")["test_loss"]
    predicted = loop.predict(loop.eval_dataset, metric_key_prefix="predicted").metrics["predicted_loss"]  # type: ignore[arg-type, index]
    loop.log({"final_f1": 0.5})

    (folder,) = RunFolder.all()
    journal = Journal(folder.db)
    assert [(point.step, point.value) for point in journal.values("eval_loss")] == [(0, before), (3, after)]
    assert last(journal, "test_loss").value == tested and last(journal, "predicted_loss").value == predicted
    assert last(journal, "final_f1").value == 0.5
    assert folder.state() is RunState.FINISHED and not folder.is_live()

    loop.train()
    assert [run.state() for run in RunFolder.all()] == [RunState.FINISHED] * 2
    assert not Journal(RunFolder.find("trainer-2").db).values("final_f1"), "that was the first training's"


def test_logs_of_two_trainers_with_one_callback_go_into_each_ones_own_run(tmp_path: Path) -> None:
    callback = JournalCallback()
    first, second = (trainer(tmp_path / name, callback, steps=3, eval_strategy="no") for name in "ab")
    first.train()
    other = second.evaluate(metric_key_prefix="other")["other_loss"]

    class EvaluateTheFirst(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            first.evaluate(metric_key_prefix=f"beside_{state.global_step}")

    second.add_callback(EvaluateTheFirst())
    second.train()
    late = first.evaluate(metric_key_prefix="late")["late_loss"]
    second.log({"end": 1.0})

    one, two = (Journal(RunFolder.find(name).db) for name in ("trainer-1", "trainer-2"))
    assert last(one, "late_loss").value == late and not two.values("late_loss")
    assert last(two, "other_loss").value == other and not one.values("other_loss")
    assert last(two, "end").value == 1.0 and not one.values("end")
    for step in range(3):
        assert one.values(f"beside_{step}_loss") and not two.values(f"beside_{step}_loss")
    assert [run.state() for run in RunFolder.all()] == [RunState.FINISHED] * 2


class Raise(TrainerCallback):
    """Raises in the second step."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 1:
            raise self.error


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (KeyboardInterrupt(), RunState.STOPPED, "stopped by the keyboard"),
        (ValueError("the data\x1b[31m ends"), RunState.FAILED, "ValueError: the data"),
        (SystemExit(3), RunState.FAILED, "SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("added", ["in the constructor", "later"])
def test_a_run_ends_when_an_exception_leaves_training_and_the_program_lives_on(
    error: BaseException, state: RunState, reason: str, added: str, tmp_path: Path
) -> None:
    callback = JournalCallback()
    loop = trainer(tmp_path, callback if added == "in the constructor" else TrainerCallback(), eval_strategy="no")  # type: ignore[arg-type]
    if added == "later":
        loop.add_callback(callback)
    loop.add_callback(Raise(error))
    with pytest.raises(type(error)):
        loop.train()

    (folder,) = RunFolder.all()
    assert folder.state() is state and not folder.is_live()
    assert Journal(folder.db).states()[-1].reason.startswith(reason) and "\x1b" not in folder.summary().reason
    assert [point.step for point in Journal(folder.db).values("loss")] == [1]
    loop.pop_callback(Raise)
    loop.train()
    assert RunFolder.find("trainer-2").state() is RunState.FINISHED


def test_odd_names_and_numbers_do_not_end_the_training(tmp_path: Path) -> None:
    strange = "caf\udce9"
    callback = JournalCallback(name=strange)
    loop = trainer(tmp_path / strange, callback, steps=2, eval_strategy="no")
    loop.log({strange: 1.0, "ok": 2.0, "huge": 10**400, "word": "x"})  # type: ignore[dict-item]
    assert loop.train().global_step == 2

    (folder,) = RunFolder.all()
    journal = Journal(folder.db)
    assert folder.state() is RunState.FINISHED
    assert last(journal, "ok").value == 2.0 and last(journal, "caf\\udce9").value == 1.0 and not journal.last("huge")
    assert [path.name for path in folder.path.parent.iterdir()] == ["trainer-1"], "nothing is left beside it"


@pytest.mark.parametrize(
    ("name", "text"),
    [(None, ""), (Path("out/mine"), "out/mine"), (b"caf\xc3\xa9", "café"), (b"caf\xe9", "caf\udce9"), (7, "7")],
)
def test_a_name_of_any_type_is_taken_as_text(name: object, text: str, tmp_path: Path) -> None:
    trainer(tmp_path, JournalCallback(name=name), steps=1, eval_strategy="no").train()
    (folder,) = RunFolder.all()
    assert folder.settings()["name"] == text
    assert folder.about().title == text
    assert folder.state() is RunState.FINISHED


def raise_always(*_args: Any, **_options: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "broken",
    [
        "RunFolder.create", "RunLock", "JournalWriter", "Gate", "Notifier", "write_about", "Gate.at_step_end",
        "JournalWriter.metrics", "JournalWriter.state", "JournalWriter.close", "Gate.end",
    ],
)  # fmt: skip
def test_nothing_that_goes_wrong_in_the_callback_reaches_the_training(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = trainer(tmp_path, JournalCallback(name="mine"), steps=2, eval_strategy="no")
    with monkeypatch.context() as trouble:
        trouble.setattr(f"looptop.engine.runs.external_run.{broken}", raise_always)
        assert loop.train().global_step == 2
        loop.evaluate()
    assert "No space left on device" in caplog.text
    assert caplog.text.count("the training continues") <= 2, "each message is logged once"
    assert not any(folder.is_live() for folder in RunFolder.all())

    other = trainer(tmp_path, JournalCallback(name="next"), steps=2, eval_strategy="no")
    assert other.train().global_step == 2
    assert RunFolder.all()[0].state() is RunState.FINISHED


def test_two_trainers_of_one_program_are_two_runs_even_with_one_callback(tmp_path: Path) -> None:
    callback = JournalCallback()
    inner = trainer(tmp_path / "inner", callback, steps=2, eval_strategy="no")

    class TrainAnother(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 1:
                inner.train()
                assert callback.trainer is outer

    outer = trainer(tmp_path / "outer", callback, steps=3, eval_strategy="no")
    outer.add_callback(TrainAnother())
    assert outer.train().global_step == 3
    assert callback.trainer is None, "it keeps no trainer, and no model, beyond the training"
    outer.evaluate()
    assert len(RunFolder.all()) == 2 and not any(folder.is_live() for folder in RunFolder.all())
