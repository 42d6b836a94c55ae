"""A run reports by a command of the person's choice, which cannot disturb the run."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.cli.main import main
from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Hold, HoldReason
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.about import About, write_about
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.notify import Notifier, command_for
from looptop.engine.runs.origins import is_made_here
from looptop.engine.startup.host import launch
from looptop.engine.startup.run import start
from tests.factories.processes import going, process_of, program
from tests.factories.runs import Steps, config
from tests.support import eventually

SAY = 'printf "%s|%s|%s|%s\\n" "$LOOPTOP_RUN" "$LOOPTOP_EVENT" "$LOOPTOP_REASON" "$LOOPTOP_TITLE" >> '


def settle_for_all(home: Path, command: str) -> None:
    (home / "settings.toml").write_text(f"notify = '''{command}'''\n")


def lines(path: Path, count: int) -> list[str]:
    eventually(lambda: path.exists() and path.read_text().count("\n") >= count)
    return path.read_text().splitlines()


def test_the_homes_command_is_started_at_the_end(home: Path, tmp_path: Path) -> None:
    settle_for_all(home, SAY + str(tmp_path / "told"))
    run = start(config(), Steps(3))
    assert run.wait() is RunState.FINISHED
    assert lines(tmp_path / "told", 1) == ["vqa-1|finished||"]


def test_a_runs_own_command_is_started_by_a_failure_in_an_engine_process(home: Path, tmp_path: Path) -> None:
    settle_for_all(home, SAY + str(tmp_path / "not-this"))
    about = About(title="my title", notify=SAY + str(tmp_path / "told"))
    folder = launch(config(), program("lambda context: 1 / 0"), about=about)
    assert lines(tmp_path / "told", 1) == ["vqa-1|failed|ZeroDivisionError: division by zero|my title"]
    eventually(lambda: not folder.is_live())
    assert not (tmp_path / "not-this").exists()


@pytest.mark.parametrize("text", ["nul\0here", "half \ud83d", "caf\udce9", "x" * 200_000])
def test_any_title_and_reason_is_passed_on(text: str, tmp_path: Path) -> None:
    folder = RunFolder.create("vqa", config())
    write_about(folder.path, title=text[:200], notify=f"echo told >> '{tmp_path}/told'")
    notifier = Notifier(folder.path)
    notifier.notify("failed", text)
    notifier.close()
    assert lines(tmp_path / "told", 1) == ["told"]


def test_a_stop_by_two_signals_starts_the_command(tmp_path: Path) -> None:
    # It has made a step: before its first one, the first signal alone would end it within a second.
    stuck = "(context.gate.at_step_end(1), context.journal.metrics(9, {'loss': 1.0}), time.sleep(1000))[2]"
    folder = launch(config(), program(f"lambda context: {stuck}"), about=About(notify=SAY + str(tmp_path / "told")))
    going(folder)
    process = process_of(folder)
    process.send_signal(signal.SIGTERM)
    eventually(lambda: Journal(folder.db).events())
    process.send_signal(signal.SIGTERM)
    assert lines(tmp_path / "told", 1)[0].startswith("vqa-1|stopped|stopped at once by SIGTERM")


def test_alerts_start_the_command_but_not_at_every_step(home: Path, tmp_path: Path) -> None:
    settle_for_all(home, SAY + str(tmp_path / "told"))

    def train(context: RunContext) -> dict[str, Any]:
        for step in range(50):
            context.journal.event("alert", f"the loss is not a number at step {step}", step, "warning")
        context.journal.state(RunState.PAUSED, Hold(49))  # a person's pause is nothing to tell
        context.journal.state(RunState.PAUSED, Hold(50, "", HoldReason.BREAKPOINT, "breakpoint kl > 8: kl is 9.1"))
        context.journal.event("data", "nothing to tell", 50)
        lines(tmp_path / "told", 2)  # while it trains
        return {}

    run = start(config(), train)
    assert run.wait() is RunState.FINISHED, run.reason
    told = lines(tmp_path / "told", 3)
    assert sorted(told[:2]) == [
        "vqa-1|alert|the loss is not a number at step 0|",
        "vqa-1|breakpoint|breakpoint kl > 8: kl is 9.1, after step 50|",
    ]
    assert told[2:] == ["vqa-1|finished||"]


@pytest.mark.parametrize("command", ["sleep 1000 & echo $! >> PIDS; wait", "exit 3", "/nowhere/at/all", "\0"])
def test_a_command_that_hangs_or_fails_does_not_disturb_the_run(home: Path, tmp_path: Path, command: str) -> None:
    written = threading.Event()
    run = start(config(), lambda context: Steps(5)(context) if written.wait(60) else {})
    write_about(run.folder.path, notify=command.replace("PIDS", str(tmp_path / "pids")).replace("\0", "\x01"))
    written.set()
    assert run.wait() is RunState.FINISHED, run.reason
    assert not run.folder.is_live()
    if "sleep" in command:
        (pid,) = lines(tmp_path / "pids", 1)
        assert os.getsid(int(pid)) != os.getsid(0)  # a terminal that goes away does not end it either
        os.kill(int(pid), signal.SIGKILL)


def test_its_output_is_in_the_log_and_broken_settings_are_ignored(home: Path) -> None:
    (home / "settings.toml").write_text("notify = [1")
    run = start(config(), Steps(2))
    assert run.wait() is RunState.FINISHED
    folder = RunFolder.find(run.id)
    settle_for_all(home, "echo printed by the command")
    again = start(config(), Steps(2))
    assert again.wait() is RunState.FINISHED
    eventually(lambda: "printed by the command" in again.folder.log.read_text())
    assert "printed" not in folder.log.read_text()


@pytest.mark.parametrize("reason", ["a\0b", "a\ud800b", "x" * 200_000, "\0" * 5000, "é" * 100_000])
def test_a_reason_that_is_no_valid_argument_is_shortened_and_made_safe(tmp_path: Path, reason: str) -> None:
    told = tmp_path / "told"
    (tmp_path / "about.toml").write_text(f"title = \"a\\u0000title\"\nnotify = '''{SAY}{told}'''\n")
    notifier = Notifier(tmp_path)
    notifier.notify("failed", reason)
    notifier.close()
    (line,) = lines(told, 1)
    assert line.split("|")[1] == "failed"
    assert line.split("|")[3] == "a title"
    assert 0 < len(line.split("|")[2]) <= 2000


def test_a_command_that_cannot_be_started_is_reported_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "about.toml").write_text(f'notify = "{"x" * 200_000}"\n')
    notifier = Notifier(tmp_path)
    notifier.notify("failed", "why")
    notifier.close()
    log = tmp_path / "log.txt"
    eventually(lambda: "the notify command cannot be started" in log.read_text())


def open_up(path: Path, how: str) -> None:
    if how == "somebody else's":
        os.chown(path, 12345, 12345)
    else:
        path.chmod(path.stat().st_mode | (0o002 if how == "everybody" else 0o020))


OPEN = [
    "everybody",
    "its group",
    pytest.param("somebody else's", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give away")),
]


@pytest.mark.parametrize("how", OPEN)
@pytest.mark.parametrize("which", ["home", "settings.toml", "the run", "about.toml"])
def test_a_command_that_others_could_have_written_is_not_started(
    which: str, how: str, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Review: in a home of mode 0777 another user's settings.toml was obeyed."""
    run = RunFolder.create("vqa", config())
    command = f"touch '{tmp_path}/told'"
    if which in ("home", "settings.toml"):
        (home / "settings.toml").write_text(f'notify = "{command}"\n')
        (home / "settings.toml").chmod(0o600)
        path = home if which == "home" else home / "settings.toml"
    else:
        write_about(run.path, notify=command)
        path = run.path if which == "the run" else run.path / "about.toml"
    assert command_for(run.path) == command
    open_up(path, how)
    told = Notifier(run.path)
    told.notify("finished")
    told.close()
    assert "not started" in run.log.read_text() and str(path) in run.log.read_text()
    assert not (tmp_path / "told").exists()
    with pytest.raises(LooptopError, match="the notify command is not started"):
        command_for(run.path)
    if which in ("home", "settings.toml"):
        assert main(["doctor"]) == 0
        assert f"! {path} " in capsys.readouterr().out
    if which == "home":
        assert not is_made_here(run.path)
