"""Opens a text in a person's own editor, with the app suspended."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.tui.terminal.driver import output_of_other_programs

FALLBACKS = ("nano", "vi")
"""Editors that are tried where neither VISUAL nor EDITOR is set."""


def editor() -> list[str]:
    """The command of the editor: VISUAL, EDITOR, or one that most machines have.

    Raises:
        LooptopError: There is none, or the variable's value cannot be read.
    """
    for name in ("VISUAL", "EDITOR"):
        if command := os.environ.get(name, "").strip():
            try:
                words = shlex.split(command)
            except ValueError:
                raise LooptopError(f"{name} is {visible(command)}, which is not a command") from None
            if words:
                return words
    for command in FALLBACKS:
        if shutil.which(command):
            return [command]
    raise LooptopError("there is no editor: set EDITOR, for example EDITOR=nano")


def edit(app: App[object], text: str) -> str:
    """Opens the text in the editor, and waits until a person leaves it.

    Args:
        app: The app; it leaves the terminal to the editor meanwhile.
        text: The text, of a TOML file.

    Returns:
        The text as it was saved.

    Raises:
        LooptopError: There is no editor, it failed, or the text cannot be written or read.
    """
    command = editor()
    try:
        with tempfile.TemporaryDirectory(prefix="looptop-") as folder:
            path = Path(folder) / "new-run.toml"
            path.write_text(text, "utf-8")
            path.chmod(0o600)
            try:
                with app.suspend():
                    code = _run([*command, str(path)])
            except SuspendNotSupported:
                raise LooptopError("no editor can be opened here: the app cannot leave this terminal") from None
            if code:
                raise LooptopError(f"{visible(command[0])} ended with exit code {code}; nothing was changed")
            return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise LooptopError("the edited text is not UTF-8; nothing was changed") from None
    except OSError as error:
        raise LooptopError(f"{visible(command[0])} cannot be started: {error.strerror}") from None


def _run(command: list[str]) -> int:
    """Runs a program on the terminal, and returns its exit code."""
    output = output_of_other_programs()
    try:
        return subprocess.run(command, check=False, stdout=output, stderr=output).returncode
    finally:
        if output is not None:
            os.close(output)
