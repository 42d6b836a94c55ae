"""Folders of files that are made once for all tests of this process, and copied for each."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, cast

Options = ParamSpec("Options")
_MADE = tempfile.TemporaryDirectory(prefix="looptop-made-once-")


def made_once(make: Callable[Concatenate[Path, Options], object]) -> Callable[Concatenate[Path, Options], Path]:
    """Lets a function that fills a folder do so once for each of its options; any other folder gets a copy.

    The function may depend on nothing but its options, and must not write the folder's path into the files.
    """

    made: dict[object, Path] = {}

    @functools.wraps(make)
    def copy(folder: Path, *args: Options.args, **options: Options.kwargs) -> Path:
        key = (args, frozenset(options.items()))
        if key not in made:
            made[key] = Path(tempfile.mkdtemp(dir=_MADE.name))
            make(made[key], *args, **options)
        shutil.copytree(made[key], folder, dirs_exist_ok=True)
        return folder

    return cast("Callable[Concatenate[Path, Options], Path]", copy)
