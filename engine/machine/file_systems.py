"""On which file systems the home lies, whether other machines share them, and how much room they have."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import psutil
from msgspec import Struct

from looptop.engine.journal.schema import is_on_network


class Place(Struct, frozen=True):
    """A part of the home."""

    what: str
    """`home`, `runs`, or a run whose folder lies elsewhere."""
    path: str
    file_system: str
    network: bool
    """Whether other machines share it."""
    free: int
    """Bytes."""


def places(home: Path) -> list[Place]:
    """The home, its runs, and those of the runs that lie on another file system than they (by a link)."""
    runs = home / "runs"
    found = [_place("home", home)]
    if runs.is_dir():
        found.append(_place("runs", runs))
        with contextlib.suppress(OSError):
            found += [_place(path.name, path) for path in sorted(runs.iterdir()) if path.is_symlink() and path.is_dir()]
    return found


def _place(what: str, path: Path) -> Place:
    real = path.resolve()
    return Place(
        what=what,
        path=str(path),
        file_system=_file_system(real),
        network=is_on_network(real / "run.db"),
        free=shutil.disk_usage(real).free,
    )


def _file_system(path: Path) -> str:
    best, found = -1, "unknown"
    with contextlib.suppress(OSError):
        for partition in psutil.disk_partitions(all=True):
            mount = Path(partition.mountpoint)
            if len(mount.parts) >= best and path.is_relative_to(mount):
                best, found = len(mount.parts), partition.fstype
    return found
