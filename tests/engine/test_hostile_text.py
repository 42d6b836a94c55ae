"""Whatever a run's files hold: no command lets a character through that acts on the terminal."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from looptop.engine.cli import control
from looptop.engine.cli.main import main
from looptop.engine.journal.reader import Journal
from tests.factories.hostile import HOSTILE, acts, hostile_run


def output(words: list[str]) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        main(words)
    return out.getvalue(), err.getvalue()


def test_no_command_says_what_acts_on_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SECONDS_TO_WAIT", 0.1)  # nobody answers
    run = hostile_run()
    metric = next(name for name in Journal(run.db).names() if HOSTILE in name)
    last = "6"
    commands = [
        ["show"], ["logs"], ["metrics"], ["metrics", metric], ["metrics", "nothing" + HOSTILE], ["batches"],
        ["samples", last], ["samples", last, "--sort", "x" + HOSTILE], ["samples", "99"], ["tokens", last, "0"],
        ["tokens", last, "99"], ["break"], ["break", HOSTILE], ["export", "--to", "csv", "--out", str(tmp_path / "c")],
        ["export", "--to", "jsonl", "--out", str(tmp_path / "j")], ["resume"], ["compare"], ["pause"], ["stop"],
        ["reward", last, "0", "1"], ["attach"], ["rename", "x" + HOSTILE.replace("\r", "")], ["note", HOSTILE],
        ["notify", HOSTILE], ["generate", "the tram"], ["eval"], ["curate"],
        ["curate", "edited"], ["curate", "--drop", "no" + HOSTILE], ["curate", "--relabel", HOSTILE, HOSTILE],
    ]  # fmt: skip
    for words in [*commands, *([*words, "--json"] for words in commands if words[0] not in ("attach",))]:
        out, err = output([words[0], run.id, *words[1:]])
        assert not acts(out) and not acts(err), (words, acts(out), acts(err))
        assert "Traceback" not in err, (words, err)
    for words in (["runs"], ["runs", "--json"], ["runs", HOSTILE], ["doctor"]):
        out, err = output(words)
        assert not acts(out) and not acts(err), words
    assert "[@click=app.quit]" in output(["show", run.id])[0]


def test_json_holds_the_text_as_it_is() -> None:
    run = hostile_run()
    shown = json.loads(output(["show", run.id, "--json"])[0])
    assert any(HOSTILE in event["text"] for event in shown["events"])


@pytest.mark.parametrize("broken", ["x\x1b]0;evil\x07", "\x9b31m"])
def test_a_folder_with_a_hostile_name_is_only_shown(broken: str, tmp_path: Path) -> None:
    run = hostile_run()
    elsewhere = run.path.rename(tmp_path / broken)
    for words in (["show"], ["logs"], ["resume"], ["metrics"], ["attach"], ["delete", "--yes"]):
        out, err = output([words[0], str(elsewhere), *words[1:]])
        assert not acts(out) and not acts(err), words
