"""The lock: one holder, released when its process ends in any way, and not disturbed by readers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock, is_held, read_owner
from tests.factories.processes import python, read_line
from tests.support import eventually

HOLD = """
    import sys, time
    from pathlib import Path
    from looptop.engine.errors import LooptopError
    from looptop.engine.files.lock import RunLock
    try:
        with RunLock(Path(sys.argv[1]), "vqa-1"):
            print("held", flush=True)
            sys.stdin.readline()
    except LooptopError as error:
        print(error, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.lock"


def test_the_lock_file_names_its_holder(path: Path) -> None:
    assert not is_held(path)
    assert read_owner(path) is None
    with RunLock(path):
        assert is_held(path)
        owner = read_owner(path)
        assert owner is not None
        assert (owner.host, owner.pid) == (socket.gethostname(), os.getpid())
        assert abs(owner.heartbeat - time.time()) < 60
    assert not is_held(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_one_of_several_racing_processes_gets_the_lock(path: Path) -> None:
    processes = [python(HOLD, path, stdin=-1) for _ in range(4)]
    outputs = [read_line(process) for process in processes]
    assert outputs.count("held") == 1
    holder = processes[outputs.index("held")]
    refused = [line for line in outputs if line != "held"]
    assert all(line.startswith("vqa-1 is running already") for line in refused)
    for process in processes:
        process.communicate("\n")
    assert holder.returncode == 0
    assert not is_held(path)


def test_a_second_holder_in_the_same_process_is_refused(path: Path) -> None:
    with RunLock(path), pytest.raises(LooptopError, match=f"running already .process {os.getpid()}"):
        RunLock(path).acquire()


def test_killing_the_holder_frees_it(path: Path) -> None:
    process = python(HOLD, path, stdin=-1)
    assert read_line(process) == "held"
    assert is_held(path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_held(path)
    with RunLock(path):
        assert is_held(path)


def test_busy_readers_never_keep_a_run_from_starting(path: Path) -> None:
    path.touch()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            is_held(path)

    readers = [threading.Thread(target=ask) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(100):
            with RunLock(path):
                pass
    finally:
        done.set()
        for reader in readers:
            reader.join()


def test_a_forked_worker_does_not_keep_the_lock(path: Path) -> None:
    lock = RunLock(path).acquire()
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    child.start()
    try:
        assert is_held(path)
        # As the kernel does when the process dies: the file is closed, not unlocked.
        os.close(lock.descriptor)
        lock._descriptor = None
        eventually(lambda: not is_held(path))
    finally:
        child.kill()
        child.join()
        lock.release()


def test_a_program_that_the_run_starts_does_not_keep_the_lock(path: Path) -> None:
    code = """
        import subprocess, sys
        from pathlib import Path
        from looptop.engine.files.lock import RunLock
        RunLock(Path(sys.argv[1])).acquire()
        child = subprocess.Popen(["sleep", "1000"], close_fds=False, stdout=subprocess.DEVNULL)
        print(child.pid, flush=True)
        sys.stdin.readline()
    """
    process = python(code, path, stdin=-1)
    child = int(read_line(process))
    try:
        assert is_held(path)
        process.kill()
        process.wait()
        assert not is_held(path)
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_heartbeat_continues_by_itself(path: Path) -> None:
    with RunLock(path):
        os.utime(path, (1.0, 1.0))
        eventually(lambda: (owner := read_owner(path)) and owner.heartbeat > 1.0)
