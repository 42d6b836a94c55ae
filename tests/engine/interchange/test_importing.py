"""Files of TensorBoard and W&B become runs, and exported runs can be imported again."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.interchange.importing import import_folder
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder

FILES = Path(__file__).parent / "files"
Capture = pytest.CaptureFixture[str]


def imported(folder: Path, *, again: bool = False) -> tuple[dict[str, RunFolder], list[str]]:
    runs: list[RunFolder] = []
    words: list[str] = []
    import_folder(folder, runs.append, words.append, again=again)
    return {run.about().title: run for run in runs}, words


def test_each_folder_of_event_files_becomes_a_run() -> None:
    runs, words = imported(FILES / "tensorboard")
    (word,) = words
    assert word.endswith("not imported: texts (1), histograms (1); a run of looptop holds numbers only")
    assert sorted(runs) == ["tensorboard/eval", "tensorboard/train"]
    journal = Journal(runs["tensorboard/train"].db)
    loss = journal.values("loss")
    assert [point.step for point in loss] == list(range(61))
    assert all(point.value == pytest.approx(math.exp(-point.step / 20), rel=1e-6) for point in loss[:60])
    assert loss[60].value is None
    assert loss[10].time == 1_700_000_010
    assert journal.names() == ["loss"]  # a text and a histogram are no scalars
    summary = runs["tensorboard/train"].summary()
    assert (summary.state, summary.started, summary.ended) == (RunState.FINISHED, 1_700_000_000, 1_700_000_060)
    assert not summary.live


def test_scalars_in_the_new_style_are_read_too() -> None:
    journal = Journal(imported(FILES / "tensorboard")[0]["tensorboard/eval"].db)
    for name, precision in (("accuracy", 1e-6), ("precise", 0.0)):
        points = journal.values(name)
        assert [point.step for point in points] == [0, 10, 20, 30, 40, 50]
        assert all(point.value == pytest.approx(point.step / 60, rel=precision, abs=0) for point in points)


def test_an_offline_run_of_wandb_becomes_a_run(tmp_path: Path) -> None:
    shutil.copy(FILES / "run-cold.wandb", tmp_path)
    runs, words = imported(tmp_path)
    assert words == []
    run = runs["cold fusion"]
    journal = Journal(run.db)
    loss = journal.values("loss")
    assert [point.step for point in loss] == list(range(100))
    assert all(point.value == pytest.approx(math.exp(-point.step / 10)) for point in loss)
    assert [point.value for point in journal.values("eval.accuracy")] == [step / 100 for step in range(100)]
    assert journal.values("big")[3].value == 2**40 + 3
    assert [(point.step, point.value) for point in journal.values("inf")] == [(7, math.inf)]
    assert [(point.step, point.value) for point in journal.values("nan")] == [(7, None)]
    assert [(point.step, point.value) for point in journal.values("sparse")] == [(150, 3.5)]
    assert run.about().note == "made offline"
    assert run.settings()["config"] == {"learning_rate": 1e-3, "layers": [1, 2], "nested": {"a": 1}}
    assert run.summary().state is RunState.FINISHED


@pytest.mark.parametrize("cut", [300, 20_000, 33_000, 40_001])
def test_a_wandb_file_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    whole = (FILES / "run-cold.wandb").read_bytes()
    (tmp_path / "run-cut.wandb").write_bytes(whole[:cut])
    runs, _ = imported(tmp_path)
    (run,) = runs.values()
    loss = Journal(run.db).values("loss")
    assert [point.step for point in loss] == list(range(len(loss)))
    assert len(loss) < 100 and (cut < 1000 or len(loss) > 10)
    assert "was cut short" in Journal(run.db).events()[0].text
    assert "left out" not in Journal(run.db).events()[0].text
    assert run.state() is RunState.INTERRUPTED  # the file does not record its end


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_an_event_file_that_is_damaged_is_read_as_far_as_it_goes(tmp_path: Path, damage: str) -> None:
    data = bytearray((FILES / "tensorboard/train/events.out.tfevents.1700000000.host.1.0").read_bytes())
    if damage == "cut":
        del data[2000:]
    else:
        data[2000] ^= 1
    (tmp_path / "events.out.tfevents.1.host").write_bytes(data)
    (run,) = imported(tmp_path)[0].values()
    loss = Journal(run.db).values("loss")
    assert 10 < len(loss) < 60
    assert [point.step for point in loss] == list(range(len(loss)))
    assert "was cut short, or is damaged" in Journal(run.db).events()[0].text


def test_what_was_imported_is_not_imported_twice(capsys: Capture) -> None:
    folder = str(FILES / "tensorboard")
    assert main(["import", folder, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2
    assert main(["import", folder]) == 0
    printed = capsys.readouterr().err
    assert "is already imported as tensorboard-1; --again imports it once more" in printed
    assert len(RunFolder.all()) == 2
    assert main(["import", folder, "--again"]) == 0
    assert len(RunFolder.all()) == 4


def test_what_cannot_be_imported_is_one_sentence_and_leaves_no_run(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "run-x.wandb").write_bytes(b"something else")
    (tmp_path / "wandb" / "events.out.tfevents.1.host").write_bytes(b"\0" * 40)
    assert main(["import", str(tmp_path / "wandb")]) == 1
    printed = capsys.readouterr().err
    assert "is not a W&B file" in printed
    assert "holds no scalars and is left out; events.out.tfevents.1.host was cut short, or is damaged" in printed
    (tmp_path / "none").mkdir()
    assert main(["import", str(tmp_path / "none")]) == 2
    assert "holds neither TensorBoard's event files" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "missing")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert RunFolder.all() == []
