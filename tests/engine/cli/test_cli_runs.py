"""The commands about runs: list, filter, title and note, delete, attach, duplicate; and `looptop doctor`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from looptop.engine.cli import doctor
from looptop.engine.cli.main import main
from looptop.engine.config import preset
from looptop.engine.files import lock as lock_module
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.machine.terminal import Terminal
from looptop.engine.runs import liveness
from looptop.engine.runs.folder import RunFolder
from tests.engine import fake_engine
from tests.factories.runs import run_with_loss
from tests.support import eventually
from tests.terminal.tty import PROGRAM, Tty

pytestmark = pytest.mark.usefixtures("engine")

Capture = pytest.CaptureFixture[str]


def listed(capsys: Capture, *words: str) -> list[str]:
    capsys.readouterr()
    assert main(["runs", "--json", *words]) == 0
    return [run["id"] for run in json.loads(capsys.readouterr().out)["runs"]]


def test_runs_are_filtered_and_sorted(capsys: Capture) -> None:
    for loss in (0.5, 2.0, 1.0):
        run_with_loss(loss)
    run_with_loss(3.0, RunState.FAILED)
    assert listed(capsys, "loss<1.5") == ["vqa-3", "vqa-1"]
    assert listed(capsys, "state:finished", "loss>0.7") == ["vqa-3", "vqa-2"]
    assert listed(capsys, "loss<0.7", "or", "(state:failed", "and", "not", "loss>5)") == ["vqa-4", "vqa-1"]
    assert listed(capsys, "not (loss < 0.7 or state:failed) finished") == ["vqa-3", "vqa-2"]
    assert listed(capsys, "--sort", "loss") == ["vqa-1", "vqa-3", "vqa-2", "vqa-4"]
    assert listed(capsys, "--sort", "figure") == listed(capsys, "--sort", "headline")
    assert listed(capsys, "--sort", "loss", "--reverse", "--", "-state:failed") == ["vqa-2", "vqa-3", "vqa-1"]
    assert listed(capsys, "-state:failed", "--sort", "loss") == ["vqa-1", "vqa-3", "vqa-2"]
    assert listed(capsys, "loss<2.5", "-loss<0.7", "--reverse", "-host:elsewhere") == ["vqa-2", "vqa-3"]
    assert listed(capsys, "--sort=loss", '-note:"so bad"', "-step=7", "--", "-failed") == ["vqa-1", "vqa-3", "vqa-2"]
    with pytest.raises(SystemExit):
        main(["runs", "-bad"])
    assert "unrecognized arguments: -bad" in capsys.readouterr().err
    assert main(["runs", "--sort", "colour"]) == 2
    assert "runs cannot be sorted by 'colour'" in capsys.readouterr().err
    assert main(["runs", "loss<"]) == 2
    assert "ends too early; expected a number" in capsys.readouterr().err
    for name, near in (("losss<3", "did you mean 'loss'?"), ("-foo<3", "took, age, alerts"), ("stp>1", "'step'")):
        assert main(["runs", "--", name]) == 2
        out, err = capsys.readouterr()
        assert out == "" and "no run has a metric '" in err and near in err
    assert main(["runs", "--sort", "los"]) == 2
    assert "sorted by 'los': no run has a metric 'los'; did you mean 'loss'?" in capsys.readouterr().err
    assert main(["runs", "nothing-like-this"]) == 0
    assert "the filter matches none of the 4 runs" in capsys.readouterr().out


def test_a_run_that_finished_with_alerts_is_shown_so_everywhere(capsys: Capture) -> None:
    run_with_loss()
    for kind in ("vqa", "ppo", "reward", "trainer"):
        folder = RunFolder.create(kind, preset("tiny", kind) if kind != "trainer" else {"kind": kind})
        writer = JournalWriter(folder.db)
        writer.event("alert", "before the checkpoint", 3, "warning")
        writer.discard_after(2)
        writer.event("alert", "something is wrong", 5, "warning")
        writer.event("alert", "another thing is wrong", 6, "error", code="cannot_write")
        writer.facts(question_only_accuracy=0.67)
        writer.metrics(1, {"loss": 1.0})
        writer.state(RunState.FINISHED)
        assert writer.close()
    capsys.readouterr()
    assert main(["runs"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert all("finished, with 2 alerts" in lines[name] for name in ("vqa-2", "ppo-1", "reward-1", "trainer-1"))
    assert "alerts" not in lines["vqa-1"]
    assert main(["runs", "--json", "state:finished"]) == 0
    by_id = {run["id"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert [by_id[name]["alerts"] for name in ("vqa-1", "vqa-2", "ppo-1")] == [0, 2, 2]
    assert by_id["vqa-2"]["state"] == "finished" and by_id["vqa-2"]["alert_codes"] == ["cannot_write"]
    assert sorted(listed(capsys, "alerts>0")) == ["ppo-1", "reward-1", "trainer-1", "vqa-2"]
    assert main(["show", "vqa-2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("vqa-2 finished, with 2 alerts\n") and "question only     67.00 %" in out
    assert main(["show", "vqa-2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["alerts"], shown["alert_codes"]) == (2, ["cannot_write"])


def test_a_figure_names_the_step_that_it_belongs_to(capsys: Capture) -> None:
    folder = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(folder.db)
    for step, accuracy in ((72, 0.6), (80, 0.195)):
        writer.metrics(step, {"loss": 1.0, "eval_loss": 2.0, "eval_accuracy": accuracy})
    writer.metrics(80, {"test_accuracy": 0.505})
    writer.facts(result={"accuracy": 0.505, "loss": 0.7, "step": 72})
    writer.state(RunState.FINISHED)
    assert writer.close()
    assert main(["runs"]) == 0
    assert "50.5 %  test_accuracy, best, step 72" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    (listed_run,) = json.loads(capsys.readouterr().out)["runs"]
    assert listed_run["figure"] == {"metric": "test_accuracy", "value": 0.505, "checkpoint": "best", "step": 72}
    assert main(["show", "vqa-1"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "accuracy 19.50 % (last evaluation, step 80)" in printed
    assert "test accuracy 50.50 % (best evaluation, step 72)" in printed
    assert "its model that of step 72, the best evaluation" in printed
    assert main(["show", "vqa-1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["evaluation_step"], shown["result_step"]) == (80, 72)


def test_a_title_and_a_note_are_shown_everywhere(capsys: Capture) -> None:
    run_with_loss()
    assert main(["rename", "vqa-1", "wider \x1b[2Jdecoder"]) == 0
    assert main(["note", "vqa-1", "first line\nsecond line"]) == 0
    assert main(["notify", "vqa-1", "echo $LOOPTOP_RUN"]) == 0
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert "wider ␛[2Jdecoder" in capsys.readouterr().out
    assert main(["show", "vqa-1"]) == 0
    printed = capsys.readouterr().out
    assert "vqa-1 finished  wider ␛[2Jdecoder" in printed and "  | second line" in printed
    assert main(["note", "vqa-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": "vqa-1",
        "title": "wider \x1b[2Jdecoder",
        "note": "first line\nsecond line",
        "notify": "echo $LOOPTOP_RUN",
    }
    assert main(["rename", "vqa-1", "two\nlines"]) == 2
    assert main(["rename", "vqa-9", "x"]) == 2


def test_show_explains_why_a_run_counts_as_live(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_with_loss(state=RunState.RUNNING)
    assert main(["show", "vqa-1"]) == 0
    assert "not live: no process has ever run it" in capsys.readouterr().out
    with RunLock(folder.lock, folder.id):
        assert main(["show", "vqa-1"]) == 0
        assert f"live: process {os.getpid()} on this machine holds its lock" in capsys.readouterr().out
    assert main(["show", "vqa-1"]) == 0
    assert "not live: no process on this machine holds its lock" in capsys.readouterr().out
    record = lock_module._LockFile("far\x1baway", 12, time.time())
    folder.lock.write_bytes(msgspec.json.encode(record))
    with monkeypatch.context() as patch:
        beaten = folder.lock.stat().st_mtime
        patch.setattr(liveness, "time", SimpleNamespace(time=lambda: beaten + 0.25))
        assert main(["show", "vqa-1"]) == 0
    assert "live: its heartbeat on far␛away was 0 s ago" in capsys.readouterr().out
    assert main(["runs"]) == 0
    assert "running on far␛away, by its heartbeat" in capsys.readouterr().out
    assert main(["delete", "vqa-1", "--yes"]) == 2
    os.utime(folder.lock, (1.0, 1.0))
    assert main(["show", "vqa-1"]) == 0
    assert "probably not live: its last heartbeat on far␛away" in capsys.readouterr().out


def test_deleting_asks(capsys: Capture, tmp_path: Path) -> None:
    folder, other = run_with_loss(), run_with_loss()
    assert main(["delete", "vqa-1"]) == 2
    assert "--yes deletes without asking" in capsys.readouterr().err
    with Tty([*PROGRAM, "delete", "vqa-1"]) as tty:
        tty.until("checkpoints, models, journals and logs")
        tty.send("n\r")
        assert tty.until_gone() == 0
    assert folder.path.is_dir()
    with Tty([*PROGRAM, "delete", "vqa-1"]) as tty:
        tty.until("checkpoints, models, journals and logs")
        tty.send("y\r")
        assert tty.until_gone() == 0
    assert not folder.path.exists()
    with RunLock(other.lock, other.id):
        run_with_loss()
        assert main(["delete", "vqa-3", "vqa-2", "--yes"]) == 2
        assert "vqa-2 is live; stop it first" in capsys.readouterr().err
    assert [run.id for run in RunFolder.all()] == ["vqa-3", "vqa-2"]
    assert main(["delete", "vqa-3", "vqa-2", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": ["vqa-3", "vqa-2"]}


def test_attach_needs_a_terminal_and_a_run(capsys: Capture) -> None:
    run_with_loss()
    assert main(["attach", "vqa-1"]) == 2
    assert "looptop logs vqa-1 -f" in capsys.readouterr().err
    assert main(["attach", "vqa-2"]) == 2
    assert "there is no run 'vqa-2'" in capsys.readouterr().err


def test_a_run_is_made_like_another_with_changes(
    engine: None, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("FAKE_TRAINING", "finish")
    assert main(["train", "vqa", "--set", "seed=7", "--set", "learning_rate=3e-4", "--title", "first"]) == 0
    assert main(["train", "--like", "vqa-1", "--set", "seed=8", "--note", "again", "--notify", "true"]) == 0
    first, second = RunFolder.find("vqa-1"), RunFolder.find("vqa-2")
    assert (first.config().training.seed, second.config().training.seed) == (7, 8)
    assert second.config().training.learning_rate == 3e-4
    assert first.about().title == "first"
    assert (second.about().title, second.about().note, second.about().notify) == ("", "again", "true")
    assert main(["train"]) == 2
    assert "say what to train" in capsys.readouterr().err
    eventually(lambda: not second.is_live())


def test_the_doctor_reports_the_machine(capsys: Capture, home: Path) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for words in ("devices", "cpu", "terminal", f"home {home}", "when you log out", "versions", "free", "python"):
        assert words in printed
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["devices"][0]["device"] == "cpu" and report["devices"][0]["memory_free"] > 0
    assert report["versions"]["torch"].startswith("2.13")
    assert {folder["what"] for folder in report["file_systems"]} >= {"home"}


@pytest.mark.parametrize(
    ("graphics", "through", "words"),
    [
        (("kitty", "sixel"), ("ssh",), "graphics: kitty and sixel; images are drawn in full resolution"),
        (("kitty",), ("tmux",), "graphics: kitty; images are drawn with half blocks"),
        ((), (), "graphics: none; images are drawn with half blocks"),
        (None, (), "graphics: it did not answer; images are drawn with half blocks"),
    ],
)
def test_the_doctor_says_how_images_are_drawn(
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    graphics: tuple[str, ...] | None,
    through: tuple[str, ...],
    words: str,
) -> None:
    own = Terminal("xterm-kitty", 120, 40, "16 million", graphics, through)
    monkeypatch.setattr(doctor, "_terminal", lambda: own)
    assert main(["doctor"]) == 0
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("", "the notify command is not started, and runs count as another user's"),
        ("settings.toml", "its notify command is not started"),
        ("runs", "runs count as another user's"),
        ("origins", "runs count as another user's"),
    ],
)
def test_the_doctor_says_what_others_can_change_and_what_follows(
    capsys: Capture, home: Path, name: str, effect: str
) -> None:
    path = home / name
    if name == "settings.toml":
        path.touch()
    else:
        path.mkdir(exist_ok=True)
    path.chmod(0o777)
    assert main(["doctor"]) == 0
    assert f"! {path} can be written by everybody; chmod go-w {path} (until then {effect})" in capsys.readouterr().out


def test_the_doctor_on_a_terminal_leaves_it_as_it_was() -> None:
    with Tty([*PROGRAM, "doctor"], cols=100, rows=30) as tty:
        tty.until("versions")
        assert "100 by 30" in tty.text() and "16 million" in tty.text()
        assert tty.until_gone() == 0
    assert fake_engine.ROOT.is_dir()
