"""What every test gets."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

from tests import warm

pytest_plugins = ["tests.slow"]

# Garbage is collected between tests only (below): what is imported, and what tests are made of, is none.
gc.disable()

# Read when torch is first imported. Tests start processes that compute beside them: threads that spin while they wait
# would take the cores from one another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Whoever starts the tests in the background of a script has them ignore these, and so would every program they start.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
# In memory where there is plenty: tests write half a gigabyte, thousands of times waiting for the disk to have it.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
# What runs without the fixture `home`, such as a fixture of a whole module, must not write into the developer's home.
ELSEWHERE = tempfile.TemporaryDirectory(prefix="looptop-tests-")
os.environ["LOOPTOP_HOME"] = ELSEWHERE.name
# Read when the hub's library is first imported: a name that is not on disk is then refused at once, not tried again.
os.environ["HF_HUB_OFFLINE"] = "1"

# The same few examples in every run, so that a change is not refused for a failure that it did not cause. The nightly
# profile (`make test-nightly`) tries other ones each time, and many more.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, max_examples=25)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=400)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


PROCESS = psutil.Process()
WORKERS = max(4, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
MAX_GROWTH = psutil.virtual_memory().available // (2 * WORKERS)
"""By how many bytes this process may grow before its garbage is collected: all workers of pytest by half the memory."""
grown_from = 0
"""Its size after the last collection."""


def pytest_collection_finish() -> None:
    """Keeps what is imported out of garbage collection, and Trainer from collecting garbage at the start of each run:
    among all that the tests of a process leave, this takes longer than to build the run's model."""
    global grown_from
    gc.freeze()
    if memory := sys.modules.get("accelerate.utils.memory"):
        vars(memory)["gc"] = types.SimpleNamespace(collect=lambda: 0)
    grown_from = PROCESS.memory_info().rss


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish() -> None:
    """Collects the garbage of the last tests, where there is much of it: each time takes more than a second. While a
    test runs, its app and models are no garbage, and looking at them again and again took a sixth of the suite's time.
    """
    global grown_from
    gc.disable()  # A test that turned it on would slow all that follow in its process.
    if PROCESS.memory_info().rss > grown_from + MAX_GROWTH:
        gc.collect(1)
        grown_from = PROCESS.memory_info().rss


def pytest_sessionfinish() -> None:
    """Spares the end of this process the search through all that is left."""
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Starts one process that forks the workers, and others for all of them; they inherit its address."""
    warm.install()
    if config.getoption("numprocesses", None):
        # Before torch is loaded, from where all of pytest's workers inherit it.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        warm.start_server()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for runs, so that no test sees another's or the developer's; no error hides there."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LOOPTOP_HOME", str(folder))
    yield folder
    if (folder / "runs").exists():
        kill_runs_in(folder)
    log = folder / "app.log"
    assert not log.exists() or "Traceback" not in log.read_text("utf-8", "replace"), log.read_text()


def kill_runs_in(folder: Path) -> None:
    """Ends the runs that a test left behind, as one that fails does: they would live on, and slow what follows."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "looptop.engine.startup.host" in words and any(word.startswith(f"{folder}/") for word in words):
            process.kill()
