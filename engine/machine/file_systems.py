"""On which file systems the home lies, whether other machines share them, and how much room they have."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

# SQLite's shared-memory index does not work across machines, and SQLite does not notice that a file system is shared.
_NETWORK = {
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fhgfs", "fuse.ceph", "fuse.davfs2",
    "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs", "virtiofs", "webdav", "wekafs",
}  # fmt: skip


class HomeFolder(Struct, frozen=True):
    """A folder of looptop's home, and the file system that holds it."""

    what: str
    """`home`, `runs`, or a run whose folder lies elsewhere."""
    path: str
    file_system: str
    network: bool
    """Whether other machines share it."""
    free: int
    """Bytes."""


def home_folders(home: Path) -> list[HomeFolder]:
    """The home, its runs, and those runs that a link puts on another file system."""
    runs = home / "runs"
    folders = [_describe("home", home)]
    if runs.is_dir():
        folders.append(_describe("runs", runs))
        with contextlib.suppress(OSError):
            links = [path for path in sorted(runs.iterdir()) if path.is_symlink() and path.is_dir()]
            folders += [_describe(path.name, path) for path in links]
    return folders


def is_on_network(path: Path, mounts: Iterable[tuple[str, str]] | None = None) -> bool:
    """Whether a path lies on a file system that other machines share.

    Args:
        path: A file; its folder exists.
        mounts: Mount points and their file systems' types, in the order they were mounted; None asks the kernel.
    """
    return _file_system(path.absolute().parent.resolve(), _mounts() if mounts is None else mounts).lower() in _NETWORK


def _describe(what: str, path: Path) -> HomeFolder:
    real = path.resolve()
    return HomeFolder(
        what=what,
        path=str(path),
        file_system=_file_system(real, _mounts()) or "unknown",
        network=is_on_network(real / "run.db"),
        free=shutil.disk_usage(real).free,
    )


def _file_system(folder: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """The type of the file system that holds a folder; empty where it is not known."""
    longest, kind = -1, ""
    for point, type_ in mounts:
        mount = Path(point)
        if len(mount.parts) >= longest and folder.is_relative_to(mount):
            longest, kind = len(mount.parts), type_
    return kind


def _mounts() -> list[tuple[str, str]]:
    import psutil  # takes a while, and only a writer asks

    try:
        return [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]
    except OSError:
        return []
