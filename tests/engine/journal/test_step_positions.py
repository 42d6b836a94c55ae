"""How steps are mapped to epochs or to seconds of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine.journal.causes import Hold
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.journal.step_positions import SAMPLING_INTERVALS, STEPS_ONLY, StepPositions

NOON = 1_000_000.0


def journal(tmp_path: Path, write: Callable[[JournalWriter], None]) -> Journal:
    writer = JournalWriter(tmp_path / "run.db")
    write(writer)
    assert writer.close()
    return Journal(tmp_path / "run.db")


@given(
    some.lists(some.tuples(some.integers(1, 50), some.floats(0.01, 100)), min_size=2, max_size=30),
    some.floats(0, 1),
)
def test_a_step_is_read_back_at_its_position(gaps: list[tuple[int, float]], share: float) -> None:
    steps, positions = [0], [0.0]
    for gap, width in gaps:
        steps.append(steps[-1] + gap)
        positions.append(positions[-1] + width)
    mapping = StepPositions(steps, positions)
    step = share * steps[-1]
    assert mapping.step(mapping.position(step)) == pytest.approx(step, abs=1e-6 * steps[-1])
    assert mapping.position(steps[-1] + 1) > positions[-1], "the positions go on beyond the last step"


def test_without_known_steps_a_step_is_its_own_position() -> None:
    assert STEPS_ONLY.position(7) == STEPS_ONLY.step(7) == 7


def test_time_counts_only_while_the_run_trains(tmp_path: Path) -> None:
    def write(writer: JournalWriter) -> None:
        writer.state(RunState.RUNNING, time=NOON)
        writer.metrics(1, {"loss": 1.0}, NOON + 10)
        writer.metrics(2, {"loss": 1.0}, NOON + 20)
        writer.state(RunState.PAUSED, Hold(2), time=NOON + 20)
        writer.state(RunState.RUNNING, time=NOON + 5000)
        writer.metrics(3, {"loss": 1.0}, NOON + 5010)
        writer.state(RunState.FINISHED, time=NOON + 5010)

    positions = journal(tmp_path, write).step_positions("time", "loss")
    assert positions is not None
    assert [positions.position(step) for step in (0, 1, 2, 3)] == [0.0, 10.0, 20.0, 30.0]


def test_steps_that_were_made_again_after_a_crash_count_once(tmp_path: Path) -> None:
    def write(writer: JournalWriter) -> None:
        writer.state(RunState.RUNNING, time=NOON)
        for step in range(1, 9):
            writer.metrics(step, {"loss": 1.0}, NOON + 10 * step)
        # The process was killed; the run resumes from the checkpoint of step 4.
        writer.discard_after(4)
        writer.state(RunState.RUNNING, time=NOON + 7000)
        for step in range(5, 7):
            writer.metrics(step, {"loss": 1.0}, NOON + 7000 + 10 * (step - 4))

    positions = journal(tmp_path, write).step_positions("time", "loss")
    assert positions is not None
    assert [positions.position(step) for step in (4, 5, 6)] == [40.0, 50.0, 60.0]


def test_a_run_without_states_begins_with_its_first_step(tmp_path: Path) -> None:
    def write(writer: JournalWriter) -> None:
        writer.metrics(10, {"loss": 1.0}, NOON)
        writer.metrics(20, {"loss": 1.0}, NOON + 60)

    positions = journal(tmp_path, write).step_positions("time", "loss")
    assert positions is not None
    assert positions.position(20) - positions.position(10) == 60.0


def test_epochs_are_those_that_the_run_journalled(tmp_path: Path) -> None:
    def write(writer: JournalWriter) -> None:
        for step in range(1, 101):
            writer.metrics(step, {"loss": 1.0, "epoch": step / 40}, NOON)

    positions = journal(tmp_path, write).step_positions("epoch", "loss")
    assert positions is not None
    assert positions.position(60) == 1.5 and positions.step(2.0) == 80


def test_a_unit_that_the_run_does_not_record_has_no_positions(tmp_path: Path) -> None:
    kept = journal(tmp_path, lambda writer: writer.metrics(1, {"loss": 1.0}, NOON))
    assert kept.step_positions("epoch", "loss") is None and kept.step_positions("time", "nothing") is None
    assert kept.step_positions("step", "loss") == STEPS_ONLY
    missing = Journal(tmp_path / "none.db")
    assert missing.step_positions("step", "loss") == STEPS_ONLY and missing.step_positions("time", "loss") is None


def test_of_a_long_run_few_steps_are_read(tmp_path: Path) -> None:
    def write(writer: JournalWriter) -> None:
        writer.state(RunState.RUNNING, time=NOON)
        for step in range(1, 3001):
            writer.metrics(step, {"loss": 1.0}, NOON + step / 2)

    positions = journal(tmp_path, write).step_positions("time", "loss")
    assert positions is not None and len(positions.steps) <= SAMPLING_INTERVALS + 2
    assert positions.position(1234) == pytest.approx(617.0)


def test_checkpoints_are_those_that_were_written(tmp_path: Path) -> None:
    def write(writer: JournalWriter) -> None:
        for step in (10, 20, 30):
            writer.metrics(step, {"loss": 1.0}, NOON)
            writer.event("checkpoint", f"checkpoint of step {step} written", step)
        writer.event("checkpoint", "the checkpoint of step 35 could not be written", 35, "warning")
        writer.discard_after(20)

    assert journal(tmp_path, write).checkpoint_steps() == [10, 20]
