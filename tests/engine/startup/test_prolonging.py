"""Settings that are changed when a run is resumed, and runs that are finished and go on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from looptop.engine.config import override, to_dict
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.listing import Summaries
from looptop.engine.startup import limits
from looptop.engine.startup.limits import MOST_PER_CORE
from looptop.engine.startup.run import lock_for_resume, resume
from looptop.engine.startup.worker import RunThread
from tests.factories.runs import Steps, config, write_checkpoint

MANY = MOST_PER_CORE * (os.cpu_count() or 1) + 1


def finished(total: int = 10) -> RunFolder:
    folder = RunFolder.create("vqa", config())
    thread = RunThread(folder, lambda context: _train(context, total))
    thread.start()
    assert thread.ended.wait(30) and thread.state is RunState.FINISHED
    return folder


def _train(context: object, total: int) -> dict[str, object]:
    context.journal.facts(total_steps=total)  # type: ignore[attr-defined]
    result = Steps(total)(context)  # type: ignore[arg-type]
    write_checkpoint(context, total)  # type: ignore[arg-type]
    return result


def test_a_finished_run_goes_on_for_more_epochs(tmp_path: Path) -> None:
    folder = finished()
    created = folder.summary().created
    more = Steps(20)
    run = resume(folder.id, more, settings=["num_train_epochs=20", "learning_rate=1e-3"])
    assert run.wait() is RunState.FINISHED
    assert more.made == list(range(11, 21)), "it goes on after the last step"
    assert folder.config().training.num_train_epochs == 20 and folder.config().training.learning_rate == 1e-3
    events = [event.text for event in Journal(folder.db).events() if event.kind == "settings"]
    assert events == [
        "training.num_train_epochs: 10 before, 20 from here on",
        "training.learning_rate: 0.002 before, 0.001 from here on",
    ]
    states = [change.state for change in Journal(folder.db).states()]
    assert states == [RunState.RUNNING, RunState.FINISHED] * 2
    assert folder.summary().created == created, "the list keeps its order"
    (summary,) = Summaries().all()
    assert summary.state is RunState.FINISHED and summary.step == 20


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([], r"vqa-1 is finished; prolong it: `looptop resume vqa-1 --set num_train_epochs=20`"),
        (["num_train_epochs=10"], "is finished; prolong it"),
        (["num_train_epochs=5"], "has made 10 steps, and with these settings it would make 5: raise num_train_epochs"),
        (["max_steps=10"], "has made 10 steps, and with these settings it would make 10: raise max_steps"),
        (["max_steps=20", "seed=7"], r"training\.seed cannot be changed when a run is resumed.* made with 42"),
        (["fusion=tokens"], r"model\.fusion cannot be changed"),
        (["num_train_epochs=20", "eval_steps=7"], r"training\.eval_steps has no effect"),
        (["num_train_epochs=20", "report_to=wandb"], r"training\.report_to names wandb, which needs the package wandb"),
        (["num_train_epochs=20", f"dataloader_num_workers={MANY}"], r"training\.dataloader_num_workers is .* at most"),
        (["num_train_epochs=many"], r"training\.num_train_epochs is 'many'"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_nothing_is_touched(
    settings: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "find_spec", lambda package: None)
    folder = finished()
    before = folder.config_file.read_bytes()
    with pytest.raises(LooptopError, match=words):
        resume(folder.id, Steps(20), settings=settings)
    assert folder.config_file.read_bytes() == before
    assert folder.state() is RunState.FINISHED and not folder.is_live()


def test_a_run_goes_on_with_the_loading_processes_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = finished()
    folder.write_settings(to_dict(override(folder.config(), ["dataloader_num_workers=16"])))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    lock_for_resume(folder, settings=["num_train_epochs=20"]).release()
    with pytest.raises(SettingError, match="dataloader_num_workers is 17"):
        lock_for_resume(folder, settings=["num_train_epochs=20", "dataloader_num_workers=17"])


def test_a_finished_run_does_not_fail_for_a_device_that_is_gone() -> None:
    folder = finished()
    folder.write_settings(to_dict(override(folder.config(), ["device=cuda:99"])))
    with pytest.raises(SettingError, match="cuda:99"):
        lock_for_resume(folder, settings=["num_train_epochs=20"])
    assert folder.state() is RunState.FINISHED


def test_a_finished_run_without_a_checkpoint_cannot_go_on() -> None:
    folder = finished()
    for file in (folder.checkpoints / "checkpoint-10").iterdir():
        file.unlink()
    with pytest.raises(LooptopError, match="has no checkpoint to go on from; start another one"):
        resume(folder.id, Steps(20), settings=["num_train_epochs=20"])


def test_a_stopped_run_is_resumed_with_other_settings() -> None:
    folder = RunFolder.create("vqa", config())
    thread = RunThread(folder, Steps(save=write_checkpoint))
    thread.start()
    thread.context.request_stop()
    assert thread.ended.wait(30) and thread.state is RunState.STOPPED
    run = resume(folder.id, Steps(3), settings=["eval_strategy=steps", "eval_steps=7"])
    assert run.wait() is RunState.FINISHED
    assert folder.config().training.eval_steps == 7


def test_a_finished_run_stays_so_where_its_data_are_gone(tmp_path: Path) -> None:
    folder = finished()
    settings = folder.settings()
    settings["data"]["source"] = str(tmp_path / "gone")
    folder.write_settings(settings)
    with pytest.raises(LooptopError, match=r"there is no data .*gone"):
        resume(folder.id, Steps(20), settings=["num_train_epochs=20"])
    assert folder.state() is RunState.FINISHED and not folder.is_live()
    assert folder.config().training.num_train_epochs == 10
