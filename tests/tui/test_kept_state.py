"""What the app keeps from one start to the next, and what `settings.toml` changes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from looptop.tui.kept_state import FILE, MAX_RECENT, KeptState, StateFile
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.support import eventually
from tests.tui.conftest import until


async def test_the_theme_and_the_screen_come_back(answers: QuickAnswers) -> None:
    async with (app := make_app(answers)).run_test() as pilot:
        assert app.current_mode == "ask"
        await pilot.press("d", "4")
        await until(pilot, lambda: app.current_mode == "runs")
    eventually(lambda: StateFile().state.screen == "runs")
    async with (again := make_app(answers)).run_test() as pilot:
        await until(pilot, lambda: again.current_mode == "runs")
        assert again.theme == "looptop-light"


async def test_a_setting_replaces_the_last_theme(home: Path, answers: QuickAnswers) -> None:
    (home / "settings.toml").write_text('theme = "light"\n')
    async with (app := make_app(answers)).run_test() as pilot:
        assert app.theme == "looptop-light"
        await pilot.press("d")
        assert app.theme == "looptop-dark"
    async with (again := make_app(answers)).run_test():
        assert again.theme == "looptop-light"


async def test_a_wrong_setting_is_shown_at_the_start(home: Path, answers: QuickAnswers) -> None:
    (home / "settings.toml").write_text("[theme]\nname = 1\n")
    async with (app := make_app(answers)).run_test() as pilot:
        await until(pilot, lambda: any("it must be one of" in notice.message for notice in app._notifications))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"images": 5}', b"\xff"])
def test_a_damaged_state_counts_as_empty(home: Path, content: bytes) -> None:
    (home / FILE).write_bytes(content)
    assert StateFile().state == KeptState()


async def test_an_unknown_screen_and_theme_count_as_none(home: Path, answers: QuickAnswers) -> None:
    (home / FILE).write_bytes(b'{"screen": "no", "theme": "no"}')
    async with (app := make_app(answers)).run_test():
        assert (app.current_mode, app.theme) == ("ask", "looptop-dark")


def test_recent_images_and_models_are_kept_the_latest_first(home: Path, tmp_path: Path) -> None:
    file = StateFile()
    strange = tmp_path / "caf\udce9.png"  # a name that is not UTF-8
    for number in range(MAX_RECENT + 5):
        file.keep_asked(tmp_path / f"{number}.png", "bundled")
    file.keep_asked(strange, "vqa-1")
    file.keep_asked(tmp_path / "7.png", "bundled")
    eventually(lambda: StateFile().state == file.state)
    again = StateFile()
    assert again.recent_images[:2] == [tmp_path / "7.png", strange]
    assert len(again.recent_images) == MAX_RECENT
    assert again.recent_models == ("bundled", "vqa-1")
    assert (home / FILE).stat().st_mode & 0o777 == 0o600


def test_a_home_that_cannot_be_written_keeps_nothing_and_says_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPTOP_READONLY", "1")
    file = StateFile()
    file.keep_theme("looptop-light")
    assert file.state.theme == "looptop-light"
    assert not (home / FILE).exists()
