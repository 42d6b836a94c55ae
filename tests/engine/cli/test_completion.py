"""Completion in a shell, with the code that bash itself runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from looptop.engine import config
from looptop.engine.cli.main import main
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.folder import RunFolder

Complete = Callable[[str], list[str]]

SCRIPT = """
eval "$1"
COMP_LINE="$2" COMP_POINT=${#2} COMP_TYPE=9 COMP_KEY=9
read -ra COMP_WORDS <<< "$2"
[[ "$2" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete looptop "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


ZSH = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "zsh", "_ARGCOMPLETE_IFS": "\v"}
"""What the code for zsh sets."""


@pytest.fixture
def complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Complete:
    """What bash offers for a typed line."""
    program = tmp_path / "looptop"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m looptop.tui.entry "$@"\n')
    program.chmod(0o755)
    assert main(["completion", "bash"]) == 0
    code = capsys.readouterr().out

    def words(line: str) -> list[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", SCRIPT, "bash", code, line],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return [word.strip() for word in done.stdout.splitlines() if word.strip()]

    return words


def test_bash_completes_what_the_parser_takes(complete: Complete) -> None:
    run = RunFolder.create("vqa", config.preset("tiny"))
    journal = JournalWriter(run.db)
    journal.metrics(1, {"loss": 1.0, "eval_loss": 2.0, "\x1b[31mred": 3.0})
    assert journal.close()
    assert complete("looptop comp") == ["compare", "completion"]
    assert complete("looptop show vq") == [run.id]
    for options in ("", "--json "):
        assert complete(f"looptop metrics {options}{run.id} ") == ["--help", "--json", "loss", "eval_loss"]
    assert complete("looptop train ppo --preset ti") == ["tiny", "tiny-hackable"]
    assert complete("looptop train ppo --set ppo.init") == ["ppo.init_kl_coef="]
    assert complete("looptop ask picture.png what --model b") == ["bundled"]
    assert complete("looptop runs 'an open quote") == []


def test_a_home_that_cannot_be_read_completes_nothing(complete: Complete, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPTOP_HOME", "/dev/null/home")
    assert complete("looptop show v") == []


def test_zsh_shows_what_each_command_does(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['looptop']; from looptop.engine.cli.main import main; main()"
    answer = tmp_path / "answer"
    line = {"COMP_LINE": "looptop no", "COMP_POINT": "10", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **ZSH, **line}, check=True)
    assert answer.read_text().split("\v") == [
        "note:keep a note with a run",
        "notify:set the command to start when a run ends, fails, raises an alert or hits a breakpoint",
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_code(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert "looptop" in out and err == ""
