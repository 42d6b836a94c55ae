"""The command as a process: what it imports, and what its streams may be."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from looptop.engine import config
from looptop.engine.cli.main import main
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder

CLI = [sys.executable, "-m", "looptop.engine"]
LOOPTOP = [sys.executable, "-m", "looptop.tui.entry"]


@pytest.fixture
def run() -> RunFolder:
    """A run that was stopped, as it lies on disk."""
    folder = RunFolder.create("vqa", config.preset("tiny"))
    journal = JournalWriter(folder.db)
    journal.state(RunState.STOPPED, "stopped on \x1b[2J request")
    assert journal.close()
    return folder


@pytest.mark.parametrize(
    "words",
    ["", "--help", "runs", "train --help", "ask --help", "eval --help", "demo --help", "attach --help", "doctor"],
)
def test_heavy_libraries_are_not_imported(words: str, run: RunFolder) -> None:
    program = (
        "import sys; from looptop.engine.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'trl', 'textual', 'looptop.tui'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *words.split()], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_ends_early_is_no_error(run: RunFolder) -> None:
    run.log.write_text("a line\n" * 1_000_000)
    with subprocess.Popen([*CLI, "logs", "vqa-1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("words", ["runs", "--help", "train --help"])
def test_an_output_that_takes_nothing_is_one_sentence(run: RunFolder, words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*CLI, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "looptop: cannot write the output: No space left on device\n")


def test_ctrl_c_before_the_command_has_loaded_is_one_sentence() -> None:
    """The signal comes while the command's modules are imported."""
    program = (
        "import sys, os, signal; from looptop.tui import entry\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'looptop.engine.cli.main': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "sys.exit(entry.main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "looptop: interrupted\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_few_letters(run: RunFolder, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([*CLI, "show", "vqa-1"], capture_output=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"stopped on ?[2J request" in done.stdout


@pytest.mark.parametrize("closed", ["stdout", "stdin"])
def test_a_closed_stream(closed: str) -> None:
    redirect = {"stdout": ">&-", "stdin": "<&-"}[closed]
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m looptop.engine.cli.main runs {redirect}'], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("terminal_on", [(0,), (1,)])
def test_the_app_needs_both_sides_of_a_terminal(terminal_on: tuple[int, ...]) -> None:
    ours, theirs = pty.openpty()
    stdin, stdout = (theirs if side in terminal_on else subprocess.DEVNULL for side in (0, 1))
    done = subprocess.run(LOOPTOP, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60)
    for descriptor in (ours, theirs):
        os.close(descriptor)
    assert done.returncode == 2 and "looptop demo" in done.stderr


def test_on_a_terminal_the_app_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def open_app(folder: object) -> int:
        opened.append(folder)
        return 0

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    assert main([], open_app=open_app) == 0
    assert opened == [None]


def test_the_engine_alone_names_the_command_that_opens_the_app(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "run `looptop` to open the app" in capsys.readouterr().err


class Terminal:
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        pass
