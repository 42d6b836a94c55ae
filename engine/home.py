"""The home folder, which holds everything that looptop saves. In a file of its own, so that importing it is quick."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from looptop.engine.errors import LooptopError
from looptop.engine.paths import path_of
from looptop.engine.text import visible

READ_ONLY = "LOOPTOP_READONLY"
"""The environment variable that makes looptop write nothing; `--readonly` sets it. Helper processes inherit it."""


def is_read_only() -> bool:
    """Whether looptop was started only to look: it writes no file and sends no control to a run."""
    return bool(os.environ.get(READ_ONLY))


def home_path() -> Path:
    """The folder of all runs: `$LOOPTOP_HOME`, or the platform's folder for user data. It may be missing."""
    return path_of(os.environ.get("LOOPTOP_HOME") or platformdirs.user_data_path("looptop")).absolute()


def home() -> Path:
    """The folder of all runs. Made if missing, with mode 0700.

    Raises:
        LooptopError: It cannot be made.
    """
    path = home_path()
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        raise LooptopError(
            f"cannot make the folder {visible(path)} for runs: {error.strerror}; set LOOPTOP_HOME to a folder you can"
            " write to"
        ) from None
    return path
