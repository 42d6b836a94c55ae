"""A run's CPU threads: fixed at its start, kept when it is resumed, and independent of what else is running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from looptop.engine.compute import threads
from looptop.engine.compute.device import pick
from looptop.engine.compute.threads import cpu_threads
from looptop.engine.config import override, preset
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch
from looptop.engine.startup.run import Run, resume, start
from tests.factories.runs import Steps, config
from tests.support import eventually


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undoes what a run in this process sets; the environment does not set the number."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_cores", lambda: 4)
    monkeypatch.setattr(threads, "_quota", lambda: 4)


class Counting(Steps):
    """Records torch's threads after each start."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def __call__(self, context: RunContext) -> dict[str, Any]:
        context.compute_on(pick("cpu", threads=context.threads))
        self.threads.append(torch.get_num_threads())
        return super().__call__(context)


def one_life(run: Run, counting: Counting) -> None:
    """Runs some steps, then stops the run."""
    eventually(lambda: counting.threads and counting.made)
    run.stop()
    assert run.wait(60) is RunState.STOPPED


@pytest.mark.parametrize(
    ("setting", "environment", "expected"), [("0", "", 4), ("0", "3", 3), ("2", "", 2), ("2", "3", 2)]
)
@pytest.mark.usefixtures("four_cores")
def test_the_configuration_decides_then_the_environment_then_the_cores(
    monkeypatch: pytest.MonkeyPatch, setting: str, environment: str, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", environment)
    counting = Counting()
    run = start(override(config(), [f"training.threads={setting}"]), counting)
    one_life(run, counting)
    assert counting.threads == [expected]
    assert run.journal.facts()["threads"] == expected
    assert f"CPU threads: {expected}\n" in run.folder.log.read_text()


@pytest.mark.usefixtures("four_cores")
def test_a_resumed_run_keeps_its_threads_on_a_machine_with_more_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    run = start(override(config(), ["training.threads=0"]), counting)
    one_life(run, counting)
    monkeypatch.setattr(threads, "_cores", lambda: 16)
    monkeypatch.setattr(threads, "_quota", lambda: 16)
    one_life(resume(run.id, counting), counting)
    assert counting.threads == [4, 4]


@pytest.mark.usefixtures("four_cores")
def test_a_run_resumed_with_fewer_cores_than_threads_says_that_its_figures_may_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting()
    run = start(override(config(), ["training.threads=0"]), counting)
    one_life(run, counting)
    monkeypatch.setattr(threads, "_cores", lambda: 2)
    one_life(resume(run.id, counting), counting)
    assert counting.threads == [4, 2]
    warnings = [event.text for event in run.journal.events() if event.level == "warning"]
    assert warnings == ["CPU threads: 2, before: 4; results may differ by rounding from here on"]


def test_a_seeded_ppo_run_has_the_same_figures_alone_and_beside_others() -> None:
    # One thread for each core (the preset has one); in batches of this size another number of threads rounds
    # sums in another way.
    small = ["training.threads=0", "batch_size=8", "mini_batch_size=8", "max_new_tokens=12", "held_out=8"]
    chosen = override(preset("tiny", "ppo"), [*small, "max_steps=4", "eval_steps=1000"])
    alone = figures(launch(chosen))
    neighbour = launch(override(chosen, ["max_steps=1000000", "eval_steps=1000000"]))
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            eventually(lambda: Journal(neighbour.db).last("loss"), limit=300)
            beside = figures(launch(chosen))
            assert neighbour.is_live()
        finally:
            busy.kill()
            send(neighbour, "stop", by="test", checkpoint=False)
            eventually(lambda: not neighbour.is_live())
    assert alone == beside
    assert len(alone["ppo/loss/total"]) == 4


def figures(folder: RunFolder) -> dict[str, list[float | None]]:
    """Every metric of a run that does not depend on the clock, once it has finished."""
    eventually(lambda: not folder.is_live(), limit=300)
    assert folder.state() is RunState.FINISHED
    journal = Journal(folder.db)
    return {
        name: [point.value for point in journal.values(name)]
        for name in journal.names()
        if not name.startswith(("time/", "train_")) and not name.endswith(("_runtime", "_per_second", "seconds_left"))
    }


def topology(folder: Path, siblings: dict[int, str]) -> Path:
    for number, text in siblings.items():
        core = folder / f"cpu{number}" / "topology"
        core.mkdir(parents=True)
        (core / "thread_siblings_list").write_text(text + "\n")
    return folder


def test_two_threads_of_one_core_count_once(tmp_path: Path) -> None:
    folder = topology(tmp_path, {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"})
    assert threads._physical_cores({0, 1, 4, 5}, folder) == 2
    assert threads._physical_cores({0, 4}, folder) == 1
    assert threads._physical_cores({0, 9}, folder) == 2


@pytest.mark.parametrize(("text", "expected"), [("150000 100000", 2), ("400000 100000", 4), ("10000 100000", 1)])
def test_a_containers_quota_counts(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert threads._quota(tmp_path / "cpu.max") == expected


def test_without_a_quota_all_cores_count(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads._quota(tmp_path / "cpu.max") == threads._quota(tmp_path / "nothing") == os.cpu_count()


def test_threads_are_the_cores_of_this_process_or_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    of_cores = cpu_threads()
    assert 1 <= of_cores <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert cpu_threads() == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert cpu_threads() == of_cores


def test_cpus_without_topology_files_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "os", SimpleNamespace(environ={}, cpu_count=lambda: 3))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    assert cpu_threads() == 3
