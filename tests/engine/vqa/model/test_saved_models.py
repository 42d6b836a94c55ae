"""Names of models and the folders behind them. No weights are needed: config.json says that a folder holds a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from looptop.engine import config as configuration
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.model import saved_models as models
from looptop.engine.vqa.model.saved_models import BUNDLED, choices, folder_of, run_of
from tests.factories.saved_models import put_checkpoint, put_model


@pytest.fixture
def run() -> RunFolder:
    return RunFolder.create("vqa", configuration.preset("tiny"))


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = put_model(tmp_path / "bundled-model")
    monkeypatch.setattr(models, "_bundled", lambda: folder)
    return folder


def test_bundled_is_the_model_that_looptop_brings_along(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder_of("bundled") == bundled
    monkeypatch.undo()
    assert models._bundled().parts[-2:] == ("bundled", "vqa")


def test_an_installation_without_it_says_so(bundled: Path) -> None:
    (bundled / "config.json").unlink()
    with pytest.raises(LooptopError, match="no bundled model"):
        folder_of("bundled")
    assert choices() == []


def test_a_run_stands_for_its_result(run: RunFolder) -> None:
    put_checkpoint(run, 100)
    put_model(run.model)
    assert folder_of(run.id) == run.model
    assert folder_of(str(run.path)) == run.model


def test_before_its_result_a_run_stands_for_its_best_checkpoint(run: RunFolder) -> None:
    with pytest.raises(LooptopError, match=f"{run.id} has no model yet: it is .* no complete checkpoint"):
        folder_of(run.id)
    for step in (9, 90, 100):
        put_checkpoint(run, step, best=90 if step == 100 else None)
    put_checkpoint(run, 120, whole=False, best=9)
    assert folder_of(run.id).name == "checkpoint-90"


def test_without_a_best_one_it_is_the_newest(run: RunFolder) -> None:
    for step in (9, 100):
        put_checkpoint(run, step, best=7)
    assert folder_of(run.id).name == "checkpoint-100"


def test_a_checkpoint_goes_by_its_runs_id_and_its_own_name(run: RunFolder) -> None:
    folder = put_checkpoint(run, 120)
    put_checkpoint(run, 130, whole=False)
    assert folder_of(f"{run.id}:checkpoint-120") == folder
    with pytest.raises(LooptopError, match=r"vqa-1 has no whole checkpoint-130; its checkpoints are: checkpoint-120"):
        folder_of(f"{run.id}:checkpoint-130")
    with pytest.raises(LooptopError, match="there is no run 'vqa-9'"):
        folder_of("vqa-9:checkpoint-1")


def test_the_run_of_a_model_is_known_whatever_its_folder_is_called(run: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder(run.path.rename(tmp_path / "copy: best"))
    for name in (str(copy.path), f"{copy.path}:checkpoint-40"):
        assert run_of(name) == copy
    assert run_of("bundled") is None and run_of("bundled:checkpoint-40") is None


def test_a_folder_goes_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put_model(tmp_path / "mine")
    assert folder_of(str(folder)) == folder
    monkeypatch.chdir(tmp_path)
    assert folder_of("mine").resolve() == folder.resolve()
    with pytest.raises(LooptopError, match="holds no model"):
        folder_of(str(tmp_path))
    put_model(tmp_path / "gpt", "gpt2")
    with pytest.raises(LooptopError, match="holds no model"):
        folder_of("gpt")


def test_an_unknown_name_says_what_is_near(run: RunFolder, bundled: Path) -> None:
    put_model(run.model)
    with pytest.raises(LooptopError, match="there is no model 'bundle'; did you mean bundled"):
        folder_of("bundle")
    with pytest.raises(LooptopError, match=r"no model 'vqa-11'; did you mean vqa-1\?"):
        folder_of("vqa-11")
    with pytest.raises(LooptopError, match=r"no model '␛\[2J'; there are: bundled, vqa-1; or name a folder"):
        folder_of("\x1b[2J")


def test_what_can_be_asked_is_listed(run: RunFolder, bundled: Path) -> None:
    put_model(run.model)
    put_checkpoint(run, 5)
    writer = JournalWriter(run.db)
    writer.facts(result={"accuracy": 0.5, "step": 40})
    writer.state(RunState.FINISHED)
    assert writer.close()
    going = RunFolder.create("vqa", configuration.preset("tiny"))
    put_checkpoint(going, 20)
    put_checkpoint(going, 100, best=20)
    put_checkpoint(going, 110, whole=False)
    RunFolder.create("vqa", configuration.preset("tiny"))
    (going.checkpoints / "checkpoint-tmp").mkdir()

    listed = choices()
    assert [choice.name for choice in listed] == [
        BUNDLED,
        "vqa-2:checkpoint-100",
        "vqa-2:checkpoint-20",
        "vqa-1",
    ]
    assert [choice.label for choice in listed[1:]] == [
        "interrupted, last checkpoint, step 100",
        "interrupted, best checkpoint, step 20",
        "finished, best checkpoint, step 40",
    ]
    for choice in listed:
        assert folder_of(choice.name) == choice.path


def test_a_config_that_is_no_json_object_is_no_model(tmp_path: Path) -> None:
    for text in (b"[]", b"{", b"\xff\xfe"):
        (tmp_path / "config.json").write_bytes(text)
        with pytest.raises(LooptopError, match="is damaged: it "):
            folder_of(str(tmp_path))
