"""The form of a new run in tests: a setting is chosen and typed as a person does it."""

from __future__ import annotations

from typing import Any

from looptop.tui.forms.new_run import NewRunForm
from looptop.tui.forms.settings_table import ValueField
from tests.tui.conftest import until


def form_of(app: Any) -> NewRunForm:
    form = app.screen.query_one(NewRunForm)
    assert isinstance(form, NewRunForm)
    return form


async def put(pilot: Any, key: str, text: str) -> None:
    """Chooses a word of the setting with the arrow key, or types the text into its field."""
    await until(pilot, lambda: form_of(pilot.app).table.count)
    form = form_of(pilot.app)
    form.table.focus()
    form.table.go_to(key)
    words = next(setting.words for setting in form.draft.settings if setting.key == key)
    if text in words:
        for _ in words:
            if form.draft.text(key) != text:
                await pilot.press("right")
        assert form.draft.text(key) == text
        return
    await pilot.press("enter")
    field = form.query_one(ValueField)
    await until(pilot, lambda: field.has_focus)
    field.value = text
    await until(pilot, lambda: form.draft.text(key) == text.strip() or not text)
    await pilot.press("enter")
    await until(pilot, lambda: form.table.has_focus)


def wrong(app: Any, key: str) -> str:
    """What the form says is wrong with a setting."""
    return form_of(app).table.wrong_with(key)


def under_cursor(app: Any) -> str:
    """The key of the setting under the cursor."""
    setting = form_of(app).table.setting
    assert setting is not None
    return setting.key
