"""The file systems that hold the home and its runs: their type, whether other machines share them, their free space."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

# The types that other machines share. On these, SQLite's WAL mode does not work: it keeps its index in shared memory,
# which only processes on one machine can share. SQLite does not detect the problem.
_NETWORK_TYPES = {
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fhgfs", "fuse.ceph", "fuse.davfs2",
    "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs", "virtiofs", "webdav", "wekafs",
}  # fmt: skip


class HomeFolder(Struct, frozen=True):
    """A folder of looptop's home, and the file system that holds it. `looptop doctor --json` prints it."""

    what: str
    """Which folder: `home`, `runs`, or the id of a run whose folder is a link to one elsewhere."""
    path: str
    """As it stands in the home: a link is not resolved."""
    file_system: str
    """The type: `ext4`, `nfs4`; or `unknown`."""
    network: bool
    """Whether other machines share the file system; False if its type is unknown."""
    free: int
    """Free space in bytes."""


def home_folders(home: Path) -> list[HomeFolder]:
    """The folders whose file systems matter: the home, its folder `runs`, and each run that is a link to elsewhere."""
    runs = home / "runs"
    folders = [_describe("home", home)]
    if runs.is_dir():
        folders.append(_describe("runs", runs))
        with contextlib.suppress(OSError):
            links = [path for path in sorted(runs.iterdir()) if path.is_symlink() and path.is_dir()]
            folders += [_describe(path.name, path) for path in links]
    return folders


def is_on_network(path: Path, mounts: Iterable[tuple[str, str]] | None = None) -> bool:
    """Whether a file is on a file system that other machines share; False if the type of its file system is unknown.

    Args:
        path: A file in an existing folder; it need not exist.
        mounts: Mount points and the types of their file systems, in the order of mounting; None asks the kernel.
    """
    folder = path.absolute().parent.resolve()
    return _file_system_type(folder, _mounts() if mounts is None else mounts).lower() in _NETWORK_TYPES


def _describe(what: str, path: Path) -> HomeFolder:
    real = path.resolve()
    return HomeFolder(
        what=what,
        path=str(path),
        file_system=_file_system_type(real, _mounts()) or "unknown",
        network=is_on_network(real / "run.db"),  # takes a file, which need not exist
        free=shutil.disk_usage(real).free,
    )


def _file_system_type(folder: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """The type of the file system that holds a folder; empty if unknown."""
    deepest, deepest_type = -1, ""
    for mount_point, type_ in mounts:
        mount = Path(mount_point)
        # The deepest mount point holds the folder; of two mounts at one point, the later one hides the earlier.
        if len(mount.parts) >= deepest and folder.is_relative_to(mount):
            deepest, deepest_type = len(mount.parts), type_
    return deepest_type


def _mounts() -> list[tuple[str, str]]:
    """Mount points and the types of their file systems, from the kernel; none if they cannot be read."""
    import psutil  # slow to import, and only writers need it

    try:
        return [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]
    except OSError:
        return []
