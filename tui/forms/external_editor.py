"""Opens a text in the editor that a person has chosen with VISUAL or EDITOR, while the app is suspended."""

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

FALLBACK_EDITORS = ("nano", "vi")
"""The editors to try, in this order, if neither VISUAL nor EDITOR is set."""


def editor_command() -> list[str]:
    """The editor's command with its arguments: VISUAL, else EDITOR, else an installed one of `FALLBACK_EDITORS`.

    Raises:
        LooptopError: There is no editor, or the value of VISUAL or EDITOR is not a command.
    """
    for name in ("VISUAL", "EDITOR"):
        if command := os.environ.get(name, "").strip():
            try:
                words = shlex.split(command)
            except ValueError:
                raise LooptopError(f"{name} is {visible(command)}, which is not a command") from None
            if words:
                return words
    for command in FALLBACK_EDITORS:
        if shutil.which(command):
            return [command]
    raise LooptopError("there is no editor: set EDITOR, for example EDITOR=nano")


def edit(app: App[object], text: str) -> str:
    """Opens the text in the editor, and waits until the editor ends.

    Args:
        app: The app; it leaves the terminal to the editor meanwhile.
        text: The text to edit, in TOML: the editor sees a file named `new-run.toml`.

    Returns:
        The text as it was saved.

    Raises:
        LooptopError: There is no editor, it failed, or the text cannot be written or read.
    """
    command = editor_command()
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
