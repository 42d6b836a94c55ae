"""The file systems that hold the home folder: their type, whether other machines share them, and their free space."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

# On these, SQLite's WAL mode does not work: its index is in memory that machines cannot share, and SQLite does not
# check for it.
_NETWORK = {
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fhgfs", "fuse.ceph", "fuse.davfs2",
    "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs", "virtiofs", "webdav", "wekafs",
}  # fmt: skip


class HomeFolder(Struct, frozen=True):
    """A folder of looptop's home, and the file system that holds it."""

    what: str
    """`home`, `runs`, or the id of a run whose folder is elsewhere."""
    path: str
    file_system: str
    network: bool
    """Whether other machines share the file system."""
    free: int
    """Free space in bytes."""


def home_folders(home: Path) -> list[HomeFolder]:
    """The home, the folder of its runs, and each run that is a link to a folder elsewhere."""
    runs = home / "runs"
    folders = [_describe("home", home)]
    if runs.is_dir():
        folders.append(_describe("runs", runs))
        with contextlib.suppress(OSError):
            links = [path for path in sorted(runs.iterdir()) if path.is_symlink() and path.is_dir()]
            folders += [_describe(path.name, path) for path in links]
    return folders


def is_on_network(path: Path, mounts: Iterable[tuple[str, str]] | None = None) -> bool:
    """Whether a file is on a file system that other machines share.

    Args:
        path: A file in an existing folder.
        mounts: Mount points and the types of their file systems, in the order of mounting; None asks the kernel.
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
    """The type of the file system that holds a folder; empty if unknown."""
    longest, kind = -1, ""
    for point, type_ in mounts:
        mount = Path(point)
        if len(mount.parts) >= longest and folder.is_relative_to(mount):
            longest, kind = len(mount.parts), type_
    return kind


def _mounts() -> list[tuple[str, str]]:
    import psutil  # slow to import, and only writers need it

    try:
        return [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]
    except OSError:
        return []
