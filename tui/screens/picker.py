"""A list to choose from: typing filters, arrows move, enter chooses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from looptop.tui.actions import bindings
from looptop.tui.screens.base import Overlay
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.options import Options


@dataclass(frozen=True)
class Choice:
    """One line of the list."""

    name: str
    """The result if this line is chosen."""
    line: Content


class Picker(Overlay[str]):
    """A list with a filter. Returns the name of the chosen line, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("picker")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("picker",)

    def __init__(self, title: str, choices: Sequence[Choice], empty: str) -> None:
        super().__init__()
        self._title, self._choices, self._empty = title, choices, empty

    def compose(self) -> Iterable[Widget]:
        """A field above a list."""
        box = Vertical(
            Field(placeholder="type to filter", id="filter"),
            Options(*self._options(""), id="choices"),
            Static(self._empty, id="empty"),
            classes="box",
        )
        box.border_title = safe(self._title)
        box.set_class(not self._choices, "-empty")
        yield box
        yield KeyBar()

    def _options(self, words: str) -> list[Option]:
        wanted = words.lower().split()
        kept = [each for each in self._choices if all(word in each.line.plain.lower() for word in wanted)]
        return [Option(each.line, id=str(self._choices.index(each))) for each in kept]

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        choices = self.query_one("#choices", OptionList)
        choices.clear_options()
        choices.add_options(self._options(event.value))
        choices.highlighted = 0 if choices.option_count else None

    @on(Input.Submitted, "#filter")
    def _take_highlighted(self) -> None:
        self.query_one("#choices", OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[int(event.option.id or 0)].name)

    def action_move(self, rows: int) -> None:
        """Moves in the list while the focus stays in the field."""
        choices = self.query_one("#choices", OptionList)
        (choices.action_cursor_down if rows > 0 else choices.action_cursor_up)()
