"""Why a run is held is told on every screen that shows the run, and by `looptop show`."""

from __future__ import annotations

from typing import Any

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config import preset
from looptop.engine.journal.causes import HOLD_WORDS, Hold, HoldReason, cause_text
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.tui.runs.screen import RunsScreen
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.synthetic_ppo import Maker, make_run
from tests.tui.conftest import shown, until

LEFT_ON = "runs"

FULL = "No space left on device: the checkpoint of step 4 could not be written; held: make room on the disk"
HOLDS = [
    Hold(4, "", HoldReason.PAUSE),
    Hold(0, "", HoldReason.PAUSE),
    Hold(4, "", HoldReason.STEP),
    Hold(4, "scored", HoldReason.STAGE),
    Hold(4, "compared", HoldReason.BREAKPOINT, "breakpoint kl > 8: kl is 9"),
    Hold(4, "compared", HoldReason.RATING, "waits for ratings"),
    Hold(4, "", HoldReason.DISK, FULL),
    Hold(4, "", HoldReason.ERROR, "Input/output error: the checkpoint of step 4 could not be written; held"),
]
ALERT = Hold(4, "", HoldReason.ALERT, "the training loss has been rising for long. To try: lower learning_rate.")
HOLDS.append(ALERT)
IN_PPO = {
    "after step 4": "updated s: the next",
    "stepped, after step 4": "updated stepped; s:",
    "stage reached, in batch 4, scored": "scored stage reached; S: compare",
}
"""What the PPO screen says in the place of some words: its line of stages shows where the run is held."""


def run_of(kind: str) -> RunFolder:
    if kind == "ppo":
        return make_run(Maker(4, 8), state=None, last_stage="scored")
    return RunFolder.create(kind, preset("tiny") if kind == "vqa" else {"kind": kind})


@pytest.mark.parametrize("kind", ["vqa", "ppo", "trainer"])
async def test_why_a_run_is_held_is_told_everywhere(
    kind: str, answers: QuickAnswers, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(kind)
    app: Any = make_app(answers)

    def tells(words: str) -> bool:
        screen = " ".join(shown(app).split())
        stepped = any(word in screen for word in HOLD_WORDS.values())
        return words in screen and "paused" in screen and stepped == any(word in words for word in HOLD_WORDS.values())

    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        writer.facts(total_steps=8)
        writer.metrics(4, {"loss": 1.0})
        for hold in HOLDS:
            writer.state(RunState.PAUSED, hold)
            writer.flush()
            assert main(["show", run.id]) == 0
            assert cause_text(hold) in capsys.readouterr().out
        async with app.run_test(size=(80, 24)) as pilot:
            for hold in HOLDS:
                words = cause_text(hold)
                writer.state(RunState.PAUSED, hold)
                writer.flush()
                await pilot.press("alt+4")
                await until(pilot, lambda words=words: isinstance(app.screen, RunsScreen) and tells(words[:15]))  # type: ignore[misc]
                await pilot.press("enter")
                seen = IN_PPO.get(words, hold.detail or words) if kind == "ppo" and hold is not ALERT else words
                await until(pilot, lambda seen=seen: not isinstance(app.screen, RunsScreen) and tells(seen[:20]))  # type: ignore[misc]
        writer.close()
