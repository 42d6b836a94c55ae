"""Alerts in the journal of a run, across a resume, and what a run does when one is raised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.config import override
from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Hold, HoldReason, Stop, StopReason, cause_text
from looptop.engine.journal.reader import Event, Journal, JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.alerts.listener import Alerts
from looptop.engine.runs.alerts.records import Resources
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.folder import RunFolder, RunLock
from looptop.engine.runs.liveness import what_slows
from looptop.engine.startup.run import Run, start
from tests.factories.runs import config
from tests.support import eventually

MIB = 2**20


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(tmp_path / "run.db")
    yield writer
    writer.close()


def alerts(journal: JournalWriter) -> list[Event]:
    assert journal.flush()
    return [event for event in Journal(journal.path).events() if event.kind == "alert"]


def test_an_alert_is_journalled_once_with_code_step_and_level(journal: JournalWriter) -> None:
    journal.listeners = [Alerts(journal, "vqa")]
    journal.facts(total_steps=80)
    journal.metrics(0, {"eval_loss": 0.84})
    for step in (40, 60, 80):
        journal.metrics(step, {"eval_loss": 2.0})
    (alert,) = alerts(journal)
    assert (alert.code, alert.step, alert.level) == ("eval_loss_worse", 40, "warning")
    outline = Journal(journal.path).outline()
    assert (outline.alerts, outline.alert_codes) == (1, ("eval_loss_worse",))


def test_a_resumed_run_keeps_its_start_and_repeats_no_alert(journal: JournalWriter) -> None:
    first = Alerts(journal, "vqa")
    journal.listeners = [first]
    journal.facts(total_steps=200)
    journal.metrics(0, {"eval_loss": 0.5})
    for step in range(1, 51):
        journal.metrics(step, {"loss": 0.5})
    journal.metrics(50, {"eval_loss": 0.9})
    full = Resources(50, disk_free=MIB, checkpoint_bytes=MIB)
    first.on_resources(full)
    for step in range(51, 60):
        journal.metrics(step, {"loss": 0.9})
    assert [alert.code for alert in alerts(journal)] == ["eval_loss_worse", "disk_nearly_full"]
    resumed = Alerts(journal, "vqa")
    resumed.replay(Journal(journal.path), 55)
    journal.listeners = [resumed]
    resumed.on_resources(full)
    for step in range(56, 110):
        journal.metrics(step, {"loss": 0.9})
    journal.metrics(110, {"eval_loss": 0.95})
    texts = [alert.text for alert in alerts(journal)]
    assert len(texts) == 3, texts
    assert texts[2].startswith("the training loss is still above its start: 0.9 at step 80, 0.5 before training"), texts


def test_an_alert_of_steps_that_a_resume_discards_can_be_raised_again(journal: JournalWriter) -> None:
    first = Alerts(journal, "vqa")
    first.on_resources(Resources(50, disk_free=MIB, checkpoint_bytes=MIB))
    assert len(alerts(journal)) == 1
    resumed = Alerts(journal, "vqa")
    resumed.replay(Journal(journal.path), 40)
    journal.discard_after(40)
    resumed.on_resources(Resources(41, disk_free=MIB, checkpoint_bytes=MIB))
    assert [(alert.step, alert.superseded) for alert in alerts(journal)] == [(50, True), (41, False)]


def worsens(context: RunContext) -> dict[str, Any]:
    """A training whose validation loss gets worse at step 10."""
    context.journal.facts(total_steps=60)
    context.journal.metrics(0, {"eval_loss": 1.0})
    for step in range(1, 61):
        context.journal.metrics(step, {"loss": 1.0, **({"eval_loss": 2.0} if step == 10 else {})})
        if context.gate.at_step_end(step).stop:
            break
    return {}


def started(on_alert: str) -> Run:
    return start(override(config(), [f"on_alert={on_alert}"]), worsens)


def test_a_run_pauses_by_an_alert_says_so_and_continues(home: Path) -> None:
    run = started("pause")
    journal = Journal(run.folder.db)
    eventually(lambda: journal.state()[0] is RunState.PAUSED)
    cause = journal.cause()
    assert isinstance(cause, Hold) and (cause.reason, cause.step) == (HoldReason.ALERT, 10)
    assert journal.state()[1].startswith("held by an alert, after step 10: the validation loss is worse than before")
    run.continue_()
    assert (run.wait(), journal.alerts()) == (RunState.FINISHED, 1)


def test_a_run_stops_by_an_alert_and_says_so(home: Path) -> None:
    run = started("stop")
    assert run.wait() is RunState.STOPPED
    cause = Journal(run.folder.db).cause()
    assert isinstance(cause, Stop) and (cause.reason, cause.step) == (StopReason.ALERT, 10)
    assert run.reason.startswith("stopped by an alert, without a checkpoint of step 10: the validation loss")
    assert run.folder.summary().alert_codes == ("eval_loss_worse",)


@pytest.mark.parametrize("on_alert", ["continue", "notify"])
def test_a_run_goes_on_with_an_alert_and_notifies_if_it_shall(home: Path, tmp_path: Path, on_alert: str) -> None:
    marks = tmp_path / "marks"
    (home / "settings.toml").write_text(f"notify = 'echo $LOOPTOP_EVENT >> {marks}'\n")
    run = started(on_alert)
    assert run.wait() is RunState.FINISHED and run.folder.summary().alerts == 1
    events = ["finished"] if on_alert == "continue" else ["alert", "finished"]
    eventually(lambda: marks.exists() and sorted(marks.read_text().split()) == events)


def test_what_slows_a_run_is_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (2.5, 0.0, 0.0))
    slow, paused, beside = (RunFolder.create("vqa", config()) for _ in range(3))
    with RunLock(slow.lock, slow.id), RunLock(paused.lock, paused.id), RunLock(beside.lock, beside.id):
        assert what_slows(slow) == ""
        for run, state in ((slow, RunState.RUNNING), (paused, RunState.PAUSED), (beside, RunState.RUNNING)):
            writer = JournalWriter(run.db)
            writer.state(state)
            assert writer.close()
        assert what_slows(slow) == "vqa-3 trains beside it"
        monkeypatch.setattr("os.getloadavg", lambda: (6.2, 0.0, 0.0))
        assert what_slows(slow) == "vqa-3 trains beside it, 6 programs want the 2 cores of this machine"


def test_an_unknown_way_to_react_is_refused() -> None:
    with pytest.raises(LooptopError, match="on_alert"):
        override(config(), ["on_alert=shout"])


def test_the_reason_names_the_checkpoint_before_the_alert() -> None:
    stop = Stop(StopReason.ALERT, 40, True, "the loss rises. To try: less.")
    assert cause_text(stop) == "stopped by an alert, with a checkpoint of step 40: the loss rises. To try: less."
