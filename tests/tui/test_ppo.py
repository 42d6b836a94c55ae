"""The PPO screen: what it shows of a run, and every key that moves in it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from looptop.engine.journal.causes import Hold, HoldReason
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.health import LABELS
from looptop.engine.ppo.journal import PpoJournal, write_batch, write_samples
from looptop.engine.ppo.records import BatchRecord, SampleRecord
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunLock, RunState
from looptop.tui.ppo import typed_line
from looptop.tui.ppo.batch_page import BatchPage
from looptop.tui.ppo.health import Health
from looptop.tui.ppo.run_page import RunPage
from looptop.tui.ppo.text import PATH_SEPARATOR
from looptop.tui.ppo.token_page import TokenPage
from looptop.tui.screens import palette
from looptop.tui.widgets.table import ColumnTable, Table
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.small_ppo import held_run, small_run
from tests.factories.synthetic_ppo import Maker, make_run
from tests.tui.conftest import shown, until
from tests.tui.ppo_helpers import SIZE, complete, crumbs, go, last_batch, rows

LEFT_ON = "ppo"


def step(screen: Any) -> int | None:
    step: int | None = screen.query_one(RunPage).step
    return step


async def test_a_run_is_chosen_and_shown_with_all_charts_and_its_batches(answers: QuickAnswers) -> None:
    small_run(12)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await until(pilot, lambda: "ppo-1" in shown(app))
        await pilot.press("escape", "o")
        await until(pilot, lambda: "Choose a PPO run" in shown(app) and "ppo-1" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: complete(app))
        text = shown(app)
        for title in (
            "reward", "scores", "KL", "KL coefficient", "policy loss", "value loss", "clipped", "expl. variance",
            "entropy", "length", "largest ratio", "quality",
        ):  # fmt: skip
            assert title in text
        assert "of 6" in text and "±" in text
        assert "✓ finished" in text and "12 of 12 batches" in text
        assert [line.split()[0] for line in rows(app, "batch reward")[:12]] == [str(batch) for batch in range(1, 13)]


async def test_going_down_and_up_again_with_two_keys(answers: QuickAnswers) -> None:
    run = small_run(12)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run, "tokens")
        words = ["ppo-1", "batch 12", "sample 0", "token 0"]
        while words:
            path = f" {PATH_SEPARATOR} ".join(words)
            await until(pilot, lambda path=path: crumbs(app).split("  ")[0].strip() == path)  # type: ignore[misc]
            await pilot.press("escape")
            words.pop()
        assert screen.navigation.level == "run"


async def test_batches_are_gone_through_by_keys_and_marked_on_every_chart(answers: QuickAnswers) -> None:
    run = small_run(40)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run)
        assert step(screen) == 40
        for key, expected in (
            ("p", 39), ("p", 38), ("n", 39), ("home", 1), ("p", 1), ("down", 2), ("j", 3), ("k", 2), ("end", 40),
            ("n", 40), ("pageup", 40 - screen.query_one("#batches").size.height + 2),
        ):  # fmt: skip
            await pilot.press(key)
            assert step(screen) == expected, key
        await pilot.press("f")
        assert step(screen) == 40
        await pilot.press("home")
        await pilot.pause()
        first = [line.count("┊") for line in shown(app).splitlines()]
        await pilot.press("2", "0", "enter")
        await until(pilot, lambda: "batch 20" not in crumbs(app) and step(app.screen) == 20)
        middle = [line.count("┊") for line in shown(app).splitlines()]
        # Four charts side by side, in three rows; the mark is a line in each but where the curve is.
        assert sum(first) > 20 and sum(middle) > 20 and first != middle
        figure = rows(app, "batch reward")
        row = next(line for line in figure if line.startswith("20 "))
        assert f"reward  {row.split()[1]}" in shown(app)


async def test_a_key_is_not_undone_by_rows_that_are_read_at_that_moment(answers: QuickAnswers) -> None:
    run = small_run(40)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run)
        await pilot.press("home")
        assert step(screen) == 1
        page, table = screen.query_one(RunPage), screen.query_one("#batches", Table)
        table.action_jump("last")
        page._on_read(1, 40)
        await until(pilot, lambda: step(screen) == 40)
        table.action_jump("first")
        page._on_read(1, 40)
        await until(pilot, lambda: step(screen) == 1)


async def test_a_typed_number_goes_there_from_a_run_and_from_a_batch(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typed_line, "ALONE_SECONDS", 60.0)  # a slow machine may type slowly
    run = small_run(40)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        for level in ("run", "batch"):
            screen = await go(pilot, run, level)
            await pilot.press("2", "7")
            await until(pilot, lambda: "go to batch" in shown(app) and "enter goes there" in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: step(app.screen) == 27)
            if level == "batch":
                await until(pilot, lambda: "batch 27" in crumbs(app))
            await pilot.press("9", "9", "9", "enter")
            await until(pilot, lambda: step(app.screen) == 40)
            await pilot.press("5", "x")
            await until(pilot, lambda: "that is no number" in shown(app))
            await pilot.press("enter", "escape")
            await until(pilot, lambda: "go to batch" not in shown(app))
            assert step(screen) == 40


async def test_a_digit_alone_is_the_key_of_a_screen(answers: QuickAnswers) -> None:
    run = small_run(12)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, run)
        await pilot.press("1")
        await until(pilot, lambda: "alone, 1 is the screen" in shown(app))
        await until(pilot, lambda: app.current_mode == "ask")
        await pilot.press("alt+3")
        await until(pilot, lambda: complete(app))
        await pilot.press("1", "enter")
        await until(pilot, lambda: step(app.screen) == 1)
        assert app.current_mode == "ppo"


async def test_a_chart_is_chosen_enlarged_and_smoothed(answers: QuickAnswers) -> None:
    run = small_run(40)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, run)
        # Nothing is smoothed before it is asked for, and then every chart says so.
        assert "smoothed" not in shown(app) and "~0." not in shown(app)
        await pilot.press("w")
        await until(pilot, lambda: shown(app).count("smoothed 0.6") + shown(app).count("~0.6") == 12)
        await pilot.press("right_square_bracket", "right_square_bracket", "z")
        await until(pilot, lambda: "of 6" in shown(app) and "┤" in shown(app) and "smoothed 0.6" in shown(app))
        assert "value loss" not in shown(app).split("batch reward")[0]
        await pilot.press("w", "w")
        await until(pilot, lambda: "smoothed 0.97" in shown(app))
        await pilot.press("w")
        await until(pilot, lambda: "smoothed" not in shown(app))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "grammar" in shown(app) and "neutral" in shown(app))
        await pilot.press("z")
        await until(pilot, lambda: complete(app))


async def test_health_marks_a_batch_and_says_what_to_try(answers: QuickAnswers) -> None:
    run = small_run(60, samples=16)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run)
        await until(pilot, lambda: "cheating?" in shown(app))
        await pilot.press("home", "m")
        await until(pilot, lambda: (step(screen) or 0) > 1)
        marked = step(screen)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, Health) and f"Health of batch {marked}" in shown(app))
        assert " ".join(shown(app).split()).count("raise ") + shown(app).count("lower ") >= 1
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "samples" in shown(app) and "! " in shown(app))
        await pilot.press("1", "enter", "i")
        await until(pilot, lambda: "Nothing about this batch is out of the ordinary" in shown(app))


async def test_the_key_of_the_marks_leaves_a_sample_and_the_comparison(answers: QuickAnswers) -> None:
    run = small_run(60, samples=16)
    begins = [
        batch.step for batch in PpoJournal(run.db).batches() if any(mark.since == batch.step for mark in batch.marks)
    ]
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run)
        await pilot.press("home", "enter")
        await until(pilot, lambda: "16 of 16 samples" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: screen.navigation.level == "sample")
        await pilot.press("m")
        await until(pilot, lambda: f"batch {begins[0]} " in shown(app) and "16 of 16 samples" in shown(app))
        await pilot.press("escape", "a", "m")
        await until(pilot, lambda: screen.navigation.level == "run" and step(screen) == begins[1])


async def test_a_mark_that_goes_on_is_one_episode_in_the_list_and_for_the_key(answers: QuickAnswers) -> None:
    run = small_run(60, samples=16)
    marks = {batch.step: batch.marks for batch in PpoJournal(run.db).batches()}
    begins = [at for at, each in marks.items() if any(mark.since == at for mark in each)]
    goes_on = next(at for at, each in marks.items() if each and all((mark.since or at) < at for mark in each))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run)
        await pilot.press("home")
        visited = []
        for at in begins:
            await pilot.press("m")
            await until(pilot, lambda at=at: step(screen) == at)  # type: ignore[misc]
            visited.append(step(screen))
        assert visited == begins and len(begins) < sum(map(bool, marks.values()))
        await pilot.press("0", *str(goes_on), "enter")
        mark = marks[goes_on][0]
        word = f"{LABELS[mark.kind]} since {mark.since}"

        def line() -> str:
            return next(each for each in rows(app, "batch reward") if each.split()[0] == str(goes_on))

        await until(pilot, lambda: step(screen) == goes_on and word in line() and "!" not in line().split("│")[0])
        await pilot.press("i")
        await until(pilot, lambda: f"! {LABELS[mark.kind]} since batch {mark.since}" in shown(app))


async def test_samples_are_sorted_by_any_column_either_way_or_the_best_or_worst_first_at_a_key(
    answers: QuickAnswers,
) -> None:
    run = small_run(12, samples=24)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run, "batch")
        page, table = screen.query_one(BatchPage), screen.query_one("#samples-table", ColumnTable)
        rewards = sorted(row.record.reward or 0.0 for row in page.rows)
        await pilot.press("t")
        assert page.sample is not None and page.sample.record.reward == rewards[-1]
        await pilot.press("t")
        assert page.sample is not None and page.sample.record.reward == rewards[0]
        await pilot.press("t")
        assert [row.record.row for row in page.rows] == list(range(24))
        for _ in range(len(table.columns)):
            key = table.columns[table.column].key
            for bracket, largest in (("left_square_bracket", False), ("right_square_bracket", True)):
                await pilot.press(bracket)
                assert table.row_order == (key, largest)
                if key in ("response", "query"):
                    figures: list[Any] = [getattr(row.record, key).lower() for row in page.rows]
                else:
                    figures = [row.figures[key] for row in page.rows]
                assert figures == sorted(figures, reverse=largest), key
            await pilot.press("right")
        assert f"{table.columns[-1].title}▼" in shown(app)


async def test_samples_are_filtered_as_it_is_typed(answers: QuickAnswers) -> None:
    run = small_run(12, samples=32)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run, "batch")
        page = screen.query_one(BatchPage)
        everyone = page.rows
        word = everyone[0].record.response.split()[1]
        await pilot.press("slash", *"reward", "less_than_sign", "0")
        expected = [row for row in everyone if (row.record.reward or 0) < 0]
        await until(pilot, lambda: f"{len(expected)} of 32 samples" in shown(app))
        await pilot.press("space", *"rewrd", "greater_than_sign", "1")
        await until(pilot, lambda: "did you mean 'reward'" in shown(app))
        assert len(page.rows) == len(expected)
        assert isinstance(app.focused, Input)
        app.focused.value = "not (reward<0 or length>1e9)"
        await until(pilot, lambda: f"{32 - len(expected)} of 32 samples" in shown(app))
        await pilot.press("end", "ctrl+u", "quotation_mark", *word, "quotation_mark", "enter")
        wanted = [row for row in everyone if word.lower() in (row.record.response + row.record.query).lower()]
        await until(pilot, lambda: f"{len(wanted)} of 32 samples" in shown(app))
        assert screen.focused is screen.query_one("#samples-table", ColumnTable)
        await pilot.press("p")
        await until(pilot, lambda: "batch 11" in crumbs(app) and f'/ "{word}"' in shown(app))
        assert all(word.lower() in (row.record.response + row.record.query).lower() for row in page.rows)


async def test_a_bar_of_a_histogram_can_be_chosen(answers: QuickAnswers) -> None:
    run = small_run(12, samples=32)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run, "batch")
        page = screen.query_one(BatchPage)
        await pilot.press("h", "right")
        lowest = min(row.record.reward or 0.0 for row in page.rows)
        assert 0 < len(page.rows) < 32 and page.rows[0].record.reward is not None
        assert min(row.record.reward or 0.0 for row in page.rows) == lowest
        seen = len(page.rows)
        await pilot.press("right")
        assert min(row.record.reward or 0.0 for row in page.rows) > lowest
        await pilot.press("tab", "right")
        assert len(page.rows) <= 32 and "KL" in shown(app).split("samples")[0] + shown(app)
        await pilot.press("backspace", "shift+tab", "backspace", "h")
        assert len(page.rows) == 32 > seen
        assert screen.focused is screen.query_one("#samples-table", ColumnTable)


async def test_a_sample_is_shown_whole_beside_the_reference_with_what_its_reward_is_made_of(
    answers: QuickAnswers,
) -> None:
    run = small_run(12)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await go(pilot, run, "sample")
        sample = screen.query_one(BatchPage).rows[0].record
        text = " ".join(shown(app).replace("│", " ").split())
        for word in (*sample.query.split(), *sample.response.split(), *(sample.reference_response or "").split()):
            assert word in text
        assert f"{sample.scores['grammar']:.2f} x 1" in text and f"{sample.scores['neutral']:.2f} x 0.5" in text
        assert f"{sample.reward:+.2f}" in text
        await pilot.press("n")
        await until(pilot, lambda: "sample 1" in crumbs(app))
        await pilot.press("p")
        await until(pilot, lambda: "sample 0" in crumbs(app))
        await pilot.press("5", "enter")
        await until(pilot, lambda: "sample 5" in crumbs(app))
        await pilot.press("9", "9", "enter")
        await until(pilot, lambda: "there is no sample 99" in shown(app))


async def test_tokens_are_shaded_by_each_figure_with_a_legend_in_the_colours_of_the_theme(
    answers: QuickAnswers,
) -> None:
    run = small_run(12)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run, "tokens")
        page = screen.query_one(TokenPage)
        seen = []
        for _ in range(9):
            seen.append(page.shaded_by)
            if page.shaded_by in ("entropy", "probability"):
                assert "▁▂▃▄▅▆▇█" in shown(app)
            else:
                assert "--- -- - · + ++ +++" in shown(app)
            await pilot.press("v")
        assert seen == [
            "kl", "difference", "advantage", "value", "return", "ratio", "entropy", "probability", "reward",
        ]  # fmt: skip
        await pilot.press("V")
        assert page.shaded_by == "reward"
        legend = screen.query_one("#legend", Static)

        def colours() -> str:
            assert isinstance(legend.content, Content)
            return str(legend.content.spans)

        before = colours()
        await pilot.press("d")
        await until(pilot, lambda: colours() != before)


async def test_the_token_under_the_cursor_shows_all_its_figures_as_does_the_table(answers: QuickAnswers) -> None:
    run = small_run(12)
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await go(pilot, run, "tokens")
        page = screen.query_one(TokenPage)
        assert page.tokens is not None
        await pilot.press("right", "right")
        await until(pilot, lambda: "token 2" in crumbs(app))
        text = " ".join(shown(app).split())
        for name in ("kl", "entropy", "value", "advantage", "return", "reward", "ratio"):
            assert f"{page.tokens.columns[name][2]:.4f}".replace("-0.0000", "0.0000") in text
        await pilot.press("end")
        await until(pilot, lambda: f"token {len(page.tokens.ids) - 1}," in shown(app))  # type: ignore[union-attr]
        await pilot.press("t")
        await until(pilot, lambda: "lp-ref" in shown(app) and "</s>" in shown(app))
        await pilot.press("up", "home", "down")
        await until(pilot, lambda: "token 1" in crumbs(app))
        await pilot.press("t", "left")
        await until(pilot, lambda: "token 0" in crumbs(app) and "+++" in shown(app))


async def test_a_live_run_is_opened_followed_and_its_position_shown(answers: QuickAnswers) -> None:
    with held_run(batches=4) as (run, writer):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await go(pilot)
            await until(pilot, lambda: "◉ compared" in shown(app) and "⏸ paused" in shown(app))
            text = shown(app)
            assert "● generated" in text and "● scored" in text and "○ updated" in text
            assert "before its update" in text and "following" in text
            writer.state(RunState.RUNNING)
            Maker(6, 8).write(writer, 5, 0.0)
            write_batch(writer, BatchRecord(4, "updated", 1.0, 8, {}))
            write_batch(writer, BatchRecord(5, "updated", 2.0, 8, {}))
            writer.flush()
            await until(pilot, lambda: "▶ running" in shown(app) and step(app.screen) == 5)
            await pilot.press("up", "f")
            await until(pilot, lambda: step(app.screen) == 5)
        assert run.is_live()


@pytest.mark.parametrize(
    ("level", "seen_at", "made", "state"),
    [("batch", 15, 41, RunState.PAUSED), ("tokens", 131, 280, RunState.FINISHED), ("sample", 120, 140, None)],
)
async def test_the_list_of_batches_misses_nothing_that_came_while_another_page_was_shown(
    answers: QuickAnswers, level: str, seen_at: int, made: int, state: RunState | None
) -> None:
    maker = Maker(280, 2)
    run = make_run(maker, made=seen_at, state=None, last_stage="compared")
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot, run, level)
            if level == "batch":
                await pilot.press("f")
            for batch in range(seen_at, made + 1):
                writer.metrics(batch, maker.write(writer, batch, 0.0))
                write_batch(writer, BatchRecord(batch, "updated", 1.0, 2, {}))
                writer.flush()
                if batch % 25 == 0:
                    # It is read on the way as well.
                    await until(pilot, lambda at=batch: last_batch(screen) == at)  # type: ignore[misc]
            if state is not None:
                writer.state(state, Hold(made) if state is RunState.PAUSED else "")
            writer.flush()
            await until(pilot, lambda: last_batch(screen) == made)
            await pilot.press(*["escape"] * {"batch": 1, "sample": 2, "tokens": 3}[level])
            await until(pilot, lambda: screen.navigation.level == "run" and complete(app))
            for batch in (seen_at, seen_at + 1, made):
                await pilot.press("0", *str(batch), "enter")  # 0 first: a slow machine takes 1 to 4 for a screen's key
                await until(pilot, lambda at=batch: step(screen) == at and whole(app, at))  # type: ignore[misc]
        writer.close()


def whole(app: Any, batch: int) -> bool:
    """Whether all rows that are seen, and the titles of the charts, have their figures; this batch among them."""
    seen = [line for line in rows(app, "batch reward") if line[:1].isdigit()]
    row = next((line for line in seen if line.split()[0] == str(batch)), "")
    listed = [len(line.split("│")[0].split()) >= 8 and "…" not in line.split("│")[0] for line in seen]
    return "updated" not in row and bool(row) and all(listed) and f"reward  {row.split()[1]}" in shown(app)


async def test_rows_that_a_resume_made_anew_are_read_again(answers: QuickAnswers) -> None:
    maker = Maker(300, 2)
    run = make_run(maker, made=200, state=None)
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot, run)
            await pilot.press(*"0127", "enter")
            await until(pilot, lambda: step(screen) == 127 and whole(app, 127))
            await pilot.press("enter")
            await until(pilot, lambda: screen.navigation.level == "batch")
            writer.discard_after(100)
            writer.event("resume", "goes on from checkpoint-100")
            for batch in range(101, 202):
                writer.metrics(batch, maker.write(writer, batch, 0.0) | {"env/reward_mean": 77.0})
                write_batch(writer, BatchRecord(batch, "updated", 1.0, 2, {}))
            writer.flush()
            await until(pilot, lambda: last_batch(screen) == 201)
            await pilot.press("escape")
            await until(pilot, lambda: step(screen) == 127 and "reward  77.00" in shown(app) and whole(app, 127))
        writer.close()


async def test_the_line_of_stages_says_whose_they_are(answers: QuickAnswers) -> None:
    with held_run(batches=4) as (run, _):
        app = make_app(answers)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            screen = await go(pilot, run)

            def stages() -> str:
                return shown(app).splitlines()[2]

            await until(pilot, lambda: stages().startswith(" batch 4: ● generated") and "e edits a reward" in stages())
            await pilot.press("0", "2", "enter")
            await until(pilot, lambda: stages().startswith(" batch 4:") and "◉ compared" in stages())
            assert "e edits" not in stages()
            await pilot.press("enter")
            await until(pilot, lambda: "batch 2" in crumbs(app) and "8 of 8 samples" in shown(app))
            for key in ("e", "x"):
                await pilot.press(key)
                sentence = "batch 2 of ppo-1 was updated already, batch 4 not yet; here only a rating can be given"
                await until(pilot, lambda: sentence in [each.message for each in app._notifications])  # noqa: B023
                assert "reward of sample" not in shown(app) and control.waiting_files(run) == []
                app.clear_notifications()
            await pilot.press("enter")
            await until(pilot, lambda: screen.navigation.level == "sample" and stages().startswith(" batch 4:"))
            await pilot.press("enter")
            await until(pilot, lambda: screen.navigation.level == "tokens" and stages().startswith(" batch 4:"))
            await pilot.press("escape", "escape", "0", "4", "enter")
            await until(pilot, lambda: "batch 4" in crumbs(app) and stages().strip().startswith("● generated"))
            await pilot.press("e")
            await until(pilot, lambda: "reward of sample" in shown(app))


async def test_a_breakpoint_that_is_hit_is_reported_and_opened(answers: QuickAnswers) -> None:
    with held_run(batches=4) as (run, writer):
        app = make_app(answers)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            screen = await go(pilot, run)
            await pilot.press("home")
            writer.state(
                RunState.PAUSED, Hold(4, "compared", HoldReason.BREAKPOINT, "breakpoint kl > 8: kl is 9.5 (> 8)")
            )
            writer.flush()
            await until(pilot, lambda: screen.navigation.level == "batch" and "batch 4" in crumbs(app))
            await until(pilot, lambda: shown(app).count("breakpoint kl > 8: kl is 9.5 (> 8)") >= 2)


async def test_what_a_live_batch_learns_later_is_shown_as_it_comes(answers: QuickAnswers) -> None:
    with held_run(stage="generated", batches=3) as (run, writer):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot, run, "batch")
            page = screen.query_one(BatchPage)
            assert page.rows[0].record.reward is None and "so far generated" in shown(app)
            Maker(3, 8).write(writer, 3, 0.0, "scored")
            write_batch(writer, BatchRecord(3, "scored", 1.0, 8, {}))
            writer.flush()
            await until(pilot, lambda: page.rows[0].record.reward is not None and "so far scored" in shown(app))


async def test_text_from_outside_is_shown_letter_by_letter(answers: QuickAnswers) -> None:
    texts = ["[/b]", "[@click=app.quit]x[/]", "\x1b]0;evil\x07\x1b[2J", "形状是什么", "a\u202eb"]

    def odd(writer: JournalWriter) -> None:
        records = [
            SampleRecord(row, 0, text, text, True, 3, reference_response=f"{text} more", reward=1.0, kl=0.5)
            for row, text in enumerate(texts)
        ]
        write_samples(writer, 3, records)

    run = small_run(3, before_the_end=odd)
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        await go(pilot, run, "batch")
        assert "\x1b" not in shown(app) and "\u202e" not in shown(app)
        await pilot.press("enter")
        for row, text in enumerate(texts):
            await until(pilot, lambda row=row: f"sample {row}" in crumbs(app) and "Response" in shown(app))  # type: ignore[misc]
            assert "\x1b" not in shown(app) and "\u202e" not in shown(app)
            assert not text.startswith("[") or text[:12] in shown(app)
            await pilot.press("n")
        assert app.is_running


async def test_a_run_that_cannot_be_read_is_one_sentence(answers: QuickAnswers) -> None:
    run = small_run(3)
    with sqlite3.connect(run.db) as connection:
        connection.execute("PRAGMA user_version = 999")
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await go(pilot)
        screen.attach(run)
        await until(pilot, lambda: "newer" in shown(app))


async def nothing_read() -> bool:
    return False


async def test_a_run_without_a_batch_yet_says_what_it_does(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from looptop.engine.config import preset
    from looptop.engine.runs.folder import RunFolder

    run = RunFolder.create("ppo", preset("tiny", "ppo"))
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        writer.state(RunState.RUNNING)
        writer.event("data", "reading newsroom and loading the models")
        writer.flush()
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot)
            await until(pilot, lambda: "loading the models …" in shown(app))
            monkeypatch.setattr(palette, "SETTLE_SECONDS", 0.1)
            monkeypatch.setattr(screen.shown, "snapshot", None)  # not read yet
            monkeypatch.setattr(screen._loop, "_read", nothing_read)
            log = next(
                each for each in palette.commands_of(screen) if (each.context, each.action.label) == ("ppo", "log")
            )
            palette.run(app, log)
            await until(pilot, lambda: "the run is not read yet" in str([*app._notifications][-1].message))
            await pilot.press("enter", "n", "p", "m", "i", "E", "5", "enter")
            assert app.is_running
        writer.close()


async def test_a_run_of_another_kind_is_not_listed(answers: QuickAnswers) -> None:
    from tests.factories.vqa_runs import make_run as make_vqa_run

    make_vqa_run()
    small_run(3)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot)
        await until(pilot, lambda: "ppo-1" in shown(app))
        assert "vqa-1" not in shown(app)
        await pilot.press("alt+2")
        await until(pilot, lambda: "vqa-1" in shown(app))
        assert "ppo-1" not in shown(app)
        assert screen.query_one("#runs", OptionList).option_count == 1


async def test_a_run_with_damaged_rows_is_shown_down_to_its_tokens(answers: QuickAnswers) -> None:
    run = small_run(3, 4)
    with contextlib.closing(sqlite3.connect(run.db)) as connection:
        for change in (
            "UPDATE ppo_batches SET place = 'nowhere', time = 1e300, samples = 'x', seconds = '[1', marks = '{}'",
            "UPDATE ppo_samples SET kl = 'text', query = 7, ratio = x'ff', quality = '{\"a\": \"b\"}' WHERE row > 0",
            "UPDATE ppo_tokens SET tokens = substr(tokens, 1, 100)",
            "UPDATE events SET time = 9e999, text = 5, level = 7",
            "UPDATE facts SET value = '[{\"weight\": \"x\"}]' WHERE key = 'rewards'",
            "UPDATE states SET time = 'now'",
            "UPDATE metrics SET value = 'x' WHERE step = 2",
        ):
            connection.execute(change)
        connection.commit()
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run)
        await pilot.press("enter")
        await until(pilot, lambda: screen.navigation.level == "batch" and "samples" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: screen.navigation.level == "sample" and "= reward" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: screen.navigation.level == "tokens")
