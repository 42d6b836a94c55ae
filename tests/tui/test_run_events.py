"""Notices of runs: what gives one, that none is lost, and the alerts that stay until they are read."""

from __future__ import annotations

import threading

import pytest

from looptop.engine.config import preset
from looptop.engine.journal.causes import Hold, HoldReason
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.tui import run_events as run_events_module
from looptop.tui.run_events import RunEvents
from tests.factories.vqa_runs import make_run


def test_run_events_tell_alerts_and_ends_once() -> None:
    run = RunFolder.create("vqa", preset("tiny"))
    run_events = RunEvents()
    run_events.follow(run)
    assert run_events.poll() == [] and run_events.is_empty  # it does not live
    lock = RunLock(run.lock, run.id).acquire()
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    writer.event("alert", "before it was watched")
    writer.flush()
    run_events.follow(run)
    assert run_events.poll() == []
    writer.event("alert", "the loss is not a number", 5, "warning")
    writer.event("data", "nothing to tell")
    writer.state(RunState.PAUSED, Hold(5))
    writer.state(RunState.PAUSED, Hold(6, "", HoldReason.BREAKPOINT, "breakpoint kl > 8: kl is 9"))
    writer.flush()
    sentences = [notice.sentence for notice in run_events.poll()]
    assert sentences == ["vqa-1: the loss is not a number", "vqa-1: breakpoint kl > 8: kl is 9, after step 6"]
    assert run_events.poll() == []
    writer.state(RunState.FAILED, "out of memory")
    writer.close()
    lock.release()
    (notice,) = run_events.poll()
    assert (notice.sentence, notice.severity) == ("vqa-1 failed, with 2 alerts: out of memory", "error")
    assert run_events.is_empty


def test_alerts_of_live_runs_stay_until_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_events_module, "SEARCH_SECONDS", 0.0)
    run, ended = RunFolder.create("vqa", preset("tiny")), RunFolder.create("vqa", preset("tiny"))
    for folder in (run, ended):
        writer = JournalWriter(folder.db)
        writer.event("alert", "before it was watched", 1, "warning")
        assert writer.close()
    run_events = RunEvents()
    with RunLock(run.lock, run.id):  # one that was started elsewhere
        assert run_events.poll() == []
        assert run_events.alerts == {run.id: 1}
        writer = JournalWriter(run.db)
        writer.event("alert", "the loss is not a number", 5, "warning")
        writer.flush()
        assert run_events.poll() == []  # a notice is for runs that are shown
        assert run_events.alerts == {run.id: 2}
        run_events.mark_read(run)
        assert run_events.poll() == [] and run_events.alerts == {}
        writer.event("alert", "another", 5, "warning")
        writer.close()
    run_events.poll()
    assert run_events.is_empty and run_events.alerts == {run.id: 3}  # it has ended since


def test_a_run_that_is_shown_while_live_runs_are_searched_for_gives_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(state=None)
    run_events = RunEvents()
    searching, shown = threading.Event(), threading.Event()
    is_live = RunFolder.is_live

    def shown_meanwhile(folder: RunFolder) -> bool:
        if not searching.is_set():
            searching.set()
            assert shown.wait(20.0)
        return is_live(folder)

    monkeypatch.setattr(RunFolder, "is_live", shown_meanwhile)
    with RunLock(run.lock, run.id):
        search = threading.Thread(target=run_events.poll)
        search.start()
        assert searching.wait(20.0)
        run_events.follow(run)
        shown.set()
        search.join()
        writer = JournalWriter(run.db)
        writer.event("alert", "the loss is not a number", 5, "warning")
        assert writer.close()
        assert [notice.sentence for notice in run_events.poll()] == ["vqa-1: the loss is not a number"]


def test_a_run_that_was_started_here_and_ended_at_once_gives_a_notice() -> None:
    run = make_run(extra=lambda writer: writer.state(RunState.FAILED, "out of memory"), state=None)
    run_events = RunEvents()
    run_events.follow(run, started=True)
    assert [notice.sentence for notice in run_events.poll()] == ["vqa-1 failed: out of memory"]
    assert run_events.poll() == [] and run_events.is_empty


def test_a_run_that_was_shown_and_is_resumed_elsewhere_gives_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_events_module, "SEARCH_SECONDS", 0.0)
    run, other = make_run(), make_run()
    run_events = RunEvents()
    run_events.follow(run)
    assert run_events.poll() == []
    with RunLock(run.lock, run.id), RunLock(other.lock, other.id):
        assert run_events.poll() == []
    assert [notice.sentence for notice in run_events.poll()] == ["vqa-1 finished"]
