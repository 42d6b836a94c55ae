"""The settings of a new run as a table: group by group, each with its value, the preset's value and what it does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Blur, Resize
from textual.geometry import Offset
from textual.message import Message

from looptop.engine.config.catalogue import PRESET, Setting
from looptop.tui.actions import bindings
from looptop.tui.forms.draft import Draft
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.table import Cell, Column, Row, Table, fitted

DIFFERS, WRONG = "●", "✗"
"""Marks before a setting: its value is not the preset's; its value is wrong."""

COLUMNS = (
    Column("setting", "setting", 29, text=True),
    Column("value", "value", 20, least=14, text=True),
    Column("preset", "in the preset", 16, text=True, from_width=104),
    Column("meaning", "what it does", 60, least=8, text=True),
)

MIN_NAME, MIN_VALUE = 12, 17
"""The narrowest columns of names and values, in cells."""

NOTHING = "\u2013"
"""Stands for an empty value."""


class ValueField(Field):
    """The field in which the value of a setting is typed, in its row of the table."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("value")]

    @dataclass
    class Left(Message):
        """The field was left."""

        rows: int = 0
        """How many rows to move, after the key that left it."""
        by_key: bool = True

    def action_leave_field(self, rows: int) -> None:
        """Leaves the field by a key."""
        self.post_message(self.Left(rows))

    def _on_blur(self, event: Blur) -> None:
        super()._on_blur(event)
        self.post_message(self.Left(by_key=False))


class SettingsTable(Table):
    """The settings of a draft, of which those that match the search are shown.

    Args:
        draft: The new run's settings.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("settings")]

    @dataclass
    class EditWanted(Message):
        """A person wants to type the value of a setting."""

        key: str

    @dataclass
    class Edited(Message):
        """A setting has another value."""

        key: str

    def __init__(self, draft: Draft) -> None:
        super().__init__(COLUMNS, id="settings")
        self.draft = draft
        self.start_errors: dict[str, str] = {}
        """What was seen to be wrong with a setting when a start was tried, by its key."""
        self.empty_text = "no setting matches; esc shows all"
        self._words: list[str] = []
        self._lines: list[Setting | str] = []
        self.show_settings()

    # What is shown.

    @property
    def setting(self) -> Setting | None:
        """The setting under the cursor."""
        line = self._lines[self.cursor] if self._lines else None
        return line if isinstance(line, Setting) else None

    @property
    def shown_keys(self) -> list[str]:
        """The keys of the settings that match the search."""
        return [line.key for line in self._lines if isinstance(line, Setting)]

    def search(self, text: str) -> None:
        """Shows only settings whose key, group or meaning has all of these words."""
        self._words = text.lower().split()
        self.show_settings()

    def show_settings(self, key: str | None = None) -> None:
        """Shows the draft's settings anew.

        Args:
            key: The setting under the cursor; None for the one that is under it now, if it is still shown.
        """
        wanted = key or (self.setting.key if self.setting else "")
        self._lines = []
        group = ""
        for setting in self.draft.settings:
            if not self._matches(setting):
                continue
            if setting.group != group:
                group = setting.group
                self._lines.append(group)
            self._lines.append(setting)
        keys = [line.key if isinstance(line, Setting) else "" for line in self._lines]
        self.fill(len(self._lines), self._row, cursor=keys.index(wanted) if wanted in keys else 0)
        self.post_message(self.Moved(self, self.cursor))

    def go_to(self, key: str) -> None:
        """Puts the cursor on a setting; shows all settings if the search hides it."""
        if key not in self.shown_keys:
            self._words = []
        self.show_settings(key)

    def wrong_with(self, key: str) -> str:
        """What is wrong with a setting; empty if nothing is."""
        return self.draft.errors.get(key) or self.start_errors.get(key, "")

    def value_spot(self) -> tuple[Offset, int]:
        """The position and width of the value under the cursor, within the table."""
        start, width = self.span_of("value")
        return Offset(start, self.HEADER_HEIGHT + self.cursor - self.scroll_offset.y), width

    def _matches(self, setting: Setting) -> bool:
        text = f"{setting.key} {setting.group} {setting.meaning}".lower()
        return all(word in text for word in self._words)

    def _row(self, index: int) -> Row:
        line = self._lines[index]
        if isinstance(line, str):
            return [Cell(line)] * len(COLUMNS)
        key, draft = line.key, self.draft
        wrong, differs = self.wrong_with(key), draft.differs(key)
        mark = WRONG if wrong else DIFFERS if differs else " "
        text = draft.text(key) or NOTHING
        if line.words and not line.other_words and not line.several:
            text = f"\u2039 {text} \u203a"
        return [
            Cell(f"{mark} {line.name}", "bad" if wrong else "accent" if differs else ""),
            Cell(text, "bad" if wrong else "bold" if differs else ""),
            Cell("" if key == PRESET else draft.preset_text(key) or NOTHING, "muted"),
            Cell(wrong or line.meaning.replace("`", ""), "bad" if wrong else "muted"),
        ]

    def row_line(self, row: int, line: int, base: Style) -> list[Segment]:
        """A setting, or the name of a group."""
        entry = self._lines[row]
        if isinstance(entry, str):
            title = entry if entry == "PPO" else entry.capitalize()
            return [Segment(fitted(title, self.size.width), base + self.style_of("primary") + Style(bold=True))]
        return super().row_line(row, line, base)

    def on_resize(self, event: Resize) -> None:
        """Leaves room for the values where the table is too narrow for whole names; the base class does the rest."""
        narrow = max(MIN_NAME, event.size.width - MIN_VALUE)
        first = replace(COLUMNS[0], width=min(COLUMNS[0].width, narrow))
        self.fill(self.count, self._row, columns=(first, *COLUMNS[1:]))

    # Moving: the cursor is never on the name of a group.

    def validate_cursor(self, cursor: int) -> int:
        """Limits the cursor to settings."""
        cursor = super().validate_cursor(cursor)
        return cursor + 1 if self._lines and isinstance(self._lines[cursor], str) else cursor

    def watch_cursor(self, before: int, now: int) -> None:
        """Shows the name of the group above its first setting too."""
        super().watch_cursor(before, now)
        if now and isinstance(self._lines[now - 1], str) and self.scroll_offset.y > now - 1:
            self.scroll_to(y=now - 1, animate=False, immediate=True)

    def action_move(self, rows: int) -> None:
        """Moves the cursor over the names of groups."""
        cursor = self.cursor + rows
        if 0 <= cursor < self.count and isinstance(self._lines[cursor], str):
            cursor += rows
        if 0 <= cursor < self.count:
            self.cursor = cursor

    # Changing.

    def action_step_option(self, by: int) -> None:
        """Takes the next or previous option of the setting, if it has options."""
        setting = self.setting
        if setting is not None and self.draft.turn(setting.key, by):
            self.post_message(self.Edited(setting.key))

    def action_choose(self) -> None:
        """Lets a person type the value; where there are only options to choose from, takes the next."""
        setting = self.setting
        if setting is None:
            return
        if setting.words and not setting.other_words and not setting.several:
            self.action_step_option(1)
        else:
            self.post_message(self.EditWanted(setting.key))

    def action_reset(self) -> None:
        """Takes the preset's value."""
        if self.setting is not None:
            self.draft.reset(self.setting.key)
            self.post_message(self.Edited(self.setting.key))
