"""Watching a run from the command line: how it ends, ctrl-C, a closed terminal. The training is a script."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from looptop.engine.cli.main import main
from looptop.engine.cli.progress import Bar, Progress, Status, progress_on
from looptop.engine.config import preset
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from tests.engine import fake_engine
from tests.support import eventually

pytestmark = pytest.mark.usefixtures("engine")

Capture = pytest.CaptureFixture[str]


def train(monkeypatch: pytest.MonkeyPatch, what: str, *words: str) -> int:
    monkeypatch.setenv("FAKE_TRAINING", what)
    return main(["train", "vqa", *words])


def looptop(what: str, *words: str, **options: Any) -> subprocess.Popen[str]:
    """A `looptop` process with the fake engine."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.fake_engine", *words],
        env=os.environ | {"FAKE_TRAINING": what},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def live_run() -> RunFolder:
    """The one run, as soon as it has made a step."""

    def stepped_run() -> RunFolder | None:
        runs = RunFolder.all()
        return runs[0] if runs and runs[0].is_live() and Journal(runs[0].db).last("loss") else None

    folder = eventually(stepped_run)
    assert isinstance(folder, RunFolder)
    return folder


# How it ends ------------------------------------------------------------------------------------------------------


def test_a_finished_run(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train(monkeypatch, "finish", "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert 0 < result.pop("seconds") < 60
    assert result.pop("split") == "test"
    assert (result.pop("checkpoint"), result.pop("step")) == (None, None)  # this training does not say
    assert result == {"run": "vqa-1", "state": "finished", "accuracy": 0.625, "loss": 0.75, "alerts": 0}
    assert "evaluation at step 0: accuracy 25.0 %, loss 2" in err
    assert "evaluation at step 10: accuracy 75.0 %, loss 0.5" in err
    assert "warning: missing image: ␛[31m7.png" in err
    assert "\x1b" not in err and "\r" not in err


def test_a_finished_run_for_people(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train(monkeypatch, "finish") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("vqa-1 finished: test accuracy 62.50 %, test loss 0.75, 0:0")
    assert second == "ask it: looptop ask IMAGE QUESTION --model vqa-1"


def test_a_run_that_finished_with_alerts_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train(monkeypatch, "alert") == 0
    assert capsys.readouterr().out.startswith("vqa-1 finished, with 2 alerts: test accuracy 62.50 %")
    assert train(monkeypatch, "alert", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["state"], result["alerts"]) == ("finished", 2)


def test_on_a_full_disk_it_says_so_instead_of_an_old_state(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    full = "the disk of D is full (96 KiB free)"
    monkeypatch.setattr("looptop.engine.cli.watch.full_disk", lambda _folder: full)
    assert train(monkeypatch, "finish") == 0
    told = capsys.readouterr().err
    assert told.count("until then the run keeps its metrics in memory. If it is held: looptop continue vqa-1") == 1
    assert f"vqa-1  {full}; make room\n" in told and "vqa-1  step" not in told


def test_the_last_line_names_the_step_of_its_figures(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train(monkeypatch, "best") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(", best evaluation, step 7")
    assert train(monkeypatch, "best", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["checkpoint"], result["step"]) == ("best", 7)


@pytest.mark.parametrize(
    ("what", "state", "reason"),
    [
        ("fail", "failed", "looptop: vqa-1 failed: the loss is ␛[31mnot a number"),
        ("die", "interrupted", "looptop: vqa-1 interrupted: its process ended unexpectedly"),
    ],
)
def test_a_run_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: Capture, what: str, state: str, reason: str) -> None:
    assert train(monkeypatch, what, "--json") == 1
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["state"], result["accuracy"], result["loss"]) == (state, 0.25, 2.0)
    assert err.splitlines()[-1] == reason
    assert err.count(reason.rpartition(": ")[2]) == 1
    assert "\x1b" not in err


def test_a_failed_run_is_resumed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train(monkeypatch, "fail") == 1
    monkeypatch.setenv("FAKE_TRAINING", "finish")
    capsys.readouterr()
    assert main(["resume", "vqa-1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["state"] == "finished"
    assert err.startswith("vqa-1  resumed\n") and "not a number" not in err
    assert main(["resume", "vqa-1"]) == 2
    assert capsys.readouterr().err.startswith("looptop: vqa-1 is finished; prolong it: `looptop resume vqa-1 --set ")


def test_a_detached_run(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train(monkeypatch, "wait", "--detach") == 0
    assert "looptop show vqa-1" in capsys.readouterr().out
    folder = live_run()
    assert main(["resume", "vqa-1"]) == 2
    assert "vqa-1 is running already" in capsys.readouterr().err
    assert main(["stop", "vqa-1"]) == 0
    assert "vqa-1  stops after step " in capsys.readouterr().out
    eventually(lambda: not folder.is_live())
    assert main(["logs", "vqa-1", "-f"]) == 0


def test_paths_hold_wherever_the_run_is_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "table.csv").write_text("image,question,answer\n1.png,what is it?,red\n")
    (tmp_path / "mine" / "config.json").write_text("{}")
    Image.new("RGB", (8, 8)).save(tmp_path / "mine" / "1.png")
    monkeypatch.setenv("PYTHONPATH", str(fake_engine.ROOT))
    monkeypatch.chdir(tmp_path)
    assert train(monkeypatch, "finish", "--data", "mine", "--set", "decoder=./mine") == 0
    config = RunFolder.find("vqa-1").config()
    assert (config.data.source, config.model.decoder) == (str(tmp_path / "mine"), str(tmp_path / "mine"))  # type: ignore[union-attr]
    assert config.model.text_encoder == "bundled:text_encoder"  # type: ignore[union-attr]


def test_a_folder_elsewhere_is_resumed_and_its_name_does_nothing_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    assert train(monkeypatch, "fail") == 1
    moved = tmp_path / "mine \x1b[31m"
    RunFolder.find("vqa-1").path.rename(moved)
    monkeypatch.setenv("FAKE_TRAINING", "finish")
    capsys.readouterr()
    assert main(["resume", str(moved)]) == 0
    out, err = capsys.readouterr()
    assert "mine ␛[31m finished" in out
    assert "\x1b[31m" not in out + err


def test_controls(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    train(monkeypatch, "wait", "--detach", "--json")
    folder = live_run()
    capsys.readouterr()
    assert main(["continue", "vqa-1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["taken"], printed["answer"]) == (False, "ignored: the run is not paused")
    assert main(["step", "vqa-1", "--to", "nonsense"]) == 2
    assert "there is no stage 'nonsense'" in capsys.readouterr().err
    answers = {}
    for control in ("pause", "step", "continue", "checkpoint", "stop"):
        assert main([control, "vqa-1", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert (printed["run"], printed["control"], printed["taken"]) == ("vqa-1", control, True)
        answers[control] = printed["answer"]
    assert answers["pause"].startswith("paused after step ")
    assert answers["step"].startswith("makes step ")
    assert answers["checkpoint"].startswith("makes a checkpoint after step ")
    eventually(lambda: not folder.is_live())


def test_a_control_that_is_not_taken_yet(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    train(monkeypatch, "hang", "--detach")
    live_run()
    capsys.readouterr()
    monkeypatch.setattr("looptop.engine.cli.control.SECONDS_TO_WAIT", 0.1)
    assert main(["pause", "vqa-1"]) == 0
    assert "has not answered yet; it answers at the end of its step" in capsys.readouterr().out


def test_a_queued_run_answers_once_it_trains(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("looptop.engine.cli.control.SECONDS_TO_WAIT", 0.1)
    run = RunFolder.create("vqa", preset("tiny"))
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        writer.state(RunState.QUEUED)
        assert writer.close()
        assert main(["pause", run.id]) == 0
    assert "has not answered yet; it answers once it begins to train" in capsys.readouterr().out


# Signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_stops_with_a_checkpoint(number: signal.Signals) -> None:
    with looptop("wait", "train", "vqa", "--json") as process:
        folder = live_run()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["state"] == "stopped"
    assert "vqa-1  stopping, with a checkpoint; ctrl-C again stops it at once" in err
    (reply,) = Journal(folder.db).controls()
    assert reply.kind == "stop" and reply.text.endswith(", with a checkpoint")


def test_the_second_interrupt_stops_at_once() -> None:
    with looptop("hang", "train", "vqa") as process:
        folder = live_run()
        process.send_signal(signal.SIGINT)
        eventually(lambda: any(folder.controls.glob("*.json")))
        assert folder.is_live()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "vqa-1  stopping at once" in err
    assert out.startswith("vqa-1 stopped: ") and "looptop resume vqa-1" in out
    assert not folder.is_live()


def test_a_closed_terminal_leaves_the_run_running() -> None:
    with looptop("wait", "train", "vqa") as process:
        folder = live_run()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGHUP
    owner = folder.owner()
    assert folder.is_live() and owner is not None and psutil.pid_exists(owner.pid)
    before = Journal(folder.db).version()
    eventually(lambda: Journal(folder.db).version() > before)


def test_ignored_interrupts_stay_ignored() -> None:
    with looptop("wait", "train", "vqa", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as process:
        folder = live_run()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert err.count("stopping") == 1
    assert len(Journal(folder.db).controls()) == 1


def test_following_a_log_ends_with_ctrl_c() -> None:
    with looptop("wait", "train", "vqa", "--detach") as process:
        process.communicate(timeout=60)
    folder = live_run()
    with looptop("", "logs", "vqa-1", "-f") as process:
        assert process.stdout is not None
        for line in ("a line\n", "another\n"):
            with folder.log.open("a") as log:
                log.write(line)
            while process.stdout.readline() != line:
                assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "looptop: interrupted\n")


# Progress ---------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_over_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    bar = progress_on(stream)
    assert isinstance(bar, Bar)
    bar.show(Status("vqa-1", "running", 0.5, ["step 5/10", "loss 0.5", "accuracy 50.0 %", "0:01 left"]))
    line = stream.getvalue().removeprefix("\r").removesuffix("\x1b[K")
    assert line == "vqa-1  [############............]  50 %  step 5/10"
    bar.note("a line")
    bar.close()
    assert stream.getvalue().endswith("\ra line\x1b[K\n\r\x1b[K")


@pytest.mark.parametrize("terminal", ["dumb", "emacs", "", None])
def test_a_terminal_that_cannot_draw_gets_lines(terminal: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    # Curses keeps to the first terminal that it is asked for.
    monkeypatch.setattr("looptop.engine.machine.terminal._moves_cursor", lambda _term: None)
    monkeypatch.delenv("TERM", raising=False)
    if terminal is not None:
        monkeypatch.setenv("TERM", terminal)
    assert type(progress_on(Terminal())) is Progress


def test_lines_come_every_few_seconds() -> None:
    stream = io.StringIO()
    lines = Progress(stream, seconds=3600)
    for step in range(5):
        lines.show(Status("vqa-1", "running", 0.0, [f"step {step}"]))
    lines.show(Status("vqa-1", "paused", 0.0, ["step 4"]))
    assert stream.getvalue() == "vqa-1  step 0\nvqa-1  step 4\n"


def test_a_stream_that_is_gone_is_no_error(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        pass
    Progress(stream).note("a line")
