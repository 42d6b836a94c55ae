"""Controls: sent by any process of the user, taken in order at the end of a step and while paused, each answered."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.causes import HoldReason
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import POLL_SECONDS, Gate, StepVerdict
from tests.factories.processes import python
from tests.factories.runs import config
from tests.support import eventually, wait_taken


class Live:
    """A live run with a gate, and a thread that passes it step by step."""

    def __init__(self, folder: RunFolder, checkpoint_seconds: float | None = None) -> None:
        self.folder = folder
        self.journal = JournalWriter(folder.db)
        self.journal.state(RunState.RUNNING)
        self.gate = Gate(folder, self.journal, checkpoint_seconds)
        self.read = Journal(folder.db)
        self.step = 0
        self.verdicts: list[tuple[int, StepVerdict]] = []
        self._thread: threading.Thread | None = None

    def train(self, steps: int | None = None) -> None:
        self._thread = threading.Thread(target=self._train, args=(steps,))
        self._thread.start()

    def _train(self, steps: int | None) -> None:
        for step in itertools.count(self.step + 1) if steps is None else range(self.step + 1, self.step + steps + 1):
            self.step = step
            verdict = self.gate.at_step_end(step)
            if verdict != StepVerdict():
                self.verdicts.append((step, verdict))
            stop = verdict.stop
            if verdict.checkpoint:
                stop = self.gate.after_checkpoint(step) or stop
            if stop:
                return
            time.sleep(0.001)

    def send(self, kind: str, **kwargs: bool) -> str:
        sent = control.send(self.folder, kind, by="app", **kwargs)
        answer = wait_taken(self.folder, sent, 60)
        assert answer is not None
        return answer

    def end(self) -> None:
        self.gate.request_stop()
        if self._thread is not None:
            self._thread.join()
        self.journal.close()


@pytest.fixture
def live() -> Iterator[Live]:
    folder = RunFolder.create("vqa", config())
    with RunLock(folder.lock):
        run = Live(folder)
        yield run
        run.end()


def test_pause_holds_the_run_and_continue_resumes_it(live: Live) -> None:
    live.train()
    answer = live.send("pause")
    held = live.step
    assert answer == f"paused after step {held}"
    assert live.folder.state() is RunState.PAUSED
    assert live.send("pause") == f"is paused already, after step {held}"
    assert live.step == held
    assert live.send("continue") == f"continues after step {held}"
    eventually(lambda: live.step > held)
    assert live.folder.state() is RunState.RUNNING
    assert live.send("continue") == "ignored: the run is not paused"


def test_step_makes_one_step_and_holds_again(live: Live) -> None:
    live.train()
    live.send("pause")
    held = live.step
    for number in (1, 2, 3):
        assert live.send("step") == f"makes step {held + number}, then pauses"
        eventually(lambda: live.folder.state() is RunState.PAUSED)
        assert live.step == held + number
    live.send("continue")
    eventually(lambda: live.step > held + 3)
    live.send("step")
    eventually(lambda: live.folder.state() is RunState.PAUSED)


def test_steps_sent_together_are_all_made(live: Live) -> None:
    live.train()
    live.send("pause")
    held = live.step
    sent = [control.send(live.folder, "step") for _ in range(5)]
    assert wait_taken(live.folder, sent[-1], 60) is not None
    eventually(lambda: live.folder.state() is RunState.PAUSED and live.step >= held + 5)
    assert live.step == held + 5


def test_a_checkpoint_is_made_during_a_pause_which_then_continues(live: Live) -> None:
    live.train()
    live.send("pause")
    held = live.step
    assert live.send("checkpoint") == f"makes a checkpoint after step {held}"
    eventually(lambda: live.verdicts)
    assert live.verdicts == [(held, StepVerdict(checkpoint=True))]
    assert live.send("pause") == f"is paused already, after step {held}"
    assert live.step == held
    assert live.send("stop") == f"stops after step {held}, with a checkpoint"


def test_the_answer_names_the_step_that_the_checkpoint_is_then_made_of(live: Live) -> None:
    """During work between two steps nothing can be saved: it is made after the next one."""
    live.step = 1
    live.gate.at_step_end(live.step)
    sent = [control.send(live.folder, kind) for kind in ("pause", "checkpoint", "continue")]
    eventually(lambda: live.gate.between_steps() or wait_taken(live.folder, sent[-1], 0))
    assert wait_taken(live.folder, sent[1], 0) == "makes a checkpoint after step 2"
    live.train()
    eventually(lambda: live.verdicts)
    assert live.verdicts == [(2, StepVerdict(checkpoint=True))]

    live.send("pause")
    held = live.step
    assert live.send("checkpoint") == f"makes a checkpoint after step {held}"
    eventually(lambda: len(live.verdicts) == 2)
    assert live.verdicts[1] == (held, StepVerdict(checkpoint=True))


def test_a_paused_run_rests_between_two_reads_of_its_controls(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.train()
    live.send("pause")
    reads: list[float] = []
    take = control.take

    def counted(*args: Any, **kwargs: Any) -> list[control.Control]:
        reads.append(time.monotonic())
        return take(*args, **kwargs)

    monkeypatch.setattr(control, "take", counted)
    eventually(lambda: len(reads) > 5)
    made = reads.copy()
    assert len(made) <= (made[-1] - made[0]) / (0.9 * POLL_SECONDS) + 1


@pytest.mark.parametrize("checkpoint", [True, False])
def test_stop_stops_with_a_checkpoint_or_without(live: Live, checkpoint: bool) -> None:
    live.train()
    live.send("stop", checkpoint=checkpoint)
    eventually(lambda: live.verdicts)
    assert live.verdicts == [(live.step, StepVerdict(checkpoint=checkpoint, stop=True))]


def test_stop_is_taken_while_paused(live: Live) -> None:
    live.train()
    live.send("pause")
    held = live.step
    live.send("stop")
    eventually(lambda: live.verdicts)
    assert live.verdicts == [(held, StepVerdict(checkpoint=True, stop=True))]


def test_controls_are_taken_in_the_order_they_were_sent(live: Live) -> None:
    sent = [control.send(live.folder, kind) for kind in ("pause", "checkpoint", "continue", "pause", "stop", "pause")]
    live.train()
    assert wait_taken(live.folder, sent[-1], 60) == "ignored: the run is stopping after step 1"
    replies = live.read.controls()
    assert [reply.id for reply in replies] == [one.id for one in sent]
    assert {reply.step for reply in replies} == {1}
    assert list(live.folder.controls.iterdir()) == []


class Clock:
    """Stands for the module `time` in the gate: real time, or one that stands still, and `ahead` seconds more."""

    def __init__(self, standing: float | None = None) -> None:
        self.ahead = 0.0
        self._standing = standing

    sleep = staticmethod(time.sleep)

    def monotonic(self) -> float:
        return self.ahead + (time.monotonic() if self._standing is None else self._standing)


def test_pauses_do_not_count_as_running(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("looptop.engine.runs.gate.time", clock)
    live.train()
    live.send("pause")
    live.send("pause")  # The answer comes while it waits, and not a moment before.
    before = live.gate.running_seconds()
    clock.ahead = 100_000.0
    live.send("step")
    eventually(lambda: live.folder.state() is RunState.PAUSED)
    assert live.gate.running_seconds() - before < 1000


def test_waiting_for_room_on_the_disk_does_not_count_as_running(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("looptop.engine.runs.gate.time", clock)
    hold = threading.Thread(target=live.gate.hold_until_continued, args=(HoldReason.DISK, "No space left on device"))
    hold.start()
    eventually(lambda: live.folder.state() is RunState.PAUSED)
    live.send("pause")  # The answer comes while it waits, and not a moment before.
    before = live.gate.running_seconds()
    clock.ahead = 100_000.0
    live.send("continue")
    hold.join()
    assert live.gate.running_seconds() - before < 1000


def test_a_checkpoint_is_requested_when_it_is_due() -> None:
    folder = RunFolder.create("vqa", config())
    with RunLock(folder.lock):
        run = Live(folder, checkpoint_seconds=0.1)
        run.train()
        eventually(lambda: len(run.verdicts) >= 3)
        run.end()
    assert {verdict.checkpoint for _, verdict in run.verdicts} == {True}


def test_a_file_that_holds_no_control_is_removed_with_an_event(live: Live) -> None:
    for number, content in enumerate(
        [b"", b"{", b"[]", b'{"id": "a", "kind": "explode", "by": "", "created": 0}', b"\xff"]
    ):
        (live.folder.controls / f"{number:020d}-x.json").write_bytes(content)
    (live.folder.controls / ".half-written.json").write_bytes(b"{")
    sent = control.send(live.folder, "pause")
    live.train()
    assert wait_taken(live.folder, sent, 60) is not None
    assert [event.level for event in live.read.events()] == ["warning"] * 5
    assert [path.name for path in live.folder.controls.iterdir()] == [".half-written.json"]


def test_a_control_from_before_a_resume_is_answered_and_not_carried_out(live: Live) -> None:
    old = control.send(live.folder, "stop")
    now = time.time()
    new = control.send(live.folder, "pause")
    live.gate.discard_before(now)
    live.train()
    assert wait_taken(live.folder, new, 60) == "paused after step 1"
    assert "had ended" in (wait_taken(live.folder, old, 0) or "")


def test_any_process_can_send(live: Live) -> None:
    live.train()
    code = """
        import sys
        from looptop.engine.runs import control
        from looptop.engine.runs.folder import RunFolder
        folder = RunFolder.find(sys.argv[1])
        print(control.wait_reply(folder, control.send(folder, "pause"), 60).text)
    """
    output, _ = python(code, live.folder.id).communicate()
    assert output.strip() == f"paused after step {live.step}"


def test_a_run_that_is_not_live_takes_no_controls() -> None:
    folder = RunFolder.create("vqa", config())
    with pytest.raises(LooptopError, match=r"not running, it is interrupted; .looptop resume vqa-1. continues"):
        control.send(folder, "pause")
    with RunLock(folder.lock), pytest.raises(LooptopError, match="there is no control"):
        control.send(folder, "explode")
    assert list(folder.controls.iterdir()) == []


def test_waiting_for_an_answer_ends_when_the_run_dies(live: Live) -> None:
    sent = control.send(live.folder, "pause")
    folder = RunFolder(live.folder.path.with_name("vqa-77"))
    assert wait_taken(folder, sent, 60) is None


def test_a_step_that_is_short_does_not_pay_for_a_look_into_the_folder(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(standing=time.monotonic() + 1000)
    monkeypatch.setattr("looptop.engine.runs.gate.time", clock)
    live.gate.at_step_end(1)
    control.send(live.folder, "checkpoint")
    assert {live.gate.at_step_end(step) for step in range(2, 1000)} == {StepVerdict()}
    clock.ahead = 1.0
    assert live.gate.at_step_end(1000) == StepVerdict(checkpoint=True)


def test_an_invalid_file_is_reported_once_and_never_read_again(live: Live) -> None:
    controls = live.folder.controls
    files = {
        "00000000000000000001-a.json": b'{"id": "\xff", "kind": "stop"}',
        "00000000000000000002-a.json": b"[" * 20_000,
        "\u00b2-a.json": b"no JSON",
        "9.json": b"",
        "x.json": b'{"id": "1", "kind": "stop", "by": "cli", "created": "now"}',
        "y.json": b'"\\ud800"',
    }
    for name, text in files.items():
        (controls / name).write_bytes(text)
    (controls / "folder.json").mkdir()
    os.mkfifo(controls / "pipe.json")
    (controls / "link.json").symlink_to(controls / "nowhere")
    live.train()
    assert live.send("pause").startswith("paused")
    eventually(lambda: [path.name for path in controls.iterdir()] == ["folder.json"])
    assert live.send("continue").startswith("continues")
    assert live.send("pause").startswith("paused")
    live.journal.flush()
    texts = [event.text for event in live.read.events() if event.kind == "control"]
    for name in [*files, "folder.json", "pipe.json", "link.json"]:
        assert len([text for text in texts if f" {name} " in text]) == 1, (name, texts)
    assert not any("\n" in text for text in texts)
    assert live.gate.stop_is_wanted() is False


def test_a_stop_dated_in_the_future_does_not_stop_the_resumed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create("vqa", config())
    with RunLock(folder.lock), monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: int((now() + 7200) * 1e9))  # type: ignore[has-type]
        now = time.time
        old = control.send(folder, "stop")
    with RunLock(folder.lock) as lock:
        journal = JournalWriter(folder.db)
        gate = Gate(folder, journal)
        fresh = control.send(folder, "pause")
        gate.discard_before(lock.started)
        assert [path.name.partition("-")[2] for path in control.waiting_files(folder)] == [f"{fresh.id}.json"]
        assert not gate.stop_is_wanted()
        journal.close()
    replies = {reply.id: reply.text for reply in Journal(folder.db).controls()}
    assert replies == {old.id: "ignored: the run had ended before it read this"}
