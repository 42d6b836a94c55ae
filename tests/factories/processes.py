"""Processes: a few lines of Python, and an engine process that trains nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil

from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from tests.support import eventually

ROOT = Path(__file__).parents[2]


def python(code: str, *arguments: object, **kwargs: Any) -> subprocess.Popen[str]:
    """Runs a few lines in a process of their own; what it prints can be read from `stdout`."""
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("text", True)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        **kwargs,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def program(train: str = "Steps(save=write_checkpoint)") -> list[str]:
    """An engine process that trains nothing."""
    code = f"""
        import sys, time
        from looptop.engine.startup.host import main
        from tests.factories.runs import Steps, write_checkpoint
        sys.exit(main(train={train}))
    """
    return [sys.executable, "-c", textwrap.dedent(code)]


def process_of(folder: RunFolder) -> psutil.Process:
    owner = folder.owner()
    assert owner is not None
    assert owner.pid != os.getpid()
    return psutil.Process(owner.pid)


def has_ended(pid: int) -> bool:
    """Whether a process has ended; its parent need not have been told yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def going(folder: RunFolder) -> None:
    eventually(lambda: (last := Journal(folder.db).last("loss")) and last.step > 5)


def kill_live_runs() -> None:
    """Kills the processes of all live runs but this one's."""
    for folder in RunFolder.all():
        owner = folder.owner()
        if folder.is_live() and owner is not None and owner.pid != os.getpid():
            os.kill(owner.pid, signal.SIGKILL)
            eventually(lambda folder=folder: not folder.is_live())  # type: ignore[misc]
