"""Shows the configurations of runs side by side: what differs, or all settings, what differs first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget

from looptop.engine.config.differences import side_by_side
from looptop.engine.text import counted
from looptop.tui.actions import bindings
from looptop.tui.screens.base import Overlay
from looptop.tui.text import cell
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.fitted_text import FittedText

WIDEST_VALUE = 44


class Configurations(Overlay[None]):
    """A table with a column for each run, and a line for each setting that differs, or for every setting."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("configurations")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("configurations",)

    def __init__(self, runs: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """`runs`: name and configuration of each."""
        super().__init__()
        self._names = [name for name, _ in runs]
        self._lines = side_by_side([settings for _, settings in runs])
        self._are_several = len(runs) > 1
        self._shows_all = False

    def compose(self) -> Iterable[Widget]:
        """One text, which can be scrolled."""
        box = VerticalScroll(FittedText(self._text, id="configurations"), classes="box -log")
        box.border_title = "Configurations side by side" if self._are_several else "Configuration"
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Focuses the text, so that the arrows scroll it."""
        self.query_one(VerticalScroll).focus()

    def hides_key(self, action: str) -> bool:
        """Whether the bottom line leaves out an action, since it would do nothing now."""
        return action == "all" and not self._are_several

    def action_all(self) -> None:
        """Shows all settings, or only those that differ."""
        self._shows_all = not self._shows_all
        self.query_one(FittedText).make_again()

    def _text(self, width: int) -> Content:
        """The table; its columns share the width."""
        room = width - 2
        differ = [line for line in self._lines if len(set(line[1])) > 1]
        same = [line for line in self._lines if len(set(line[1])) <= 1]
        if not self._lines:
            return Content.styled("there is no configuration", "$text-muted")
        key_width = min(max(len(key) for key, _ in self._lines), max(16, room // 3))
        column = max(8, min(WIDEST_VALUE, (room - key_width - 2) // len(self._names) - 1))
        lines = [_line("", self._names, key_width, column, "bold")]
        lines += [_line(key, values, key_width, column, "$text-warning bold", "≠ ") for key, values in differ]
        if not differ and self._are_several:
            lines.append(Content.styled("  no setting differs", "$text-muted"))
        if self._shows_all or not self._are_several:
            lines += [_line(key, values, key_width, column, "") for key, values in same]
        elif same:
            are, them = ("is", "it") if len(same) == 1 else ("are", "them")
            words = f"  {counted(len(same), 'setting')} {are} the same in all runs; a shows {them}"
            lines += [Content(""), Content.styled(words, "$text-muted")]
        return Content("\n").join(lines)


def _line(key: str, values: Sequence[str | None], key_width: int, width: int, style: str, mark: str = "  ") -> Content:
    return Content.assemble(
        (mark, "$text-warning bold"),
        cell(key, key_width, "$text-muted"),
        *(Content(" ") + cell("-" if value is None else value, width, style) for value in values),
    )
