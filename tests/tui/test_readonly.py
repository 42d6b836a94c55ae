"""`--readonly`: everything is shown, and nothing is changed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config import preset
from looptop.engine.errors import LooptopError
from looptop.engine.home import READ_ONLY
from looptop.engine.runs.about import write_about
from looptop.engine.runs.control import send
from looptop.engine.runs.delete import delete
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.tui.actions import ACTIONS, CHANGING
from looptop.tui.app import READ_ONLY_NOTICE
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import shown, until


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(READ_ONLY, "1")
    yield


def files(folder: Path) -> dict[str, bytes]:
    """All files of a home but those in which readers of a journal meet its writer."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_an_action_changes_something_in_every_context_or_in_none() -> None:
    for actions in ACTIONS.values():
        for action in actions:
            assert action.changes == (action.name in CHANGING)
    changing = {"new", "start", "delete", "rename", "export", "export_chart", "picture"}
    assert {"command('pause')", "command('stop')", *changing} <= CHANGING


async def test_keys_change_nothing_and_say_why(
    home: Path, answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(state=None)
    with RunLock(run.lock, run.id):
        monkeypatch.setenv(READ_ONLY, "1")
        before = files(home)
        app = make_app(answers, attach=run)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "step 120 of 200" in shown(app))
            assert "read-only" in shown(app)
            assert "space pause" not in shown(app)
            assert "checkpoint" not in shown(app).splitlines()[-1]
            for key in ("space", "c", "x", "n"):
                app.clear_notifications()
                await pilot.press(key)
                await until(pilot, lambda: [n.message for n in app._notifications] == [READ_ONLY_NOTICE])
            await pilot.press("4", "D", "t", "d", "1")
            await until(pilot, lambda: "0.png" in shown(app))
        assert files(home) == before


async def test_one_can_still_ask(read_only: None, answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "0.png" in shown(app))
        await pilot.press("a", *"what?", "enter")
        await until(pilot, lambda: "confidence" in shown(app))
        await pilot.press("escape", "t")  # a mark would be kept in a file
        await until(pilot, lambda: "writes no file" in [*app._notifications][-1].message)


def test_the_engine_refuses_as_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished, live = make_run(), make_run(state=None)
    with RunLock(live.lock, live.id):
        monkeypatch.setenv(READ_ONLY, "1")
        before = files(home)
        for change in (
            lambda: send(live, "stop"),
            lambda: delete(finished),
            lambda: write_about(finished.path, title="no"),
            lambda: RunFolder.create("vqa", preset("tiny")),
        ):
            with pytest.raises(LooptopError, match="--readonly"):
                change()
        assert files(home) == before


@pytest.mark.parametrize(
    "words",
    [
        ["delete", "RUN", "--yes"],
        ["rename", "RUN", "no"],
        ["resume", "RUN"],
        ["export", "RUN", "--to", "csv", "--out", "OUT"],
        ["export", "RUN", "--to", "parquet", "--out", "OUT"],
        ["export", "RUN", "--to", "tensorboard", "--out", "OUT"],
    ],
)
def test_the_command_line_takes_it_before_any_command(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    run = make_run(state=RunState.STOPPED)
    monkeypatch.setenv(READ_ONLY, "")
    before = files(home)
    given = {"RUN": run.id, "OUT": str(home / "out")}
    assert main(["--readonly", *(given.get(word, word) for word in words)]) == 2
    assert "--readonly" in capsys.readouterr().err
    assert files(home) == before


@pytest.mark.parametrize("words", [["--readonly"], ["--readonly", "attach", "RUN"], ["attach", "RUN", "--readonly"]])
def test_the_app_opens_to_look_only(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    run = make_run()
    monkeypatch.setenv(READ_ONLY, "")
    for module in ("looptop.engine.cli.attach", "looptop.engine.machine.terminal"):
        monkeypatch.setattr(f"{module}.can_draw", lambda: True)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    opened = []

    def open_app(folder: RunFolder | None) -> int:
        opened.append((folder and folder.id, os.environ[READ_ONLY]))
        return 0

    assert main([run.id if word == "RUN" else word for word in words], open_app=open_app) == 0
    assert opened == [(run.id if "RUN" in words else None, "1")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
