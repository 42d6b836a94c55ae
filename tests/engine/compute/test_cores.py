"""Programs that compute at once share the cores; whoever waits, ends or is killed leaves its share to the others."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from looptop.engine.compute import cores, device, load
from looptop.engine.compute.cores import CORES, Cores
from looptop.engine.compute.device import Device, cpu_threads, pick
from looptop.engine.journal.records import RunState
from looptop.engine.launch.run import Run, start
from looptop.engine.runs.context import RunContext
from tests.factories.processes import python, read_line
from tests.factories.runs import Steps, config
from tests.support import eventually, wait_taken

COMPUTES = """
    import sys
    from looptop.engine.compute.cores import Cores
    cores = Cores()
    cores.take_seat()
    print("computes", flush=True)
    for line in sys.stdin:
        print(cores.programs(), flush=True)
"""

REALLY_READ = load.read

FOUR = Device("cpu", "fp32", "a processor of four cores", 4)


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    CORES.use(before, torch.set_num_threads, shared=False)


class Others:
    """Programs that know of no seats, and keep as many cores busy as a test says."""

    cores = 0.0
    _busy = _moment = 0.0

    def read(self) -> load.Reading:
        now = time.monotonic()
        self._busy += self.cores * (now - self._moment)
        self._moment = now
        return load.Reading(now, self._busy, 0.0)


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    others = Others()
    monkeypatch.setattr(load, "read", others.read)
    monkeypatch.setattr(cores, "LOAD_SECONDS", 0.2)
    return others


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    process = python(COMPUTES, stdin=subprocess.PIPE)
    assert read_line(process) == "computes"
    yield process
    process.kill()
    process.communicate()


class Computing(Steps):
    """Steps that note how many threads each had."""

    threads = 0

    def __call__(self, context: RunContext) -> dict[str, Any]:
        context.compute_on(FOUR)
        at_step_end = context.gate.at_step_end

        def noted(step: int) -> Any:
            verdict = at_step_end(step)
            self.threads = torch.get_num_threads()
            return verdict

        context.gate.at_step_end = noted  # type: ignore[method-assign]
        return super().__call__(context)


@pytest.fixture
def steps() -> Computing:
    return Computing()


@pytest.fixture
def run(steps: Computing) -> Iterator[Run]:
    run = start(config(), steps)
    yield run
    run.stop()
    assert run.wait(60) is RunState.STOPPED
    assert not CORES.has_seat


def test_a_run_has_all_cores_while_it_is_alone_and_half_beside_another_program(
    steps: Computing, run: Run, request: pytest.FixtureRequest
) -> None:
    eventually(lambda: steps.threads == 4)
    other = request.getfixturevalue("other")
    eventually(lambda: steps.threads == 2)
    other.kill()
    eventually(lambda: steps.threads == 4)


@pytest.mark.parametrize(("busy", "threads"), [(0.3, 4), (0.4, 3), (1.3, 3), (1.4, 2)])
def test_a_run_leaves_to_others_the_cores_that_they_keep_busy_and_takes_them_again(
    steps: Computing, run: Run, others: Others, busy: float, threads: int
) -> None:
    eventually(lambda: steps.threads == 4)
    others.cores = 9.0
    eventually(lambda: steps.threads == 1)
    others.cores = busy
    eventually(lambda: steps.threads == threads)


def test_beside_a_run_and_another_program_the_smaller_share_counts(
    other: subprocess.Popen[str], steps: Computing, run: Run, others: Others
) -> None:
    others.cores = 1.0
    eventually(lambda: steps.threads == 2)
    others.cores = 3.0
    eventually(lambda: steps.threads == 1)


def test_cores_that_a_run_may_not_use_may_be_busy(
    steps: Computing, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, others: Others
) -> None:
    monkeypatch.setattr(device, "_cores", lambda: 6)
    request.getfixturevalue("run")
    others.cores = 3.0
    eventually(lambda: steps.threads == 3)
    others.cores = 2.0
    eventually(lambda: steps.threads == 4)


def test_a_real_program_is_made_way_for(
    steps: Computing, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(load, "read", REALLY_READ)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            request.getfixturevalue("run")
            eventually(lambda: 0 < steps.threads < 4)
        finally:
            busy.kill()


def test_where_the_system_does_not_tell_what_others_take_a_run_has_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> load.Reading:
        raise PermissionError

    monkeypatch.setattr(load, "read", refuses)
    mine = Cores()
    told: list[int] = []
    with mine.computing():
        mine.use(4, told.append, shared=True)
        assert (mine.taken(), told) == (0, [4])


def test_a_run_that_is_paused_leaves_its_cores_to_the_others(
    other: subprocess.Popen[str], steps: Computing, run: Run
) -> None:
    def counted() -> str:
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        return read_line(other)

    eventually(lambda: counted() == "2")
    wait_taken(run.folder, run.pause(), 60)
    eventually(lambda: counted() == "1")
    run.continue_()
    eventually(lambda: counted() == "2")
    eventually(lambda: steps.threads == 2)


def test_a_gpu_needs_no_cores(other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "apply", lambda self: CORES.use(self.threads, torch.set_num_threads, shared=True))
    seen = []

    def train(context: RunContext) -> dict[str, Any]:
        context.compute_on(Device("cuda:0", "bf16", "a GPU", 4))
        seen.append((torch.get_num_threads(), CORES.has_seat))
        return {}

    assert start(config(), train).wait() is RunState.FINISHED
    assert seen == [(4, False)]


def test_who_says_how_many_threads_there_shall_be_gets_them_always(
    other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def train(context: RunContext) -> dict[str, Any]:
        context.compute_on(pick("cpu"))
        seen.append(torch.get_num_threads())
        return {}

    for asked in ("3", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert start(config(), train).wait() is RunState.FINISHED
    assert seen == [3, max(1, cpu_threads() // 2)]


def test_a_child_that_was_forked_does_not_keep_the_seat() -> None:
    mine, another = Cores(), Cores()
    another.take_seat()
    mine.take_seat()
    context = multiprocessing.get_context("fork")
    inside, outside = context.Event(), context.Event()

    def stays() -> None:
        inside.set()
        outside.wait(60)

    child = context.Process(target=stays)
    child.start()
    try:
        assert inside.wait(60)
        assert another.programs() == 2
        mine.leave_seat()
        eventually(lambda: another.programs() == 1)
    finally:
        outside.set()
        child.join()
        another.leave_seat()


@pytest.mark.parametrize("folder", ["computing", ""])
def test_where_no_seat_can_be_taken_one_computes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("LOOPTOP_HOME", str(home))
    if folder:
        home.mkdir()
    (home / folder).write_text("in the way")
    mine = Cores()
    told: list[int] = []
    with mine.computing():
        assert mine.programs() == 1
        mine.use(4, told.append, shared=True)
    assert told == [4]
