"""Starts engine processes and pytest's workers quickly: a process that has loaded torch and transformers forks, instead
of a new interpreter loading them again for each of the suite's many runs (three to four seconds of a core each).

What is started is a process like any other, with an id, a session, an environment, signals and open files of its own.
Only the libraries of others are loaded before; looptop is not. Its parent is a process that waits for it and passes
its exit status on. What is neither in `MODULES` nor names what is in `NAMES`, and everything on systems other than
Linux, is started as usual.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import inspect
import io
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Any, cast

MODULES = {
    "looptop.engine.startup.companions",
    "looptop.engine.startup.host",
    "looptop.engine.helpers.answer_server",
    "looptop.engine.helpers.evaluation_server",
    "looptop.engine.helpers.reference_server",
    "scripts.gpu",
    "scripts.gpu.part",
}
"""Programs (`python -m MODULE`) that need torch. So do the files in `examples/`."""
NAMES = ("import torch", "looptop.engine.startup", "tests.factories.trainers", "sys.stdin.readline")
"""Lines of Python (`python -c LINES`) that need it contain one of these; the last stands in pytest's workers'."""
LIBRARIES = (
    "torch",
    "transformers",
    "transformers.trainer",
    "transformers.models.auto.modeling_auto",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.t5.modeling_t5",
    "transformers.models.vit.modeling_vit",
    "datasets",
    "peft",
    "PIL.Image",
    "pyarrow.parquet",
    "safetensors.torch",
)
ADDRESS = "LOOPTOP_TEST_WARM"
"""The environment variable with the socket of the process that forks; those that it starts ask the same one."""
ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
_MAX_REQUEST = 2**17
_MAX_COMMAND = 4000
_FREE_FD = 300
"""Received files are parked from this number on, until each has the number that it shall have."""

_Popen = subprocess.Popen
_BIND = inspect.signature(_Popen._execute_child).bind  # type: ignore[attr-defined]


def install() -> None:
    """Lets `subprocess` of this process start warm processes."""
    if sys.platform == "linux":
        subprocess.Popen = WarmPopen  # type: ignore[misc]


class WarmPopen(_Popen):  # type: ignore[type-arg]
    """`subprocess.Popen` whose processes are forked where they can be."""

    _status = -1
    """The file from which the exit status can be read once the process has ended."""

    def _execute_child(self, *arguments: Any) -> None:
        options = _BIND(self, *arguments).arguments
        if not _can_fork(options):
            super()._execute_child(*arguments)  # type: ignore[misc]
            return
        pipes = [options[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        passed = sorted(options["pass_fds"])
        request = {
            "argv": [os.fspath(word) for word in options["args"][1:]],
            "cwd": os.fspath(options["cwd"] or Path.cwd()),
            "env": dict(os.environ if options["env"] is None else options["env"]),
            "umask": options["umask"],
            "session": options["start_new_session"],
            "files": [0, 1, 2, *passed],
        }
        files = [own if pipe == -1 else pipe for own, pipe in enumerate(pipes)] + passed
        self.pid, self._status = _ask(request, files)
        self._ended = threading.Lock()
        self._child_created = True
        names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(options[name] for name in names))  # type: ignore[attr-defined]

    def _internal_poll(self, *arguments: Any, **options: Any) -> int | None:
        if self._status == -1:
            return cast("int | None", super()._internal_poll(*arguments, **options))  # type: ignore[misc]
        with self._ended:
            if self.returncode is None and select.select([self._status], [], [], 0)[0]:
                self.returncode = int(os.read(self._status, 16) or -9)
                os.close(self._status)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._status == -1:
            return cast("int", super()._wait(timeout))  # type: ignore[misc]
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self._internal_poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, cast("float", timeout))
            time.sleep(0.005)
        return code


def _can_fork(options: dict[str, Any]) -> bool:
    words = options["args"]
    if isinstance(words, str | bytes) or options["shell"] or options["preexec_fn"] is not None:
        return False
    program, kind, what = ([word for word in words if word not in ("-P", "-u")] + ["", "", ""])[:3]
    if program != sys.executable:
        return False
    if kind == "-c":
        # What asks which modules are loaded gets an interpreter of its own.
        return any(name in what for name in NAMES) and "sys.modules" not in what
    return (kind == "-m" and what in MODULES) or kind.startswith(f"{EXAMPLES}/")


def start_server() -> None:
    """Starts the process that forks, unless it runs."""
    with _starting:
        if sys.platform == "linux" and ADDRESS not in os.environ:
            _start_server()


def _ask(request: dict[str, Any], files: list[int]) -> tuple[int, int]:
    """Has a process forked; returns its id, and the file from which its exit status can be read."""
    start_server()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.connect("\0" + os.environ[ADDRESS])
        socket.send_fds(channel, [json.dumps(request).encode()], files)
        answer, received, _, _ = socket.recv_fds(channel, 64, 1)
    if not answer:
        raise RuntimeError("the process that forks others has ended; see its output")
    return int(answer), received[0]


_starting = threading.Lock()


def _start_server() -> None:
    address = f"looptop-{os.getpid()}-{time.monotonic_ns()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind("\0" + address)
    listener.listen(64)
    server = _Popen([sys.executable, "-m", "tests.warm", " " * _MAX_COMMAND], stdin=listener.fileno(), cwd=ROOT)
    listener.close()
    os.environ[ADDRESS] = address
    atexit.register(server.kill)


def serve() -> dict[str, Any]:
    """Forks for each request; returns in the new processes only, with the request."""
    gc.disable()  # What is imported is no garbage.
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    listener = socket.socket(fileno=os.dup(0))
    listener.settimeout(2)
    parent = os.getppid()
    while True:
        try:
            channel, _ = listener.accept()
        except TimeoutError:
            if os.getppid() != parent:  # It was killed, and could not end this process.
                raise SystemExit from None
            continue
        message, files, _, _ = socket.recv_fds(channel, _MAX_REQUEST, 250)
        if message:
            request = json.loads(message)
            # A process between this one and the new one waits for it, so that nothing is left behind here.
            between = os.fork()
            if between == 0:
                if _fork_and_wait(channel, files):
                    os._exit(0)
                listener.detach()
                channel.detach()
                _move(files, request["files"])
                return dict(request)
            _reap()
        channel.close()
        for number in files:
            os.close(number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _fork_and_wait(channel: socket.socket, files: list[int]) -> bool:
    """Forks; true, after the new process has ended, in the process that waits for it, and false in the new one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        return False
    socket.send_fds(channel, [str(child).encode()], [reading])
    # Whoever reads from the new process shall see its end.
    for number in (0, 1, 2, *range(3, writing), *files):
        with contextlib.suppress(OSError):
            os.close(number)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        os.write(writing, str(status).encode())
    return True


def _move(files: list[int], numbers: list[int]) -> None:
    """Gives received files their numbers, and closes all others."""
    parked = [fcntl.fcntl(each, fcntl.F_DUPFD, _FREE_FD) for each in files]
    os.closerange(3, _FREE_FD)
    for each, number in zip(parked, numbers, strict=True):
        os.dup2(each, number)
        os.close(each)


def run(request: dict[str, Any]) -> None:
    """Does what `python ARGV` does, in this process."""
    if request["session"]:
        os.setsid()
    if request["umask"] >= 0:
        os.umask(request["umask"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    kind, *words = request["argv"]
    unbuffered = kind == "-u" or bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.__stdout__ = _output(1, "strict", os.isatty(1), unbuffered)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _output(2, "backslashreplace", True, unbuffered)  # type: ignore[misc]
    sys.modules["numpy"].random.seed()
    tempfile.tempdir = None
    importlib.import_module("tests.warm").install()
    _show_command(request["argv"])
    if kind == "-u":
        kind, *words = words
    if kind == "-P":
        del sys.path[0]
        kind, *words = words
    elif kind in ("-c", "-m"):
        sys.path[0] = "" if kind == "-c" else request["cwd"]
    else:
        sys.path[0] = str(Path(kind).parent)
    if kind == "-m":
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *words[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(words[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = [kind, *words]
        runpy.run_path(kind, run_name="__main__")


def _show_command(words: list[str]) -> None:
    """Shows the command in lists of processes: they read it from where the system put the server's, which ends in
    blanks."""
    begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    command = "\0".join([sys.executable, *words]).encode("utf-8", "surrogateescape")
    ctypes.memmove(begin, command[: end - begin - 1].ljust(end - begin, b"\0"), end - begin)


def _output(number: int, errors: str, by_line: bool, unbuffered: bool) -> io.TextIOWrapper:
    """Standard output or error, as Python makes it when it starts."""
    raw = io.FileIO(number, "w", closefd=False)
    binary = cast("io.BufferedWriter", raw if unbuffered else io.BufferedWriter(raw))
    return io.TextIOWrapper(binary, "utf-8", errors, line_buffering=by_line, write_through=unbuffered)


if __name__ == "__main__":
    run(serve())
