"""Where everything that a person makes with looptop is kept. By itself, so that knowing it costs nothing."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from looptop.engine.errors import LooptopError
from looptop.engine.paths import path_of
from looptop.engine.text import visible


def home() -> Path:
    """Where runs and what belongs to them are kept: `$LOOPTOP_HOME`, or the platform's user data folder; mode 0700.

    Raises:
        LooptopError: It cannot be made.
    """
    path = path_of(os.environ.get("LOOPTOP_HOME") or platformdirs.user_data_path("looptop")).absolute()
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        raise LooptopError(
            f"cannot make the folder {visible(path)} for runs: {error.strerror}; set LOOPTOP_HOME to one you can write"
        ) from None
    return path
