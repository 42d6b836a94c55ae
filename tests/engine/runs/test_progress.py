"""What lies between a run's steps can be seen, and a run that is paused waits in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import looptop.engine as looptop
from looptop.engine import config as configuration
from looptop.engine.cli import main
from looptop.engine.commands.output import duration
from looptop.engine.commands.watch import _Reader
from looptop.engine.config import RunConfig
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.journal import Journal
from looptop.engine.runs.progress import FACT, Progress, ProgressReport, progress_of, progress_text
from looptop.engine.runs.records import RunState
from looptop.engine.runs.run import Run
from tests.engine.ppo.tiny import ppo_config
from tests.support import eventually

STARTED: list[Run] = []


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """A test that fails while its run is held must not leave it to the next one."""
    yield
    while STARTED:
        run = STARTED.pop()
        run.stop(checkpoint=False)
        run.wait()


def start(chosen: RunConfig) -> Run:
    STARTED.append(looptop.start(chosen))
    return STARTED[-1]


class Facts:
    """A journal that keeps facts alone."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def facts(self, **values: Any) -> None:
        self.written.append(values[FACT])


def test_progress_is_written_once_a_second_and_says_how_long_still(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, now = Facts(), [100.0]
    monkeypatch.setattr("looptop.engine.runs.progress.time.monotonic", lambda: now[0])
    report = ProgressReport(journal, lambda: now[0] / 2)  # type: ignore[arg-type]  # It was paused half the time.
    for done in range(40):
        report.at("evaluating", done, 100)
        now[0] += 0.125
    assert [progress.done for progress in journal.written] == [0, 8, 16, 24, 32]
    assert journal.written[0].seconds_left is None
    last = journal.written[-1]
    assert last.seconds_left == pytest.approx(0.0625 * (100 - last.done))
    report.end()
    report.end()
    assert journal.written[-1] is None and len(journal.written) == 6

    now[0] += 5
    report.at("evaluating", 1, 100)
    assert journal.written[-1].seconds_left is None, "it begins anew"


@pytest.mark.parametrize("broken", [None, 3, "x", {"text": 5}, {"done": 1}, {"text": "x", "done": "y"}])
def test_progress_that_cannot_be_read_is_none(broken: object) -> None:
    assert progress_of({FACT: broken}) is None and progress_of({}) is None


def test_progress_is_text_that_is_safe_to_show() -> None:
    assert progress_text(Progress("a\x1b[31m", 1234, 30260, 123.0), duration) == "a␛[31m: 1,234 of 30,260, 2:03 left"
    assert progress_text(Progress("loading"), duration) == "loading"


def held_in_its_evaluation(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The run is paused before its first step, in an evaluation that everybody can see."""
    eventually(lambda: run.state is RunState.PAUSED)
    assert not run.journal.values("loss") and not run.journal.values("eval_loss")
    seen = eventually(lambda: progress_of(Journal(run.folder.db).facts()))
    assert isinstance(seen, Progress)
    assert seen.text == "evaluating before the first step" and seen.total > 0
    capsys.readouterr()
    assert main(["show", run.id]) == 0
    shown = capsys.readouterr().out
    assert "paused: before its first step" in shown
    assert "evaluating before the first step: " in shown and f" of {seen.total:,}" in shown
    words = " ".join(_Reader(run.folder, 0.0).reading(RunState.PAUSED).words)
    assert f" of {seen.total:,}" in words


def test_a_run_is_paused_and_stopped_in_its_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    settings = [
        "max_images=60", "eval_strategy=steps", "eval_steps=2", "max_steps=2", "per_device_eval_batch_size=1",
        "precision=fp32",
    ]  # fmt: skip
    chosen = configuration.override(configuration.preset("tiny"), settings)
    run = start(chosen)
    run.pause()
    held_in_its_evaluation(run, capsys)
    run.continue_()
    assert run.wait() is RunState.FINISHED, run.reason
    assert [point.step for point in run.journal.values("eval_loss")] == [0, 2]
    assert progress_of(run.journal.facts()) is None, "it is over"

    stopped = start(chosen)
    stopped.pause()
    eventually(lambda: stopped.state is RunState.PAUSED)
    stopped.stop()
    assert stopped.wait() is RunState.STOPPED
    assert not stopped.journal.values("eval_loss")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_ppo_run_is_paused_in_its_evaluation(
    processes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(ppo_config(tmp_path, f"processes={processes}", "per_device_eval_batch_size=1", "max_steps=1"))
    run.pause()
    held_in_its_evaluation(run, capsys)
    assert PpoJournal(run.folder.db).last_batch() is None
    run.continue_()
    assert run.wait() is RunState.FINISHED, run.reason
