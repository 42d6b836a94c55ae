"""The folder for what a person exports from the app or with a command."""

from __future__ import annotations

from pathlib import Path

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import refuse_if_read_only
from looptop.engine.home import home
from looptop.engine.text import visible


def exports_folder() -> Path:
    """The folder `exports` in looptop's home; made if missing.

    Raises:
        LooptopError: The folder cannot be made, or looptop was started with `--readonly`.
    """
    refuse_if_read_only()
    folder = home() / "exports"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LooptopError(f"cannot make the folder {visible(folder)}: {error.strerror}") from None
    return folder


def new_path(name: str, suffix: str = "") -> Path:
    """A path in `exports` that does not exist yet: NAME with the suffix, else NAME-2 with it, NAME-3, ...

    Raises:
        LooptopError: As for `exports_folder`.
    """
    folder, number = exports_folder(), 1
    path = folder / f"{name}{suffix}"
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{suffix}"
    return path
