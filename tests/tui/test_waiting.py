"""Waiting speaks: what is being done, for how long so far, and about how long still."""

from __future__ import annotations

import re

import pytest

from looptop.engine.helpers.answers import AskReply
from looptop.engine.helpers.process import HelperReply, HelperState
from looptop.tui.ask.model_status import ModelStatus
from looptop.tui.kept_state import StateFile
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.support import eventually
from tests.tui.conftest import shown, until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("looptop.tui.ask.model_status.time.monotonic", lambda: now[0])
    return now


def test_the_first_start_counts_and_the_next_knows_how_long_it_takes(clock: list[float]) -> None:
    status = ModelStatus(StateFile())
    assert status.text() == "starting: loading PyTorch…"
    clock[0] += 3
    assert status.text() == "starting: loading PyTorch, 3 s so far"
    status.take(HelperReply(activity="loading bundled"))
    clock[0] += 2
    assert status.text() == "loading bundled, 5 s so far"
    status.take(HelperReply(state=HelperState.READY))
    assert status.text() == "ready"
    eventually(lambda: StateFile().state.start_seconds == 5.0)

    again = ModelStatus(StateFile())
    clock[0] += 1
    assert again.text() == "starting: loading PyTorch, 1 s so far, about 4 s left"
    clock[0] += 9
    assert again.text() == "starting: loading PyTorch, 10 s so far"


def test_another_model_is_counted_from_its_own_beginning(clock: list[float]) -> None:
    status = ModelStatus(StateFile())
    status.take(HelperReply(state=HelperState.READY))
    clock[0] += 60
    status.take(HelperReply(activity="loading vqa-3"))
    clock[0] += 2
    assert status.text() == "loading vqa-3, 2 s so far"
    status.take(HelperReply(state=HelperState.READY))
    assert status.text(unanswered=1) == "answering…"
    assert status.text(unanswered=3) == "answering 3 questions…"


def test_a_process_that_ended_is_counted_anew(clock: list[float]) -> None:
    status = ModelStatus(StateFile())
    clock[0] += 50
    status.take(HelperReply(state=HelperState.ENDED))
    assert "ask again to restart it" in status.text()
    clock[0] += 50
    status.take(HelperReply(state=HelperState.STARTING))
    clock[0] += 2
    assert status.text() == "starting: loading PyTorch, 2 s so far"


async def test_the_seconds_go_on_in_the_top_line_and_beside_the_question(answers: QuickAnswers) -> None:
    answers.answer = lambda request: AskReply(id=request.id, state=HelperState.STARTING)
    async with (app := make_app(answers)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "0.png" in shown(app))
        await pilot.press("a", *"what?", "enter")
        counts: list[list[str]] = []

        def counted() -> bool:
            """Whether both have shown the same seconds, and more than before."""
            now = re.findall(r"loading PyTorch, (\d+) s so far", shown(app))
            if len(now) == 2 and len(set(now)) == 1 and now not in counts:
                counts.append(now)
            return len(counts) > 1

        await until(pilot, counted)
        assert int(counts[0][0]) < int(counts[1][0])
