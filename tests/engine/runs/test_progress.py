"""The progress of work between steps is shown, and a run can be paused during it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import looptop.engine as looptop
from looptop.engine import config as configuration
from looptop.engine.cli.main import main
from looptop.engine.cli.output import duration
from looptop.engine.cli.watch import _Reader
from looptop.engine.config import RunConfig
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs import gate
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.control import send, wait_reply
from looptop.engine.runs.progress import PROGRESS_FACT, Progress, ProgressReport, progress_of, progress_text
from looptop.engine.startup.run import Run
from tests.factories.ppo import ppo_config, reward_config
from tests.support import eventually, wait_taken

STARTED: list[Run] = []


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """Stops a run that a failed test leaves held, so that it does not disturb the next test."""
    yield
    while STARTED:
        run = STARTED.pop()
        run.stop(checkpoint=False)
        run.wait()


def start(chosen: RunConfig) -> Run:
    STARTED.append(looptop.start(chosen))
    return STARTED[-1]


class Facts:
    """A journal that keeps only facts."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def facts(self, **values: Any) -> None:
        self.written.append(values[PROGRESS_FACT])


def test_progress_is_written_once_a_second_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert journal.written[-1].seconds_left is None, "it begins anew"  # type: ignore[attr-defined]


def test_an_activity_that_takes_long_is_told_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("looptop.engine.runs.progress.time.time", lambda: 1000.0)
    assert progress_text(Progress("reading", began=999.0), duration) == "reading"
    assert progress_text(Progress("reading", began=979.0), duration) == "reading, for 0:21"
    assert progress_text(Progress("reading", 3, 9, 42.0, 979.0), duration) == "reading: 3 of 9, for 0:21, 0:42 left"
    assert progress_text(Progress("reading", 3, 9, 42.0), duration) == "reading: 3 of 9, 0:42 left"  # an older journal


@pytest.mark.parametrize("broken", [None, 3, "x", {"text": 5}, {"done": 1}, {"text": "x", "done": "y"}])
def test_progress_that_cannot_be_read_is_none(broken: object) -> None:
    assert progress_of({PROGRESS_FACT: broken}) is None and progress_of({}) is None


def test_progress_is_text_that_is_safe_to_show() -> None:
    assert progress_text(Progress("a\x1b[31m", 1234, 30260, 123.0), duration) == "a␛[31m: 1,234 of 30,260, 2:03 left"
    assert progress_text(Progress("loading"), duration) == "loading"


def held_in_its_evaluation(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Checks that the run is paused before its first step, in an evaluation that is shown."""
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
    words = " ".join(_Reader(run.folder, 0.0).status(RunState.PAUSED).details)
    assert f" of {seen.total:,}" in words


def pause_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Pauses a run when it first reports this activity."""
    real, sent = RunContext.report, set()

    def report(context: RunContext, now: str, done: int = 0, total: int = 0) -> None:
        if now == text and context.folder.id not in sent and context.processes.is_first:
            sent.add(context.folder.id)
            send(context.folder, "pause")
        real(context, now, done, total)

    monkeypatch.setattr(RunContext, "report", report)
    monkeypatch.setattr(gate, "POLL_SECONDS", 0.001)  # toy data is read in less than the usual time between two looks


def small_vqa(*settings: str) -> RunConfig:
    return configuration.override(
        configuration.preset("tiny"), ["max_images=30", "max_steps=2", "precision=fp32", *settings]
    )


def vqa_of_a_table(folder: Path) -> RunConfig:
    rows = [f"{number}.png,what is it?,{'red' if number % 2 else 'blue'}" for number in range(20)]
    (folder / "table.csv").write_text("\n".join(["image,question,answer", *rows]))
    for number in range(20):
        Image.new("RGB", (32, 32), "red" if number % 2 else "blue").save(folder / f"{number}.png")
    return small_vqa(f"data.source={folder / 'table.csv'}")


BEFORE_STEPS: dict[str, tuple[str, Callable[[Path], RunConfig]]] = {
    "reading": ("reading the data", vqa_of_a_table),
    "loading VQA": ("loading the models", lambda folder: small_vqa()),
    "image features": ("keeping the image encoder's features", lambda folder: small_vqa()),
    "text features": ("keeping the text encoder's features", lambda folder: small_vqa()),
    "questions": ("preparing the questions", lambda folder: small_vqa("keep_features=false")),
    "loading PPO": ("loading the models", lambda folder: ppo_config(folder, "max_steps=1")),
    "PPO of two processes": ("loading the models", lambda folder: ppo_config(folder, "max_steps=1", "processes=2")),
    "pairs": ("tokenising the pairs", lambda folder: reward_config(folder, "max_steps=2")),
}


@pytest.mark.parametrize("what", BEFORE_STEPS)
def test_a_run_is_paused_and_stopped_before_its_first_step(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, make = BEFORE_STEPS[what]
    pause_in(monkeypatch, text)
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    run = start(make(first))
    eventually(lambda: run.state is RunState.PAUSED, limit=60)
    seen = eventually(lambda: progress_of(Journal(run.folder.db).facts()))
    assert isinstance(seen, Progress) and seen.text == text
    assert main(["show", run.id]) == 0
    shown = capsys.readouterr().out
    assert "paused: before its first step" in shown and text in shown
    run.continue_()
    assert run.wait() is RunState.FINISHED, run.reason

    stopped = start(make(second))
    eventually(lambda: stopped.state is RunState.PAUSED, limit=60)
    stopped.stop()
    assert stopped.wait() is RunState.STOPPED
    assert stopped.reason == "stopped on request, before its first step: there is no checkpoint"


def test_controls_that_need_a_step_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pause_in(monkeypatch, "loading the models")
    run = start(ppo_config(tmp_path, "max_steps=2"))
    eventually(lambda: run.state is RunState.PAUSED, limit=60)
    condition = send(run.folder, "break", condition="kl>1000")
    assert wait_taken(run.folder, condition, 0.5) is None, "its batches are not known yet"
    to_scored = send(run.folder, "step", to="scored")  # which lets it go on until there
    reply = wait_reply(run.folder, condition, 60)
    assert reply is not None and reply.code == "breakpoint_set"
    assert wait_taken(run.folder, to_scored, 60) == "continues until scored"
    eventually(lambda: run.state is RunState.PAUSED, limit=60)


def test_a_run_is_paused_and_stopped_in_its_evaluation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pause_in(monkeypatch, "evaluating before the first step")
    settings = [
        "max_images=60", "eval_strategy=steps", "eval_steps=2", "max_steps=2", "per_device_eval_batch_size=1",
        "precision=fp32",
    ]  # fmt: skip
    chosen = configuration.override(configuration.preset("tiny"), settings)
    run = start(chosen)
    held_in_its_evaluation(run, capsys)
    run.continue_()
    assert run.wait() is RunState.FINISHED, run.reason
    assert [point.step for point in run.journal.values("eval_loss")] == [0, 2]
    assert progress_of(run.journal.facts()) is None, "it is over"

    stopped = start(chosen)
    eventually(lambda: stopped.state is RunState.PAUSED)
    stopped.stop()
    assert stopped.wait() is RunState.STOPPED
    assert not stopped.journal.values("eval_loss")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_ppo_run_is_paused_in_its_evaluation(
    processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pause_in(monkeypatch, "evaluating before the first step")
    run = start(ppo_config(tmp_path, f"processes={processes}", "per_device_eval_batch_size=1", "max_steps=1"))
    held_in_its_evaluation(run, capsys)
    assert PpoJournal(run.folder.db).last_batch() is None
    run.continue_()
    assert run.wait() is RunState.FINISHED, run.reason
