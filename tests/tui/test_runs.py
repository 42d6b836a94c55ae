"""Screen 4: the list of runs, and what can be done with them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.events import Paste
from textual.widgets import Input

from looptop.engine.config import override, preset
from looptop.engine.files import lock as lock_module
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.machine.gpus import Gpu
from looptop.engine.machine.usage import Machine, Usage
from looptop.engine.runs import control
from looptop.engine.runs.about import write_about
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.engine.startup import host
from looptop.tui.background import work
from looptop.tui.charts.screen import ChartsScreen
from looptop.tui.runs.run_table import RunTable
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.train.run_view import RunView
from looptop.tui.train.screen import TrainScreen
from looptop.tui.widgets.field import Field
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import resize, shown, until
from tests.tui.form_helpers import form_of, put

LEFT_ON = "runs"
SIZE = (120, 40)


def make(loss: float, state: RunState | None = RunState.FINISHED, settings: tuple[str, ...] = ()) -> RunFolder:
    run = RunFolder.create("vqa", override(preset("tiny"), settings))
    writer = JournalWriter(run.db)
    writer.facts(total_steps=10, device="a processor")
    writer.state(RunState.RUNNING)
    for step in range(1, 6):
        writer.metrics(step, {"loss": loss + step / 100})
    if state is not None:
        writer.state(state, "the \x1b[31mreason" if state is RunState.FAILED else "")
    writer.close()
    return run


async def go(pilot: Any, runs: int) -> RunTable:
    await pilot.press("alt+4")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen) and f"{runs} of {runs} run" in shown(pilot.app))
    table = pilot.app.screen.query_one(RunTable)
    assert isinstance(table, RunTable)
    return table


def ids(table: RunTable) -> list[str]:
    return [row.id for row in table.runs]


@pytest.mark.parametrize("width", [80, 160])
async def test_which_step_a_figure_is_of_is_shown(answers: QuickAnswers, width: int) -> None:
    run = make(1.0, None)
    writer = JournalWriter(run.db)
    writer.metrics(80, {"eval_accuracy": 0.195})
    writer.close()
    other = make(1.0, None)
    writer = JournalWriter(other.db)
    writer.metrics(80, {"eval_accuracy": 0.195, "test_accuracy": 0.505})
    writer.facts(result={"accuracy": 0.505, "step": 72})
    writer.state(RunState.FINISHED)
    writer.close()
    app = make_app(answers)
    async with app.run_test(size=(width, 48)) as pilot:
        await go(pilot, 2)
        lines = {line[2:7]: line for line in shown(app).splitlines()}
        assert "19.5 % val., last, step 80" in lines["vqa-1"] and "50.5 % test, best, step 72" in lines["vqa-2"]
        await pilot.press("alt+2")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and "50.5 % test, best, step 72" in shown(app))
        assert "19.5 % val., last, step 80" in shown(app)
        screen = app.screen
        assert isinstance(screen, TrainScreen)
        screen.attach(other)
        if width > 100:
            view = screen.query_one(RunView)  # the list has the same words
            await until(pilot, lambda: view.snapshot is not None and "best, step 72" in " ".join(shown(app).split()))
            assert "last, step 80" in " ".join(shown(app).split())


@pytest.mark.parametrize("width", [80, 160])
async def test_runs_with_alerts_are_marked_in_every_list_and_head(answers: QuickAnswers, width: int) -> None:
    make(0.5)
    run = make(1.0, None)
    writer = JournalWriter(run.db)
    writer.event("alert", "something is wrong", 5, "warning")
    writer.facts(question_only_accuracy=0.67)
    writer.state(RunState.FINISHED)
    writer.close()
    app = make_app(answers)
    async with app.run_test(size=(width, 48)) as pilot:
        await go(pilot, 2)
        lines = {line[2:7]: line for line in shown(app).splitlines()}
        assert "! finished, 1 alert" in lines["vqa-2"] and "✓ finished " in lines["vqa-1"]
        await pilot.press("alt+2")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and "! finished, with 1 alert" in shown(app))
        screen = app.screen
        assert isinstance(screen, TrainScreen)
        screen.attach(run)
        await until(pilot, lambda: "vqa-2  ! finished, with 1 alert" in shown(app))
        await until(pilot, lambda: width < 100 or "question only" in shown(app))


async def test_all_runs_are_listed_with_what_is_known_of_them(answers: QuickAnswers) -> None:
    make(0.5)
    write_about(make(1.0, RunState.FAILED).path, title="my [b]title", note="and\x1b[2J a note")
    make(2.0, None)
    away = make(3.0, None)
    record = lock_module._LockFile("elsewhere", 1, time.time())
    away.lock.write_bytes(msgspec.json.encode(record))
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        table = await go(pilot, 4)
        assert ids(table) == ["vqa-4", "vqa-3", "vqa-2", "vqa-1"]
        lines = {line[2:7]: line for line in shown(app).splitlines()}
        assert "✓ finished" in lines["vqa-1"] and " 50 %" in lines["vqa-1"] and "0.5500 loss" in lines["vqa-1"]
        assert "a processor" in lines["vqa-1"]
        assert "✗ failed" in lines["vqa-2"] and "my [b]title · and␛[2J a note" in lines["vqa-2"]
        assert "✗ interrupted" in lines["vqa-3"]
        assert "▶ running~" in lines["vqa-4"] and "by the heartbeat of elsewhere" in lines["vqa-4"]
        assert "1 live" in shown(app)


async def test_the_list_is_filtered_sorted_and_says_what_is_wrong_with_a_filter(answers: QuickAnswers) -> None:
    for loss in (0.5, 2.0, 1.0):
        make(loss)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        table = await go(pilot, 3)
        await pilot.press("slash", *"loss", "less_than_sign", *"1.5")
        await until(pilot, lambda: ids(table) == ["vqa-3", "vqa-1"] and "2 of 3 runs" in shown(app))
        await pilot.press(*"x")
        await until(pilot, lambda: "has '1.5x' at column 6; expected a number" in shown(app))
        assert ids(table) == ["vqa-3", "vqa-1"]  # as before, until it is right again
        app.screen.query_one("#runs-filter", Input).value = "losss<3"
        await until(pilot, lambda: "no run has a metric 'losss'; did you mean 'loss'?" in shown(app))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(ids(table)) == 3)
        for _ in range(6):
            await pilot.press("s")
            if "figure▼" in shown(app):
                break
        await until(pilot, lambda: "figure▼" in shown(app))
        assert ids(table) == ["vqa-2", "vqa-3", "vqa-1"]
        await pilot.press("S")
        await until(pilot, lambda: ids(table) == ["vqa-1", "vqa-3", "vqa-2"])
        await pilot.click(RunTable, offset=(3, 0))
        await until(pilot, lambda: "run▲" in shown(app) and ids(table) == ["vqa-1", "vqa-2", "vqa-3"])


async def test_a_run_is_opened_where_its_kind_is_shown(answers: QuickAnswers) -> None:
    make_run()
    trainer = RunFolder.create("trainer", {"kind": "trainer", "name": "mine"})
    writer = JournalWriter(trainer.db)
    writer.state(RunState.FINISHED)
    writer.metrics(1, {"reward": 1.0})
    writer.close()
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        table = await go(pilot, 2)
        assert table.run is not None and table.run.id == "trainer-1"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChartsScreen) and "reward" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and "vqa-1  ✓ finished" in shown(app))
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ChartsScreen) and "learning_rate" in shown(app))


async def test_a_title_and_a_note_are_given(answers: QuickAnswers) -> None:
    run = make(1.0)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 1)
        await pilot.press("t", *"wide", "enter")
        await until(pilot, lambda: run.about().title == "wide" and "wide" in shown(app))
        await pilot.press("n", *"bad", "enter")
        await until(pilot, lambda: run.about().note == "bad" and "wide · bad" in shown(app))
        await pilot.press("t", "x", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert run.about().title == "wide"


async def test_a_note_of_several_lines_stays_so(answers: QuickAnswers) -> None:
    run = make(1.0)
    write_about(run.path, title="caf\udce9", note="one\ntwo \x1b\nthree")
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 1)
        for key in ("n", "t"):
            await pilot.press(key)
            await until(
                pilot, lambda: app.screen.query("#text") and app.focused is not None and app.focused.id == "text"
            )
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert (run.about().title, run.about().note) == ("caf\udce9", "one\ntwo \x1b\nthree")  # nothing was changed
        await pilot.press("n")
        await until(pilot, lambda: app.screen.query("#text"))
        app.post_message(Paste("\r\nfour\r\nfive \x1b]0;x"))
        await until(pilot, lambda: "five" in shown(app))
        assert "\x1b" not in shown(app)
        await pilot.press("ctrl+j", *"six", "enter")
        await until(pilot, lambda: run.about().note == "one\ntwo \x1b\nthree\nfour\nfive ␛]0;x\nsix")


@pytest.mark.parametrize(
    ("key", "before"),
    [
        ("t", "caf\udce9 \x1b[31mred \t\x9b\u202e\x85 é"),
        ("n", "a\tb\r\ncaf\udce9 \x1b[31mred\n\x0b\x85\u2028\u202e ␛ \ufffd \U00100000\n\nend"),
    ],
)
async def test_what_is_not_edited_keeps_its_characters(answers: QuickAnswers, key: str, before: str) -> None:
    run = make(1.0)
    name = {"t": "title", "n": "note"}[key]
    write_about(run.path, **{name: before})
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 1)
        await pilot.press(key)
        await until(pilot, lambda: app.screen.query("#text") and app.focused is not None and app.focused.id == "text")
        await until(pilot, lambda: "␛[31mred" in shown(app))
        field = app.focused
        assert field is not None
        assert not set(shown(app)) & set("\x1b\t\x9b\x85\u202e\u2028\udce9")
        await pilot.press("home", "X", "end", "Y", "left")
        line = next(line for line in shown(app).splitlines() if "Y" in line)
        assert app.cursor_position.x == line.index("Y"), "what is shown takes the cells that the cursor counts with"
        await pilot.press("enter")
        head, _, last = before.rpartition("\n")
        edited = f"X{before}Y" if key == "t" else f"{head}\nX{last}Y"
        await until(pilot, lambda: getattr(run.about(), name) == edited)


async def test_what_stands_in_a_field_can_be_cut_and_clicked(answers: QuickAnswers) -> None:
    run = make(1.0)
    write_about(run.path, title="caf\udce9\x1b\x1b red")
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 1)
        await pilot.press("t")
        await until(pilot, lambda: app.screen.query("#text") and app.focused is not None and app.focused.id == "text")
        await until(pilot, lambda: "caf\ufffd␛␛ red" in shown(app))
        field = app.focused
        assert isinstance(field, Field)
        await pilot.click(field, offset=(field.gutter.left + 6, field.gutter.top))
        await until(pilot, lambda: field.cursor_position == 6)
        await pilot.press("shift+home", "ctrl+x")
        await until(pilot, lambda: field.value == " red")
        await pilot.press("ctrl+v")
        await until(pilot, lambda: field.value == "caf\udce9 red")


async def test_runs_are_laid_over_each_other_and_their_configurations_side_by_side(answers: QuickAnswers) -> None:
    make(1.0, settings=("seed=1",))
    make(2.0, settings=("seed=2", "learning_rate=1e-4"))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 2)
        await pilot.press("space", "space")
        await until(pilot, lambda: "2 selected" in shown(app))
        await pilot.press("m")
        await until(pilot, lambda: "━ vqa-2" in shown(app) and "━ vqa-1" in shown(app) and "┤" in shown(app))
        assert "2.050 at step 5" in shown(app) and "1.050 at step 5" in shown(app)
        await pilot.press("t")
        await until(pilot, lambda: "≠ training.seed" in shown(app))
        text = shown(app)
        assert "≠ training.learning_rate" in text and "0.0001" in text and "model.fusion" not in text
        assert "a all" in shown(app).splitlines()[-1]
        await pilot.press("a")
        await until(pilot, lambda: "model.fusion" in shown(app) or "data.source" in shown(app))


async def test_the_configuration_of_one_run_is_always_whole(answers: QuickAnswers) -> None:
    make(1.0)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 1)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ChartsScreen) and "┤" in shown(app))
        await pilot.press("t")
        await until(pilot, lambda: "data.source" in shown(app) and "a all" not in shown(app).splitlines()[-1])
        await pilot.press("a")
        await until(pilot, lambda: "data.source" in shown(app) and "the same in" not in shown(app))


async def test_configurations_that_are_wider_than_the_screen_are_shown_to_their_end(answers: QuickAnswers) -> None:
    for _ in range(6):
        make(1.0)
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await go(pilot, 6)
        await pilot.press(*["space"] * 6, "m")
        await until(pilot, lambda: isinstance(app.screen, ChartsScreen) and "┤" in shown(app))
        await pilot.press("t", "a")
        await until(pilot, lambda: "preset" in shown(app) and "the same in" not in shown(app))
        await pilot.press("end")
        await until(pilot, lambda: "training.answer_sampl" in shown(app))


async def test_too_many_cannot_be_told_apart(answers: QuickAnswers) -> None:
    for _ in range(7):
        make(1.0)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await go(pilot, 7)
        await pilot.press(*["space"] * 7, "m")
        await until(pilot, lambda: "at most 6 runs can be told apart" in " ".join(shown(app).split()))


async def test_a_run_is_made_again_with_changes(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(1.0, settings=("seed=7", "learning_rate=3e-4", "fusion=tokens", "max_steps=20"))
    started: list[Any] = []
    monkeypatch.setattr(host, "launch", lambda config, **_: started.append(config) or run)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 1)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and "New run, like vqa-1" in shown(app))
        draft = form_of(app).draft
        changed = {each.key: draft.text(each.key) for each in draft.settings if draft.differs(each.key)}
        assert changed == {
            "model.fusion": "tokens",
            "training.learning_rate": "0.0003",
            "training.max_steps": "20",
            "training.seed": "7",
        }
        await put(pilot, "training.per_device_train_batch_size", "2")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: started)
    assert started[0] == override(run.config(), ["per_device_train_batch_size=2"])


async def test_an_ended_run_is_resumed_and_a_foreign_one_is_not(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(1.0, None)
    trainer = RunFolder.create("trainer", {"kind": "trainer"})
    resumed: list[str] = []
    monkeypatch.setattr(host, "relaunch", lambda run_id: resumed.append(run_id) or run)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        table = await go(pilot, 2)
        assert table.run is not None and table.run.id == trainer.id
        await pilot.press("r")
        await until(pilot, lambda: "was trained by another program" in " ".join(shown(app).split()))
        await pilot.press("down", "r")
        await until(pilot, lambda: resumed == [str(run.path)] and isinstance(app.screen, TrainScreen))


async def test_runs_are_deleted_whole_after_a_question_and_never_live_ones(answers: QuickAnswers) -> None:
    first, second, live = make(1.0), make(2.0), make(3.0, None)
    with RunLock(live.lock, live.id):
        app = make_app(answers)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            table = await go(pilot, 3)
            await pilot.press("D")
            await until(pilot, lambda: "vqa-3 is live" in " ".join(shown(app).split()))
            await pilot.press("down", "D")
            await until(pilot, lambda: "keep it" in shown(app))
            await pilot.press("enter")  # the first answer keeps it
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
            assert second.path.is_dir()
            await pilot.press("space", "space", "D")
            await until(pilot, lambda: "delete vqa-2, vqa-1" in shown(app))
            await pilot.press("D")
            await until(pilot, lambda: ids(table) == ["vqa-3"])
    assert not first.path.exists() and not second.path.exists() and live.path.is_dir()


async def test_a_run_is_exported_where_the_app_was_started(
    answers: QuickAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(1.0)
    monkeypatch.chdir(tmp_path)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await go(pilot, 1)
        await pilot.press("e", *"json", "enter")
        await until(pilot, lambda: "2 files in" in " ".join(shown(app).split()))
    lines = (tmp_path / "vqa-1-jsonl" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]


async def test_a_live_run_is_stopped_from_the_list(answers: QuickAnswers) -> None:
    run = make(1.0, None)
    with RunLock(run.lock, run.id):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await go(pilot, 1)
            await pilot.press("x")
            await until(pilot, lambda: "Stop the run" in shown(app))
            await pilot.press("x")  # A double press must not lose what came after the last checkpoint.
            await pilot.press("enter")
            await until(pilot, lambda: control.waiting_files(run))
        assert [(each.kind, each.checkpoint) for each in control.take(run)] == [("stop", True)]


async def test_the_list_follows_what_happens(answers: QuickAnswers) -> None:
    run = make(1.0, None)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, 1)
        assert "✗ interrupted" in shown(app)
        with RunLock(run.lock, run.id):
            await until(pilot, lambda: "▶ running" in shown(app))
            make(2.0)
            await until(pilot, lambda: "2 of 2 runs" in shown(app))


async def test_the_machine_is_shown_with_its_gpus(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(0, "NVIDIA [b]H100", 10 * 2**30, 80 * 2**30, 0.75, 61, 312.0, 700.0)
    usage = Usage(0.5, 16, 2**34, 2**35, 2**38, 2**39, (gpu, Gpu(1, "T4")))
    monkeypatch.setattr(Machine, "read", lambda self: usage)
    app = make_app(answers)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: "GPU 0  NVIDIA [b]H100" in shown(app))
        text = shown(app)
        for words in (
            "50 % of 16",
            "16.0 of 32.0 GiB",
            "256.0 GiB free",
            "75 %",
            "10.0 of 80.0 GiB",
            "61 °C",
            "312 W of 700",
        ):
            assert words in text
        assert "GPU 1  T4" in text


@pytest.fixture
def thousands(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Summaries as they would be read, without the folders, which take long to make."""
    from looptop.engine.runs.listing import Summaries

    count = 5000
    template = make(1.0).summary()
    every = [msgspec.structs.replace(template, id=f"vqa-{n}", metrics={"loss": float(n)}) for n in range(count, 0, -1)]
    monkeypatch.setattr(Summaries, "all", lambda self, on_part=None: every)
    yield count


async def test_of_thousands_only_what_is_seen_is_drawn(
    answers: QuickAnswers, thousands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    plain = RunTable.render_line

    def counted(table: RunTable, y: int) -> Any:
        drawn.append(y)
        return plain(table, y)

    monkeypatch.setattr(RunTable, "render_line", counted)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: "5,000 of 5,000 runs" in shown(app))
        drawn.clear()
        await pilot.press("end")
        await until(pilot, lambda: "vqa-1 " in shown(app))
        await pilot.press("home", "pagedown")
        await until(pilot, lambda: "vqa-4970" in shown(app))
        assert len(drawn) < 20 * SIZE[1]
        await pilot.press("slash", *"loss", "equals_sign", *"77")
        await until(pilot, lambda: "1 of 5,000 runs" in shown(app))


async def test_it_fits_at_any_size(answers: QuickAnswers) -> None:
    make(1.0)
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await go(pilot, 1)
        for size in ((80, 24), (120, 40), (200, 60)):
            await resize(pilot, *size)
            await until(pilot, lambda: all(each in shown(app) for each in ("✓ finished", "title, note", "processor")))
            app.action_theme()
            await until(pilot, lambda: "✓ finished" in shown(app))


async def test_an_error_in_looptop_itself_is_reported_and_kept(answers: QuickAnswers, home: Path) -> None:
    app = make_app(answers)

    async def broken() -> None:
        raise ZeroDivisionError("by [/b] nothing")

    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("escape", "4")
        work(app.screen, broken(), "broken")
        await until(
            pilot, lambda: any("an error in looptop itself (Zero" in note.message for note in app._notifications)
        )
        assert app.is_running
    log = home / "app.log"
    assert "Traceback" in log.read_text() and "by [/b] nothing" in log.read_text()
    log.unlink()


async def test_a_run_with_senseless_times_and_damaged_files_is_listed_like_the_others(answers: QuickAnswers) -> None:
    odd, broken = make(0.5), make(0.6)
    make(0.7)
    with contextlib.closing(sqlite3.connect(odd.db)) as connection:
        for table in ("states", "events", "metrics"):
            connection.execute(f"UPDATE {table} SET time = ?", (float("inf"),))
        connection.execute("UPDATE facts SET value = '\"many\"' WHERE key = 'total_steps'")
        connection.commit()
    broken.lock.write_bytes(b'{"host": "\xc3"}')
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        table = await go(pilot, 3)  # type: ignore[assignment]
        assert set(ids(table)) == {"vqa-1", "vqa-2", "vqa-3"}  # type: ignore[arg-type]
        await until(pilot, lambda: "run.lock is damaged" in shown(app))
        await pilot.press("end", "enter")
        await until(pilot, lambda: "vqa-1" in shown(app) and not isinstance(app.screen, RunsScreen))
