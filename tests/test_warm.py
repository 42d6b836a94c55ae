"""Forked processes are what new interpreters would be to whoever starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import warm

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")]
MARK = "# import torch\n"
"""Lines with these words are run in a forked process."""


def lines(code: str, *words: str, **options: object) -> list[str]:
    command = [sys.executable, "-c", MARK + code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, **options)  # type: ignore[call-overload]
    return list(done.stdout.splitlines())


def test_torch_is_loaded_and_looptop_is_not() -> None:
    code = "import sys; m = vars(sys)['modules']; print('torch' in m, any(name.startswith('looptop') for name in m))"
    assert lines(code) == ["True False"]


def test_it_has_the_arguments_folder_environment_and_input_of_whoever_starts_it(tmp_path: Path) -> None:
    code = """import os, sys, tempfile
for each in (sys.argv, os.getcwd(), os.environ["KEY"], sys.stdin.read(), tempfile.gettempdir()):
    print(ascii(each))"""
    environment = os.environ | {"KEY": "wörd\udcff", "TMPDIR": str(tmp_path)}
    assert lines(code, "one", "two words", cwd=tmp_path, env=environment, input="in") == [
        ascii(each) for each in (["-c", "one", "two words"], str(tmp_path), "wörd\udcff", "in", str(tmp_path))
    ]


@pytest.mark.parametrize(
    ("code", "status"),
    [("", 0), ("raise SystemExit(7)", 7), ("1 / 0", 1), ("import os; os.kill(os.getpid(), 9)", -9)],
)
def test_its_exit_status_arrives(code: str, status: int) -> None:
    with subprocess.Popen([sys.executable, "-c", MARK + code], stderr=subprocess.PIPE) as process:
        assert process.wait(60) == status
        assert process.poll() == status
        assert (b"ZeroDivisionError" in process.communicate()[1]) == (code == "1 / 0")


def test_it_takes_signals_and_is_seen_in_a_session_of_its_own() -> None:
    code = "print('up', flush=True); import time; time.sleep(1000)"
    command = [sys.executable, "-c", MARK + code, "a word"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert isinstance(process, warm.WarmPopen)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert os.getsid(process.pid) == process.pid
        assert "a word" in psutil.Process(process.pid).cmdline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
    assert not psutil.pid_exists(process.pid)


def test_files_that_it_is_given_keep_their_numbers_and_others_are_closed(tmp_path: Path) -> None:
    with (tmp_path / "given").open("w") as given, (tmp_path / "kept").open("w") as kept:
        code = """import os, sys
os.write(int(sys.argv[1]), b"by it")
try:
    os.fstat(int(sys.argv[2]))
except OSError:
    print("closed")"""
        assert lines(code, str(given.fileno()), str(kept.fileno()), pass_fds=[given.fileno()]) == ["closed"]
    assert (tmp_path / "given").read_text() == "by it"
