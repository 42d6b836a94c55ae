"""Where the parts that looptop brings along lie on disk. Without torch, so that a list of models costs nothing."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

BUNDLED = "bundled:"
"""What the name of a part that looptop brings along begins with."""


def resolve(name: str) -> str:
    """The folder of a bundled part (`bundled:text_encoder`); any other name (hub name, folder) unchanged.

    Raises:
        LooptopError: looptop brings no such part along; those that it does are named.
    """
    if not name.startswith(BUNDLED):
        return name
    part = name.removeprefix(BUNDLED)
    home = Path(str(resources.files("looptop.engine"))) / "bundled"
    folders = sorted(folder.name for folder in home.iterdir() if folder.is_dir()) if home.is_dir() else []
    if part not in folders:
        known = ", ".join(BUNDLED + folder for folder in folders) or "none in this installation"
        raise LooptopError(f"there is no '{visible(name)}'; the bundled parts are: {known}")
    return str(home / part)
