"""Charts on the Train, metrics and PPO screens: the same keys, the same mouse, other runs laid over, files."""

from __future__ import annotations

import csv
import stat
from typing import Any

import pytest
from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Region

from looptop.engine.home import home
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder, RunLock
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.view import Span, View
from looptop.tui.screens import curve_reader
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.small_ppo import small_run
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import shown, until

SIZE = (120, 40)
SCREENS = ("train", "charts", "ppo")


def vqa_run(**options: Any) -> RunFolder:
    def before_training(writer: JournalWriter) -> None:
        writer.metrics(0, {"eval_loss": 0.84, "eval_accuracy": 0.02})
        writer.facts(question_only_accuracy=0.125)

    return make_run(extra=before_training, **options)


async def open_charts(pilot: Any, screen: str) -> ChartWall:
    """Opens a run on a screen, with the focus on its charts."""
    app = pilot.app
    run = small_run(60) if screen == "ppo" else vqa_run()
    app.open_charts([run]) if screen == "charts" else app.open_run(run)
    await until(pilot, lambda: app.current_mode == screen and app.screen.query_one(ChartWall).data.charts)
    wall: ChartWall = app.screen.query_one(ChartWall)
    for _ in range(3):
        if not wall.has_focus:
            await pilot.press("tab")
    await until(pilot, lambda: wall.has_focus and any(chart.curves for chart in wall.data.charts.values()))
    return wall


def window(wall: ChartWall) -> Span:
    """The steps that are shown."""
    assert wall.view.window is not None
    return wall.view.window


def title(app: Any, name: str) -> str:
    """The title line of a chart."""
    return next(line for line in shown(app).splitlines() if f" {name} " in line)


@pytest.mark.parametrize("screen", SCREENS)
async def test_the_last_point_is_read_also_while_the_points_are_not_known(answers: QuickAnswers, screen: str) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        wall = await open_charts(pilot, screen)
        await pilot.press("home")
        assert wall.cursor is not None and wall.cursor <= 1
        wall._steps = list  # type: ignore[method-assign]  # as after a change of view
        await pilot.press("end")
        await until(pilot, lambda: wall.cursor in (None, 60))


@pytest.mark.parametrize("screen", SCREENS)
async def test_the_same_keys_work_on_every_screen(answers: QuickAnswers, screen: str) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        wall = await open_charts(pilot, screen)
        last = 60 if screen == "ppo" else 120
        await pilot.press("home")
        assert wall.cursor is not None and wall.cursor <= 1
        await pilot.press("right", "right", "left")
        assert wall.cursor is not None and 1 <= wall.cursor <= 4
        await pilot.press("plus")
        before = window(wall)
        assert before.width == pytest.approx(last / 2, abs=1)
        await pilot.press("full_stop")
        assert window(wall).first == pytest.approx(before.first + before.width / 4, abs=1)
        await pilot.press("comma", "comma", "minus", "0")
        assert wall.view == View()
        await pilot.press("end")
        assert wall.cursor in (None, last)
        await pilot.press("s")
        await until(pilot, lambda: "smoothed 0.6" in shown(app) or "~0.6" in shown(app))
        await pilot.press("s", "s", "s", "y")
        await until(pilot, lambda: " log " in shown(app) and "smoothed" not in shown(app))
        await pilot.press("y", "x")
        await until(pilot, lambda: wall.data.view.unit == ("time" if screen == "ppo" else "epoch"))
        await pilot.press("enter")
        await until(pilot, lambda: wall.large and len(wall.page) == 1 and " 0" in shown(app))
        assert (" time " if screen == "ppo" else " epoch ") in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: not wall.large and len(wall.page) > 1)
        await pilot.press("right_square_bracket")
        assert wall.chosen == 1


async def test_keys_of_the_run_do_not_act_while_a_chart_has_the_focus(answers: QuickAnswers) -> None:
    run = vqa_run(state=None)
    with RunLock(run.lock, run.id):
        app = make_app(answers, attach=run)
        async with app.run_test(size=SIZE) as pilot:
            wall = app.screen.query_one(ChartWall)
            await until(pilot, lambda: wall.data.charts)
            await pilot.press("tab", "plus", "full_stop", "x")
            await until(pilot, lambda: wall.view.unit == "epoch")
            assert control.waiting_files(run) == []
            await pilot.press("escape", "full_stop")
            await until(pilot, lambda: len(control.waiting_files(run)) == 1)
        assert [each.kind for each in control.take(run)] == ["step"]


@pytest.mark.parametrize("screen", ["train", "charts"])
async def test_titles_show_the_values_at_the_cursor(answers: QuickAnswers, screen: str) -> None:
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        wall = await open_charts(pilot, screen)
        name = "Loss" if screen == "train" else "loss"
        # First the curves are read as coarsely as a wall without a size has columns.
        await until(pilot, lambda: "0.0996" in title(app, name) and len(wall._steps()) > 60)
        await pilot.press("home", *["right"] * 9)
        step = wall.cursor
        assert step is not None and 5 <= step <= 20
        value = f"{2 * 2.718281828 ** (-step / 40):.3f}"
        await until(pilot, lambda: value in title(app, name))
        assert f" step {step} " in shown(app), "the axis names the step under the cursor"


async def test_lines_to_compare_with_and_marks_are_on_train(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        await open_charts(pilot, "train")
        await until(pilot, lambda: "before training 0.84" in shown(app) and "question only 12 %" in shown(app))
        axis = next(line for line in shown(app).splitlines() if "└" in line)
        assert "○" in axis and "★" in axis


@pytest.mark.parametrize("screen", SCREENS)
async def test_the_mouse_zooms_reads_and_enlarges(answers: QuickAnswers, screen: str) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        wall = await open_charts(pilot, screen)
        begin, end = wall.under(14, 3), wall.under(22, 3)
        assert begin is not None and end is not None
        # The wheel leaves the step under the pointer where it is.
        cell = wall.span.width / 20
        for kind, factor in ((MouseScrollUp, 0.5), (MouseScrollUp, 0.5), (MouseScrollDown, 2.0)):
            wanted = pytest.approx(wall.span.width * factor)
            wall.post_message(kind(wall, 22, 3, 0, 0, 0, False, False, False))
            await until(pilot, lambda wanted=wanted: wall.span.width == wanted)  # type: ignore[misc]
            now = wall.under(22, 3)
            assert now is not None and now.position == pytest.approx(end.position, abs=cell)
        # A drag shows what it covers.
        await pilot.press("0")
        await pilot.mouse_down(wall, offset=(14, 3))
        await pilot.hover(wall, offset=(22, 3))
        await pilot.mouse_up(wall, offset=(22, 3))
        await until(pilot, lambda: wall.view.window is not None)
        assert wall.view.window == pytest.approx(Span(begin.position, end.position))
        # A click reads, and is no drag; a double click enlarges.
        await pilot.press("0")
        await pilot.click(wall, offset=(22, 3))
        await until(pilot, lambda: wall.cursor is not None and abs(wall.cursor - end.position) <= 3)
        assert wall.view.window is None
        await pilot.click(wall, offset=(22, 3), times=2)
        await until(pilot, lambda: wall.large)


async def test_dragging_the_axis_moves_the_window(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        wall = await open_charts(pilot, "train")
        await pilot.press("plus")
        window = wall.view.window
        assert window is not None and window.first > 0
        axis = wall.size.height - 2
        await pilot.mouse_down(wall, offset=(20, axis))
        await pilot.hover(wall, offset=(30, axis))
        await pilot.mouse_up(wall, offset=(30, axis))
        await until(pilot, lambda: wall.view.window != window)
        moved = wall.view.window
        assert moved is not None and moved.width == pytest.approx(window.width) and moved.first < window.first


@pytest.mark.parametrize("screen", SCREENS)
async def test_from_any_screen_a_run_is_laid_over_and_a_chart_exported(answers: QuickAnswers, screen: str) -> None:
    other = small_run(30) if screen == "ppo" else vqa_run(steps=80)
    app = make_app(answers)
    async with app.run_test(size=(160, 48), notifications=True) as pilot:
        wall = await open_charts(pilot, screen)
        run, step = ("ppo-2", 2) if screen == "ppo" else ("vqa-2", 40)
        await pilot.press("O")
        await until(pilot, lambda: "Lay over" in shown(app) and other.id in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: other.id in labels(wall))
        await pilot.press("s", "E")
        await until(pilot, lambda: "the chart is in" in " ".join(shown(app).split()))
        stem = f"{run}-{'reward' if screen == 'ppo' else 'loss'}"
        files = sorted((home() / "exports").iterdir())
        assert [path.name for path in files] == [f"{stem}.{ending}" for ending in ("csv", "png", "svg", "txt")]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        rows = list(csv.DictReader(files[0].open()))
        assert {row["run"] for row in rows} == {run, other.id}
        metric = wall.specs[0].lines[0].metric
        first, second = (next(row for row in rows if row["step"] == at and row["run"] == run) for at in "12")
        smoothed = f"{metric} (smoothed 0.6)"
        assert float(first[smoothed]) == pytest.approx(float(first[metric]))
        average = (0.6 * float(first[metric]) + float(second[metric])) * 0.4 / (1 - 0.6**2)
        assert float(second[smoothed]) == pytest.approx(average)
        assert step == 2 or next(row["epoch"] for row in rows if row["step"] == str(step)) == "2.0"
        await pilot.press("O")
        await until(pilot, lambda: f"✓ {other.id}" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: other.id not in labels(wall))
        await pilot.press("plus", "E")
        await until(pilot, lambda: (home() / "exports" / f"{stem}-2.txt").exists())
        fewer = list(csv.DictReader((home() / "exports" / f"{stem}-2.csv").open()))
        assert 0 < len(fewer) < len(rows) and {row["run"] for row in fewer} == {run}, "only what is shown"


async def test_a_ppo_run_that_is_laid_over_another_has_its_own_figures_at_the_cursor(answers: QuickAnswers) -> None:
    other = small_run(30)
    app: Any = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        wall = await open_charts(pilot, "ppo")
        await pilot.press("O")
        await until(pilot, lambda: "Lay over" in shown(app) and other.id in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: other.id in labels(wall))

        def figure() -> str:
            return next(entry.figure for entry in wall.data.charts["reward"].entries if entry.label == other.id)

        values = {point.step: point.value for point in Journal(other.db).values("env/reward_mean")}
        for step in (5, 17):
            app.screen.widgets.run_page.go_to(step)
            await until(pilot, lambda step=step: wall.cursor == step and figure() == f"{values[step]:.2f}")  # type: ignore[misc]


def labels(wall: ChartWall) -> set[str]:
    """The names in the legends of all charts."""
    return {entry.label for chart in wall.data.charts.values() for entry in chart.entries}


async def test_a_chart_that_cannot_be_written_is_one_sentence(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_charts(pilot, "charts")
        (home() / "exports").write_text("a file")
        await pilot.press("E")
        await until(pilot, lambda: any("cannot" in n.message and "exports" in n.message for n in app._notifications))


async def test_without_colours_curves_have_dashes_and_signs(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    runs = [vqa_run(), vqa_run(steps=80)]
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        app.open_charts(runs)
        await until(pilot, lambda: "━ vqa-1   ╍ vqa-2" in shown(app) and "┤" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "━ vqa-1" in title(app, "loss") and "╍ vqa-2" in title(app, "loss"))
        ends = [line.rstrip().rsplit(" ", 1)[-1] for line in shown(app).splitlines()]
        assert "vqa-1" in ends and "vqa-2" in ends, "names at the ends of the curves"


async def test_one_more_point_redraws_few_cells(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_reader, "READ_INTERVAL_SECONDS", 0.0)
    run = make_run(state=None)
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        app = make_app(answers, attach=run)
        async with app.run_test(size=SIZE) as pilot:
            wall = app.screen.query_one(ChartWall)
            await until(pilot, lambda: "0.0996" in title(app, "Loss"))
            drawn: list[tuple[Region, ...]] = []
            plain = ChartWall.refresh

            def refresh(self: ChartWall, *regions: Region, **options: Any) -> ChartWall:
                drawn.append(regions)
                return plain(self, *regions, **options)

            monkeypatch.setattr(ChartWall, "refresh", refresh)
            writer.metrics(121, {"loss": 0.0975})
            writer.flush()
            await until(pilot, lambda: "0.0975" in title(app, "Loss"))
            cells = sum(region.area for regions in drawn for region in regions)
            assert all(drawn) and 0 < cells < 40, (drawn, wall.size)
        writer.close()
