"""The form of a new run: everything that can be set, searched, changed by arrows, typed, and edited as TOML."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.widget import Widget
from textual.widgets import Input

from looptop.engine.config import RunConfig, override, preset, to_dict
from looptop.engine.config.catalogue import settings_of
from looptop.engine.errors import LooptopError
from looptop.engine.estimates.records import EstimateReply
from looptop.engine.helpers.process import HelperState
from looptop.engine.journal.records import RunState
from looptop.engine.startup import host
from looptop.tui.app import LooptopApp
from looptop.tui.forms import external_editor
from looptop.tui.forms.settings_table import ValueField
from looptop.tui.ppo.screen import PpoScreen
from looptop.tui.terminal import driver
from looptop.tui.train.screen import TrainScreen
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.quick_estimates import KNOWN, QuickEstimates
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import resize, shown, until
from tests.tui.form_helpers import form_of, put, under_cursor, wrong

SIZE = (120, 40)
SIZES = [(80, 24), (120, 40), (200, 60)]


async def go(pilot: Any, key: str = "2") -> None:
    await pilot.press(f"alt+{key}")
    screen = TrainScreen if key == "2" else PpoScreen
    await until(pilot, lambda: isinstance(pilot.app.screen, screen) and form_of(pilot.app).table.count)


@pytest.mark.parametrize(("key", "kind"), [("2", "vqa"), ("3", "ppo")])
async def test_everything_that_can_be_set_is_shown_at_any_size(answers: QuickAnswers, key: str, kind: str) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZES[0]) as pilot:
        await go(pilot, key)
        table = form_of(app).table
        table.focus()
        settings = settings_of(preset("tiny", kind))
        for size in SIZES:
            await resize(pilot, *size)
            assert table.shown_keys == [setting.key for setting in settings]
            await pilot.press("end")
            await until(pilot, lambda: settings[-1].key in shown(app) and settings[-1].meaning[:40] in shown(app))
            await pilot.press("home")
            await until(pilot, lambda: "\u2039 tiny \u203a" in shown(app) and "Preset" in shown(app))
            for widget in form_of(app).walk_children(Widget):
                assert widget.region.right <= size[0], widget


async def test_arrows_move_and_choose_and_what_differs_is_marked(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        form = form_of(app)
        assert form.table.has_focus, "the arrows act at once"
        for _ in range(len(form.table.shown_keys)):
            if under_cursor(app) != "model.fusion":
                await pilot.press("down")
        await until(pilot, lambda: "[mean] tokens" in shown(app))
        await pilot.press("right")
        await until(pilot, lambda: "● fusion" in shown(app) and "in the preset: mean" in shown(app))
        await pilot.press("left")
        await until(pilot, lambda: "● fusion" not in shown(app) and "[mean] tokens" in shown(app))
        await pilot.press("space", "backspace")
        await until(pilot, lambda: "● fusion" not in shown(app) and form.draft.text("model.fusion") == "mean")
        assert not form.half_filled


async def test_the_search_finds_settings_by_what_they_do(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        table = form_of(app).table
        await pilot.press("slash", *"clip", "enter")
        await until(pilot, lambda: table.shown_keys == ["training.max_grad_norm"] and table.has_focus)
        await pilot.press("slash", *"pings", "enter")
        await until(pilot, lambda: "no setting matches" in shown(app))
        await pilot.press("space", "enter", "down", "escape")
        await until(pilot, lambda: len(table.shown_keys) > 40 and "num_train_epochs" in shown(app))


async def test_a_value_is_typed_in_its_row(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        form = form_of(app)
        form.table.go_to("training.learning_rate")
        await pilot.press("enter", *"fast")
        await until(
            pilot, lambda: "it must be a number" in " ".join(shown(app).split()) and "✗ learning_rate" in shown(app)
        )
        assert form.query_one(ValueField).region.y == next(
            y for y, line in enumerate(shown(app).splitlines()) if "✗ learning_rate" in line
        ), "the field is in the setting's row"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✗ training.learning_rate is 'fast'" in shown(app))
        form.table.go_to("training.learning_rate")
        await pilot.press("enter", *"3e-4", "down")
        await until(pilot, lambda: form.table.has_focus and under_cursor(app) == "training.lr_scheduler_type")
        assert form.draft.config is not None and form.draft.config.training.learning_rate == 3e-4
        form.table.go_to("data.source")
        await pilot.press("enter")
        form.query_one(ValueField).value = "[@click=app.quit]x[/] \x1b[2J"
        await until(pilot, lambda: "[@click=app.quit]x" in shown(app) and "\x1b" not in shown(app))
        await pilot.press("escape", "1")
        await until(pilot, lambda: app.current_mode == "ask")


async def test_a_setting_that_does_nothing_is_refused_at_its_row(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunConfig] = []
    monkeypatch.setattr(host, "launch", lambda config: started.append(config) or make_run(state=RunState.FINISHED))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await put(pilot, "training.eval_steps", "20")
        await until(pilot, lambda: "has no effect while training.eval_strategy is epoch" in shown(app))
        await pilot.press("home", "ctrl+s")
        await until(pilot, lambda: "✗ training.eval_steps has no effect" in shown(app))
        assert not started and under_cursor(app) == "training.eval_steps"
        await put(pilot, "training.eval_strategy", "steps")
        await until(pilot, lambda: not wrong(app, "training.eval_steps"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: started)
    assert started[0] == override(preset("tiny"), ["eval_steps=20", "eval_strategy=steps"])


async def test_another_preset_keeps_what_was_changed(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await put(pilot, "training.learning_rate", "3e-4")
        await put(pilot, "preset", "book")
        draft = form_of(app).draft
        assert draft.text("model.decoder") == "gpt2" and draft.text("training.learning_rate") == "3e-4"
        changed = [each.key for each in draft.settings if draft.differs(each.key)]
        assert changed == ["training.learning_rate"]


async def test_the_toml_of_what_would_be_started_is_shown(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await put(pilot, "training.learning_rate", "3e-4")
        await pilot.press("t")
        await until(pilot, lambda: "TOML: what differs" in shown(app) and "learning_rate = 0.0003" in shown(app))
        assert "max_grad_norm =" not in shown(app)
        await pilot.press("t")
        await until(pilot, lambda: "TOML: all of it" in shown(app) and "min_agreement = 1" in shown(app))
        await pilot.press("t")
        await until(pilot, lambda: "About this run" in shown(app))


def an_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Sets EDITOR to lines of Python that change the text `s` of the file."""
    script = tmp_path / "editor.py"
    script.write_text(
        f"import sys, pathlib\np = pathlib.Path(sys.argv[1])\ns = p.read_text()\n{code}\np.write_text(s)\n"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")


@pytest.mark.slow
async def test_the_configuration_is_edited_in_an_editor_and_nothing_is_lost(
    answers: QuickAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(answers)
    monkeypatch.setattr(LooptopApp, "suspend", lambda self: contextlib.nullcontext())
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await put(pilot, "training.seed", "7")
        form = form_of(app)
        an_editor(tmp_path, monkeypatch, "s = s.replace('learning_rate = 0.002', 'learning_rate = fast')")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "line" in shown(app) and "^e opens your text again" in " ".join(shown(app).split()))
        assert form.half_filled and form.draft.text("training.learning_rate") == "0.002"
        an_editor(tmp_path, monkeypatch, "assert 'fast' in s; s = s.replace('= fast', '= \"slow\"')")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "training.learning_rate is 'slow'" in " ".join(shown(app).split()))
        an_editor(tmp_path, monkeypatch, "s = s.replace('= \"slow\"', '= 0.5')")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: form.draft.text("training.learning_rate") == "0.5")
        assert form.draft.text("training.seed") == "7"
        assert "opens your text again" not in shown(app)
        an_editor(tmp_path, monkeypatch, "sys.exit(3)")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "exit code 3; nothing was changed" in " ".join(shown(app).split()))


def test_the_editor_is_the_one_that_a_person_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "code --wait")
    monkeypatch.setenv("EDITOR", "ed")
    assert external_editor.editor_command() == ["code", "--wait"]
    monkeypatch.delenv("VISUAL")
    assert external_editor.editor_command() == ["ed"]
    monkeypatch.delenv("EDITOR")
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/vi" if name == "vi" else None)
    assert external_editor.editor_command() == ["vi"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LooptopError, match="set EDITOR"):
        external_editor.editor_command()
    monkeypatch.setenv("EDITOR", "vi '")
    with pytest.raises(LooptopError, match="not a command"):
        external_editor.editor_command()


async def test_quitting_asks_where_a_form_is_half_filled(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await put(pilot, "training.learning_rate", "3e-4")
        await pilot.press("escape", "1", "q")
        await until(pilot, lambda: "Not kept: a form of a new run, half filled in." in shown(app))
        await pilot.press("escape", "2")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        form_of(app).table.go_to("training.learning_rate")
        await pilot.press("backspace", "q")
        await until(pilot, lambda: app._exit)


async def test_the_form_takes_no_text_before_somebody_goes_into_it(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("2", "3"):
            await pilot.press(key)
            await until(pilot, lambda: app.current_mode != "ask" and "no runs here yet" in shown(app))
            await pilot.press("question_mark")
            await until(pilot, lambda: "In the form of a new run" in shown(app))
            await pilot.press("escape")
            await until(pilot, lambda: "In the form of a new run" not in shown(app))
            assert not any(field.value or field.has_focus for field in app.screen.query(Input))
            await pilot.press("1")
            await until(pilot, lambda: app.current_mode == "ask")


async def test_what_the_run_needs_is_shown_before_it_starts_at_any_size(
    answers: QuickAnswers, estimates: QuickEstimates
) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZES[-1]) as pilot:
        await go(pilot)
        for size in reversed(SIZES):
            await resize(pilot, *size)
            if size[0] < 110:
                await until(pilot, lambda: "About this run" not in shown(app))
                await pilot.press("t")
            await until(
                pilot, lambda: "36,694 on 3,800 images" in shown(app) and "missing image: 2 (7.png" in shown(app)
            )
            if size[0] < 110:
                form_of(app).query_one("#form-pane").focus()
                await pilot.press("end")
            await until(pilot, lambda: "27.0 MiB" in shown(app) and "507.0 MiB" in shown(app))
            if size == SIZE:
                assert "720" in shown(app) and "1.1 million" in shown(app) and "501,888" in shown(app)
        assert len(estimates.asked) == 1
        await put(pilot, "training.per_device_train_batch_size", "64")
        await until(pilot, lambda: len(estimates.asked) == 2)
        assert estimates.asked[1]["training"]["per_device_train_batch_size"] == 64  # type: ignore[index]


async def test_a_folder_without_a_table_is_refused_while_it_is_typed(
    answers: QuickAnswers, estimates: QuickEstimates
) -> None:
    estimates.reply = EstimateReply(
        error="/x holds no table; put one into it", key="data.source", state=HelperState.READY
    )
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await until(pilot, lambda: "✗ source" in shown(app) and "/x holds no table" in shown(app))
        estimates.reply = KNOWN
        await put(pilot, "data.max_images", "5")
        await until(pilot, lambda: "✗ source" not in shown(app) and "36,694" in shown(app))


def test_the_editor_is_seen_while_output_of_libraries_goes_into_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    monkeypatch.setattr(driver, "_screen", driver.TerminalFile(terminal))

    def run(command: list[str], **options: Any) -> Any:
        os.write(options["stdout"], b"seen 1")
        os.write(options["stderr"], b"seen 2")
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    try:
        assert external_editor._run(["vi"]) == 0
        seen = b""
        while not seen.endswith(b"2"):
            seen += os.read(keyboard, 100)
        assert seen == b"seen 1seen 2"
    finally:
        os.close(keyboard)
        os.close(terminal)


async def test_data_that_cannot_be_used_start_no_run_until_they_are_mended(
    answers: QuickAnswers, estimates: QuickEstimates, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunConfig] = []
    monkeypatch.setattr(
        host, "launch", lambda config, **_: started.append(config) or make_run(1, state=RunState.FINISHED)
    )
    estimates.reply = EstimateReply(error="no question can be used", key="data.source", state=HelperState.READY)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await until(pilot, lambda: "no question can be used" in shown(app))
        estimates.reply = KNOWN
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✗ no question can be used" in shown(app))
        await until(pilot, lambda: "36,694 on 3,800 images" in shown(app))
        assert not started
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(started))


async def test_the_estimating_process_ends_once_nothing_changes(
    answers: QuickAnswers, estimates: QuickEstimates, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()
    monkeypatch.setattr(estimates, "close", closed.set)
    monkeypatch.setattr("looptop.tui.forms.new_run.ESTIMATOR_SECONDS", 0.01)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await until(pilot, closed.is_set)


async def test_the_list_of_runs_follows_them(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await until(pilot, lambda: "no runs here yet" in shown(app))
        make_run(1, state=RunState.FINISHED)
        await until(pilot, lambda: "✓ finished" in shown(app) and "no runs here yet" not in shown(app))


async def test_n_makes_a_form_with_the_settings_of_a_run_a_new_one_unless_they_were_changed(
    answers: QuickAnswers,
) -> None:
    run = make_run()
    run.write_settings(to_dict(override(preset("tiny"), ["training.seed=5"])))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        for changed in (False, True):
            app.duplicate(run)
            await until(pilot, lambda: "New run, like vqa-1" in shown(app))
            form = form_of(app)
            assert form.draft.text("training.seed") == "5"
            if changed:
                await put(pilot, "training.max_steps", "20")
            await pilot.press("n")
            await until(pilot, lambda changed=changed: ("New run, like vqa-1" in shown(app)) is changed)  # type: ignore[misc]
            assert form.origin == (str(run.path) if changed else "")
            assert form.draft.text("training.seed") == ("5" if changed else str(preset("tiny").training.seed))
