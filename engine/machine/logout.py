"""Whether this host ends a person's processes when they log out: systemd's KillUserProcesses, or a Slurm job's end.

A run lives in a session of its own, so a closed terminal is nothing to it. But systemd can be told to end all processes
of a login's scope, however they were started, and Slurm ends what belongs to a job.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

_ASK = (
    "busctl", "--no-pager", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager", "KillUserProcesses",
)  # fmt: skip


class Logout(Struct, frozen=True):
    """What becomes of runs at logout."""

    ends_runs: bool | None
    """None where it cannot be told."""
    why: str
    advice: str = ""


def logout_policy(
    root: Path = Path("/"),
    environment: Mapping[str, str] = os.environ,
    ask: Callable[[], str] | None = None,
    user: str | None = None,
) -> Logout:
    """What this host does.

    Args:
        root: Where the system's files lie.
        environment: The process's.
        ask: Asks the running logind; None uses `busctl`.
        user: Who logs out; None is whoever runs this.
    """
    job = environment.get("SLURM_JOB_ID", "")
    if job or "slurm" in _read(root / "proc/self/cgroup"):
        return Logout(
            True,
            f"this shell belongs to a Slurm job{f' ({job})' if job else ''}: Slurm ends all of its processes with it",
            "start runs inside `sbatch`, or ask for a job that lasts as long as they take; `looptop resume` goes on",
        )
    if not (root / "run/systemd/system").exists():
        return Logout(False, "no systemd runs here that could end processes at logout")
    kills = {"b true": True, "b false": False}.get((ask or _ask)().strip())
    told = "systemd-logind says"
    if kills is None:
        kills, told = _configured(root), "logind.conf says"
    if kills is None:
        return Logout(
            None,
            "systemd-logind does not answer and no file says whether it ends processes at logout (KillUserProcesses)",
            "to be safe: loginctl enable-linger, then systemd-run --user --scope looptop train …",
        )
    if not kills:
        return Logout(False, f"{told} KillUserProcesses=no: processes stay when you log out")
    name = user or getpass.getuser()
    if name == "root":
        return Logout(False, f"{told} KillUserProcesses=yes, which spares root")
    lingers = (root / "var/lib/systemd/linger" / name).exists()
    if lingers and "user@" in _read(root / "proc/self/cgroup"):
        return Logout(False, f"{told} KillUserProcesses=yes, but you linger and this shell is in your user manager")
    return Logout(
        True,
        f"{told} KillUserProcesses=yes: at logout all of the session's processes are ended, runs too",
        ("" if lingers else "loginctl enable-linger (once), then ")
        + "start with: systemd-run --user --scope looptop train …",
    )


def _configured(root: Path) -> bool | None:
    """What logind's files say; a later file goes before an earlier one."""
    files = [root / "usr/lib/systemd/logind.conf", root / "etc/systemd/logind.conf"]
    for folder in ("usr/lib", "run", "etc"):
        files += sorted((root / folder / "systemd/logind.conf.d").glob("*.conf"))
    ends = None
    for file in files:
        for match in re.finditer(r"^\s*KillUserProcesses\s*=\s*(\S+)", _read(file), re.MULTILINE):
            ends = match[1].lower() in ("yes", "true", "on", "1")
    return ends


def _ask() -> str:
    try:
        done = subprocess.run(_ASK, capture_output=True, text=True, timeout=3, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
