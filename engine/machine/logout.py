"""Whether this host ends a user's processes at logout, by systemd's KillUserProcesses or with a Slurm job.

A run has a session of its own, so it outlives its terminal. But systemd can be configured to end all processes of a
login session, however they were started, and Slurm ends all processes of a job.
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
    """What happens to runs at logout."""

    ends_runs: bool | None
    """None if unknown."""
    why: str
    advice: str = ""


def logout_policy(
    root: Path = Path("/"),
    environment: Mapping[str, str] = os.environ,
    ask: Callable[[], str] | None = None,
    user: str | None = None,
) -> Logout:
    """What this host does to runs when their user logs out.

    Args:
        root: The root folder of the system's files.
        environment: The environment of the process.
        ask: Asks the running logind; None uses `busctl`.
        user: The user who logs out; None for the current user.
    """
    job = environment.get("SLURM_JOB_ID", "")
    if job or "slurm" in _read(root / "proc/self/cgroup"):
        return Logout(
            True,
            f"this shell belongs to a Slurm job{f' ({job})' if job else ''}: Slurm ends all of its processes with it",
            "start runs inside `sbatch`, or ask for a job that is long enough; `looptop resume` continues a run",
        )
    if not (root / "run/systemd/system").exists():
        return Logout(False, "systemd, which could end processes at logout, does not run here")
    kills = {"b true": True, "b false": False}.get((ask or _ask)().strip())
    source = "systemd-logind says"
    if kills is None:
        kills, source = _configured(root), "logind.conf says"
    if kills is None:
        return Logout(
            None,
            "systemd-logind does not answer, and no file says whether it ends processes at logout (KillUserProcesses)",
            "to be safe: loginctl enable-linger, then systemd-run --user --scope looptop train …",
        )
    if not kills:
        return Logout(False, f"{source} KillUserProcesses=no: processes keep running after logout")
    name = user or getpass.getuser()
    if name == "root":
        return Logout(False, f"{source} KillUserProcesses=yes, but not for root")
    lingers = (root / "var/lib/systemd/linger" / name).exists()
    if lingers and "user@" in _read(root / "proc/self/cgroup"):
        why = f"{source} KillUserProcesses=yes, but you have lingering on, and your user manager runs this shell"
        return Logout(False, why)
    return Logout(
        True,
        f"{source} KillUserProcesses=yes: logout ends all processes of the session, runs too",
        ("" if lingers else "loginctl enable-linger (once), then ")
        + "start with: systemd-run --user --scope looptop train …",
    )


def _configured(root: Path) -> bool | None:
    """What logind's files configure; a later file overrides an earlier one."""
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
