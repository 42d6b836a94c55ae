"""Charts of all metrics: pages, zooming and panning, several runs, what is around them, and news of runs."""

from __future__ import annotations

import math
from typing import Any

import pytest

from looptop.engine.journal.completions import Completion, write_completions
from looptop.engine.journal.reader import Journal, JournalWriter, Series
from looptop.engine.runs import control
from looptop.engine.runs.about import write_about
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.tui.app import LooptopApp
from looptop.tui.charts.reader import ChartReader
from looptop.tui.charts.screen import ChartsScreen
from looptop.tui.plots import curves
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.view import View
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.screens import curve_reader
from looptop.tui.screens.curve_reader import CurveRequest
from looptop.tui.train.screen import TrainScreen
from looptop.tui.widgets.bars import TopBar, alerts_sign
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import resize, shown, until

SIZE = (120, 40)
STEPS = 3000


def make(metrics: int = 20, steps: int = STEPS, state: RunState | None = RunState.FINISHED) -> RunFolder:
    run = RunFolder.create("trainer", {"kind": "trainer", "name": "mine", "arguments": {"learning_rate": 1e-3}})
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    for step in range(1, steps + 1):
        writer.metrics(step, {f"metric/{number}": math.sin(step / 200 + number) for number in range(metrics)})
    writer.event("data", "an [b]event\x1b[2J")
    if state is not None:
        writer.state(state)
    writer.close()
    return run


def app_on(answers: QuickAnswers, run: RunFolder) -> LooptopApp:
    return make_app(answers, attach=run)


def names(wall: ChartWall) -> tuple[str, ...]:
    return tuple(spec.key for spec in wall.page)


async def complete(pilot: Any) -> ChartsScreen:
    """Waits until every chart of the page is drawn."""
    app = pilot.app
    await until(
        pilot,
        lambda: isinstance(app.screen, ChartsScreen) and "nothing to draw" not in shown(app) and "┤" in shown(app),
    )
    screen = app.screen
    assert isinstance(screen, ChartsScreen)
    return screen


async def test_every_metric_has_a_chart_a_page_at_a_time(answers: QuickAnswers) -> None:
    run = make()
    write_about(run.path, title="my [b]title")
    app = app_on(answers, run)
    async with app.run_test(size=SIZE) as pilot:
        screen = await complete(pilot)
        wall = screen.query_one(ChartWall)
        assert "my [b]title" in shown(app) and "an [b]event␛[2J" in shown(app)
        assert "pause" not in shown(app).splitlines()[-1], "a finished run cannot be paused"
        assert names(wall) == tuple(f"metric/{number}" for number in range(9))
        await pilot.press("pagedown")
        await until(pilot, lambda: "metric/9 " in shown(app) and "metric/0 " not in shown(app))
        await pilot.press("G")
        await until(pilot, lambda: "20/20 metric/19" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: names(wall) == ("metric/19",))
        await complete(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: names(wall) == ("metric/18",) and "19/20 metric/18" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: len(names(wall)) > 1)
        await pilot.press("slash", *"[1]2")
        await until(pilot, lambda: names(wall) == ("metric/12",))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_zooming_and_panning_load_what_they_need(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(metrics=2)
    asked: list[tuple[str, int | None, int | None]] = []
    plain = Journal.series

    def counted(journal: Journal, name: str, buckets: int = 200, first: Any = None, last: Any = None) -> Series:
        asked.append((name, first, last))
        return plain(journal, name, buckets, first, last)

    monkeypatch.setattr(Journal, "series", counted)
    app = app_on(answers, run)
    async with app.run_test(size=SIZE) as pilot:
        wall = (await complete(pilot)).query_one(ChartWall)
        assert sorted(asked) == [("metric/0", None, None), ("metric/1", None, None)]
        asked.clear()
        await pilot.press("plus")
        await until(pilot, lambda: "steps 750 to 2,250" in shown(app) and len(asked) == 2)
        assert sorted(asked) == [("metric/0", 750, 2250), ("metric/1", 750, 2250)]
        await pilot.press("full_stop")

        def line() -> str:
            return next(line for line in shown(app).splitlines() if "in steps 1,125 to 2,625" in line)

        # All of the line is about these steps, once they are read.
        await until(pilot, lambda: f"{math.sin(2625 / 200):.4f} at step 2,625" in line())
        await pilot.press(*["comma"] * 9)
        await until(pilot, lambda: "steps 0 to 1,500" in shown(app))
        await pilot.press(*["plus"] * 20)
        await until(pilot, lambda: "steps 745 to 755" in shown(app) and wall.data.view == wall.view)
        asked.clear()
        await pilot.press("0")
        await until(pilot, lambda: "steps 7" not in shown(app) and len(asked) == 2)
        assert "smoothed" not in shown(app)
        await pilot.press("s")
        await until(pilot, lambda: shown(app).count("smoothed 0.6") == 3)
        await pilot.press("s", "s", "s")
        await until(pilot, lambda: "smoothed" not in shown(app))


async def test_a_spike_of_one_step_is_seen_and_can_be_zoomed_to(answers: QuickAnswers) -> None:
    run = RunFolder.create("trainer", {"kind": "trainer"})
    writer = JournalWriter(run.db)
    for step in range(1, 20_001):
        writer.metrics(step, {"loss": 1000.0 if step == 12_345 else 1.0})
    writer.state(RunState.FINISHED)
    writer.close()
    app = app_on(answers, run)
    async with app.run_test(size=SIZE) as pilot:
        await complete(pilot)
        assert "from 1 to 1,000" in shown(app)


async def test_a_live_run_is_followed_and_driven(answers: QuickAnswers) -> None:
    run = make(metrics=1, steps=10, state=None)
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        app = app_on(answers, run)
        async with app.run_test(size=SIZE) as pilot:
            await complete(pilot)
            assert "▶ running" in shown(app)
            writer.metrics(11, {"metric/0": 5.0, "new": 1.0})
            writer.flush()
            await until(pilot, lambda: "5 at step 11" in shown(app) and "new" in shown(app))
            await pilot.press("space", "c", "X")
            await until(pilot, lambda: "Stop the run" in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: len(control.waiting_files(run)) == 3)
        writer.close()
    assert [each.kind for each in control.take(run)] == ["pause", "checkpoint", "stop"]


async def test_completions_are_shown_letter_by_letter_with_rewards_and_advantages(answers: QuickAnswers) -> None:
    run = make(metrics=1, steps=5)
    writer = JournalWriter(run.db)
    write_completions(writer, 2, [Completion("2+2=", "five [b]", {"right": 0.0}, -1.0)])
    write_completions(
        writer,
        4,
        [
            Completion("3+3=", "seven", {"right": 0.0, "short": None}, -0.5),
            Completion("3+3=", "six\x1b[2J", {"right": 1.0, "short": 0.25}, 0.5),
        ],
    )
    writer.close()
    app = app_on(answers, run)
    async with app.run_test(size=SIZE) as pilot:
        await complete(pilot)
        await pilot.press("w")
        await until(pilot, lambda: "Completions of step 4 (2 of 2)" in shown(app))
        text = shown(app)
        assert "six␛[2J" in text and "right 1  short 0.2500" in text and "▲ advantage 0.5000" in text
        assert text.index("seven") < text.index("six")
        await pilot.press("s")
        await until(pilot, lambda: shown(app).find("seven") > shown(app).find("six"))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "Completions of step 2 (1 of 2)" in shown(app) and "five [b]" in shown(app))


async def test_a_run_that_cannot_be_read_is_one_sentence(answers: QuickAnswers) -> None:
    run = make(metrics=1, steps=3)
    run.db.write_bytes(b"no database at all, but long enough to be looked at as one " * 20)
    app = app_on(answers, run)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "damaged" in shown(app))


async def test_it_fits_at_any_size(answers: QuickAnswers) -> None:
    app = app_on(answers, make())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await complete(pilot)
        assert len(names(screen.query_one(ChartWall))) == 9
        for size, count in (((80, 24), 4), ((200, 60), 20), ((100, 30), 4)):
            await resize(pilot, *size)
            await until(pilot, lambda count=count: len(names(screen.query_one(ChartWall))) == count)  # type: ignore[misc]
            app.action_theme()
            await complete(pilot)


def test_only_what_changed_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_reader, "READ_INTERVAL_SECONDS", 0.0)
    run = make(metrics=2, steps=10, state=None)
    request = CurveRequest(("metric/0", "metric/1"), 50, View())
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        reader = ChartReader([run])
        first = reader.poll(request)
        assert reader.poll(request) is first
        read: list[str] = []
        plain = Journal.series
        monkeypatch.setattr(Journal, "series", lambda self, name, *rest: read.append(name) or plain(self, name, *rest))
        writer.metrics(11, {"metric/1": 7.0})
        assert writer.flush()
        again = reader.poll(request)
        assert read == ["metric/1"]
        assert again.runs[0].series["metric/1"].maximum[-1] == 7.0
        writer.close()


def test_an_envelope_holds_both_ends_of_every_column_and_goes_on_from_the_nearer_one() -> None:
    series = Series([10, 20, 30], [0.5, 5.0, 0.5], [0.0, 0.0, 0.5], [1.0, 9.0, 0.5], [0, 0, 0])
    assert curves.envelope(series) == ([10, 10, 20, 20, 30], [0.0, 1.0, 0.0, 9.0, 0.5])
    series = Series([10, 20], [0.5, 5.0], [0.0, 0.5], [9.0, 8.0], [0, 0])
    assert curves.envelope(series) == ([10, 10, 20, 20], [0.0, 9.0, 8.0, 0.5])


def with_alerts(writer: JournalWriter) -> None:
    for text in ("wrong", "wrong again"):
        writer.event("alert", text, 5, "warning")


async def test_the_top_line_of_every_screen_shows_alerts_until_the_events_are_opened(answers: QuickAnswers) -> None:
    sign = " ! vqa-1: 2 alerts"
    run = make_run(state=None, extra=with_alerts)
    with RunLock(run.lock, run.id):
        app = make_app(answers)
        async with app.run_test(size=(80, 30)) as pilot:
            for key in "4321":
                await pilot.press(f"alt+{key}")
                await until(pilot, lambda: sign in shown(app).splitlines()[0])
            app._go("train", lambda screen: screen.attach(run))
            await until(pilot, lambda: "running, with 2 alerts" in shown(app))
            await pilot.press("L")
            await until(pilot, lambda: "Events of vqa-1: 2 warnings" in shown(app))
            await until(pilot, lambda: sign not in shown(app))


def test_a_sign_that_does_not_fit_only_counts() -> None:
    assert alerts_sign({"vqa-1": 1, "ppo-12": 3}, 40).plain == " ! vqa-1: 1 alert, ppo-12: 3 alerts  "
    assert alerts_sign({"vqa-1": 1, "ppo-12": 3}, 30).plain == " ! 4 alerts  "
    assert alerts_sign({}, 30).plain == ""


async def test_news_ring_the_bell_on_whatever_screen(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(metrics=1, steps=5, state=None)
    rung: list[int] = []
    monkeypatch.setattr(LooptopApp, "bell", lambda self: rung.append(1))
    lock = RunLock(run.lock, run.id).acquire()
    app = app_on(answers, run)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await complete(pilot)
        await pilot.press("alt+4")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        writer = JournalWriter(run.db)
        writer.state(RunState.FINISHED)
        writer.close()
        lock.release()
        await until(pilot, lambda: "trainer-1 finished" in " ".join(shown(app).split()))
        assert rung == [1]


async def test_esc_goes_back_to_the_screen_that_the_charts_were_opened_from(answers: QuickAnswers) -> None:
    app = app_on(answers, make_run())
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and "✓ finished" in shown(app))
        await pilot.press("m")
        screen = await complete(pilot)
        assert screen.query_one(TopBar)._screen_name == "train"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
