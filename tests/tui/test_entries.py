"""Events and logs: wrapped, opened, searched, filtered by level, with counts of warnings and errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from looptop.engine.journal.reader import Event
from looptop.engine.journal.writer import JournalWriter
from looptop.tui.app import LooptopApp
from looptop.tui.ppo.screen import PpoScreen
from looptop.tui.screens.entries import Entries
from looptop.tui.screens.log_reader import LogReader
from looptop.tui.train.screen import TrainScreen
from looptop.tui.widgets.entries import Entry, counts, counts_text, lines_of, matches, pattern_of, wrapped
from looptop.tui.widgets.entry_list import EntryList
from looptop.tui.widgets.events_panel import EventsPanel, entry_of, last_lines
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.synthetic_ppo import Maker
from tests.factories.synthetic_ppo import make_run as ppo_run
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import resize, shown, until

LONG = "the training loss stays above its start: 236.4 at step 31, 0.84 before training. To try: less of everything"


# Lines --------------------------------------------------------------------------------------------------------------


@given(text=st.text(alphabet="ab 漢é", max_size=60), width=st.integers(2, 20))
def test_wrapped_lines_fit_and_lose_nothing_but_the_spaces_between_them(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert re.sub(" ", "", "".join(lines)) == text.replace(" ", "")


def test_lines_break_at_spaces_where_there_are_some() -> None:
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("one twothree", 3) == ["one", "two", "thr", "ee"]
    assert wrapped("", 5) == [""]
    assert wrapped("漢字漢字", 3) == ["漢", "字", "漢", "字"]


def test_levels_filter_and_count_and_what_continues_an_entry_is_not_counted() -> None:
    entries = [Entry("a"), Entry("b", "warning"), Entry("c", "error"), Entry("d", "error", continued=True)]
    assert counts(entries) == (1, 1) and counts_text(1, 1) == "1 warning, 1 error" and counts_text(0, 0) == ""
    for level, texts in (("info", "abcd"), ("warning", "bcd"), ("error", "cd")):
        assert "".join(line.text for line in lines_of(entries, 40, level)) == texts
        assert matches(entries, pattern_of("D"), level) == [3]
    assert lines_of(entries, 40, start=2) == lines_of(entries, 40)[2:]


def test_the_panel_shows_the_newest_whole_and_cuts_the_first() -> None:
    def event(number: int, text: str, level: str = "info") -> Event:
        return Event(number, 0.0, None, "data", level, text)

    entries = [entry_of(event(1, LONG, "warning")), entry_of(event(2, "the end"))]
    lines = last_lines(entries, 40, 3).plain.splitlines()
    assert len(lines) == 3 and lines[-1].endswith("the end") and lines[1].endswith(" …")
    assert "! the training loss" in lines[0] and all(len(line) <= 40 for line in lines)
    whole = last_lines(entries, 40, 10).plain
    assert "To try:" in whole and "…" not in whole


# The log ------------------------------------------------------------------------------------------------------------

LOG = """\
2026-11-28 08:33:39 running
2026-11-28 08:33:43 warning: a model is large
2026-11-28 08:33:44,123 WARNING transformers: it is deprecated
lib.py:3: UserWarning: it is old
2026-11-28 08:33:45 Traceback (most recent call last):
  File "x.py", line 1, in <module>

ValueError: no
printed by somebody
2026-11-28 08:33:46 error: ValueError: no
 10%\r 90%\rdone
"""


def test_a_log_line_has_its_level_and_a_traceback_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(LOG.encode())
    path.chmod(0o600)
    entries = LogReader(path).poll()
    assert counts(entries) == (3, 2)
    assert [entry.level[0] for entry in entries] == list("iwwweeeeiei")
    assert [entry.continued for entry in entries].count(True) == 3
    assert entries[-1].text == "done"


def test_what_is_added_is_read_and_a_line_that_grows_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    reader = LogReader(path)
    assert reader.poll() == ()
    path.write_text("one\ntw")
    assert [entry.text for entry in reader.poll()] == ["one", "tw"]
    with path.open("a") as file:
        file.write("o\nthree")
    assert [entry.text for entry in reader.poll()] == ["one", "two", "three"]
    path.write_text("anew\n")
    assert [entry.text for entry in reader.poll()] == ["anew"]


def test_more_than_the_last_64_kib_of_a_log_is_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {number}\n" for number in range(20_000)))
    monkeypatch.setattr("looptop.tui.screens.log_reader.FIRST_BYTES", 64 * 1024)
    reader = LogReader(path)
    first = reader.poll()
    assert first[-1].text == "line 19999" and 1000 < len(first) < 20_000
    assert len(reader.poll()) == 20_000 and reader.left_out == 0 and reader.is_whole
    monkeypatch.setattr("looptop.tui.screens.log_reader.MAX_BYTES", 1000)
    monkeypatch.setattr("looptop.tui.screens.log_reader.FIRST_BYTES", 1000)
    reader = LogReader(path)
    entries = reader.poll()
    assert reader.is_whole
    assert 70 < len(entries) < 100 and entries[-1].text == "line 19999"
    assert all(entry.text.startswith("line ") for entry in entries)
    assert reader.left_out == path.stat().st_size - sum(len(entry.text) + 1 for entry in entries)


# On the screen ------------------------------------------------------------------------------------------------------


def with_events(writer: JournalWriter) -> None:
    writer.event("alert", LONG, 31, "warning", code="loss_above_start")
    writer.event("failed", "[/b] a failure \x1b[31m", 40, "error")


def app_on(answers: QuickAnswers) -> LooptopApp:
    return make_app(answers, attach=make_run(extra=with_events))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_events_are_counted_wrapped_and_opened_by_enter(answers: QuickAnswers, size: tuple[int, int]) -> None:
    app = app_on(answers)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "1 warning, 1 error" in shown(app))
        assert isinstance(app.screen, TrainScreen)
        if size[0] > 100:
            panel = app.screen.query_one(EventsPanel)
            await until(pilot, lambda: "less of" in shown(app) and "✗ [/b] a failure" in shown(app))
            panel.focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Entries) and "To try: less of" in shown(app))
        assert "Events of vqa-1: 1 warning, 1 error" in shown(app) and "checkpoint of step 120" in shown(app)
        await pilot.press("v")
        await until(pilot, lambda: "checkpoint of step 120" not in shown(app))
        assert "warnings and errors" in shown(app) and "To try: less of" in shown(app)
        await pilot.press("v")
        await until(pilot, lambda: "To try: less of" not in shown(app) and "[/b] a failure ␛[31m" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))


async def test_a_log_is_searched_from_its_end_and_followed_until_one_scrolls_up(answers: QuickAnswers) -> None:
    app = app_on(answers)
    assert app._opened_on is not None
    log = app._opened_on.log
    log.write_text("".join(f"line {number}{' needle' if number in (7, 300) else ''}\n" for number in range(500)))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "1 warning, 1 error" in shown(app))
        await pilot.press("l")
        await until(pilot, lambda: "line 499" in shown(app) and "followed" in shown(app))
        entries = app.screen.query_one(EntryList)
        await pilot.press("slash", *"NEEDLE", "enter")
        await until(pilot, lambda: "line 300 needle" in shown(app) and "'NEEDLE': 2 of 2" in shown(app))
        assert not entries.follow
        await pilot.press("n")
        await until(pilot, lambda: "line 7 needle" in shown(app) and "'NEEDLE': 1 of 2" in shown(app))
        await pilot.press("N")
        await until(pilot, lambda: "line 300 needle" in shown(app))
        with log.open("a") as file:
            file.write("warning: more\n")
        await until(pilot, lambda: "Log of vqa-1: 1 warning" in shown(app))
        assert "line 300 needle" in shown(app)
        await pilot.press("f")
        await until(pilot, lambda: "warning: more" in shown(app) and entries.follow)
        await pilot.press("pageup")
        await until(pilot, lambda: "warning: more" not in shown(app))
        with log.open("a") as file:
            file.write("and more\n")
        await until(pilot, lambda: len(entries.entries) == 502 and not entries.follow)
        assert "and more" not in shown(app)
        await pilot.press("slash", *"nowhere", "enter")
        await until(pilot, lambda: "not found" in shown(app))
        await resize(pilot, 60, 30)
        await pilot.press("slash", "q", "escape")
        await until(pilot, lambda: isinstance(app.screen, Entries) and entries.has_focus)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))


async def test_the_events_of_several_runs_are_one_list_with_their_names(answers: QuickAnswers) -> None:
    app = app_on(answers)
    other = make_run(extra=lambda writer: writer.event("data", "of the other", 3, "warning"))
    async with app.run_test(size=(110, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        assert app._opened_on is not None
        app.open_charts([app._opened_on, other])
        await until(pilot, lambda: "vqa-2 ! of the other" in shown(app))
        await pilot.press("L")
        await until(pilot, lambda: "Events of vqa-1, vqa-2: 2 warnings, 1 error" in shown(app))
        assert "vqa-2 ! of the other" in shown(app) and "vqa-1 ✗ [/b] a failure" in shown(app)


async def test_the_events_of_a_ppo_run_are_opened_in_any_terminal(answers: QuickAnswers) -> None:
    run = ppo_run(Maker(3, 8))
    app = make_app(answers, attach=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, PpoScreen) and "finished" in shown(app))
        await pilot.press("L")
        await until(pilot, lambda: f"Events of {run.id}" in shown(app))
