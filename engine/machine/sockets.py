"""Finds the users at the other end of this process's connections on this machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple


class _Socket(NamedTuple):
    local: str
    remote: str
    uid: int
    inode: str


_ESTABLISHED = "01"


def foreign_peers() -> set[int]:
    """The ids of other users whose processes are connected to this process by TCP on this machine.

    Only Linux can tell; on other systems the set is empty.
    """
    mine = _inodes_of_this_process()
    sockets = [socket for name in ("tcp", "tcp6") for socket in _sockets(Path("/proc/net") / name)]
    users = {(socket.local, socket.remote): socket.uid for socket in sockets}
    peers = (users.get((socket.remote, socket.local)) for socket in sockets if socket.inode in mine)
    return {uid for uid in peers if uid is not None} - {os.geteuid()}


def _inodes_of_this_process() -> set[str]:
    targets = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (the names are descriptors)
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
                if target.startswith("socket:["):
                    targets.add(target[8:-1])
    return targets


def _sockets(table: Path) -> list[_Socket]:
    """The established connections in a table of the kernel."""
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except (OSError, ValueError):
        return []
    words = [line.split() for line in lines]
    return [_Socket(each[1], each[2], int(each[7]), each[9]) for each in words if each[3] == _ESTABLISHED]
