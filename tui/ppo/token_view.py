"""A response's tokens as text, each shaded by a figure, with its sign below. Only the lines on the screen are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from looptop.engine.ppo.records import TokenTable
from looptop.engine.text import visible
from looptop.tui.actions import bindings
from looptop.tui.ppo.shading import DARK, LIGHT, Scale
from looptop.tui.widgets.style_cache import StyleCache
from looptop.tui.widgets.table import fitted

LINE_HEIGHT = 3
"""Screen lines for a line of tokens: the text, the signs, an empty line."""
WIDEST_TOKEN = 60
"""The largest width of a token in cells; a longer one is cut."""


class LaidOut(NamedTuple):
    """The position of a token in the laid-out text."""

    line: int
    left: int
    text: str
    width: int


class TokenView(StyleCache, ScrollView, can_focus=True, inherit_bindings=False):
    """Shaded tokens, one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("tokens")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"tokens--cursor", "tokens--sign", "tokens--out", "tokens--note"}

    @dataclass
    class Moved(Message):
        """Another token is under the cursor."""

        index: int

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._table: TokenTable | None = None
        self._values: Sequence[float] = ()
        self._scale = Scale("signed", -1, 1)
        self._tokens: list[LaidOut] = []
        self._begins: list[int] = []
        """The first token of each line."""
        self.cursor = 0

    def show(self, table: TokenTable | None, values: Sequence[float], scale: Scale) -> None:
        """Shows tokens.

        Args:
            table: The tokens of one response; None if they are not known yet.
            values: One figure for each token.
            scale: How the figures are shown.
        """
        fresh = table is None or self._table is None or table.ids != self._table.ids
        self._table, self._values, self._scale = table, values, scale
        if fresh:
            self.cursor = min(self.cursor, max(0, len(table.ids) - 1)) if table is not None else 0
            self._lay_out()
        self.refresh()

    def action_move(self, by: int) -> None:
        """Moves the cursor by tokens."""
        self.go_to(self.cursor + by)

    def action_line(self, by: int) -> None:
        """Moves the cursor to the token above or below."""
        if not self._tokens:
            return
        current = self._tokens[self.cursor]
        line = max(0, min(current.line + by, len(self._begins) - 1))
        end = self._begins[line + 1] if line + 1 < len(self._begins) else len(self._tokens)
        self.go_to(min(range(self._begins[line], end), key=lambda index: abs(self._tokens[index].left - current.left)))

    def action_jump(self, to: str) -> None:
        """Moves the cursor to the `first` or `last` token."""
        self.go_to(len(self._tokens) - 1 if to == "last" else 0)

    def go_to(self, index: int) -> None:
        """Moves the cursor to a token."""
        index = max(0, min(index, len(self._tokens) - 1))
        if index == self.cursor or not self._tokens:
            return
        before, self.cursor = self.cursor, index
        for at in (before, index):
            y = self._tokens[at].line * LINE_HEIGHT - self.scroll_offset.y
            self.refresh(Region(0, y, self.size.width, LINE_HEIGHT))
        self._reveal()
        self.post_message(self.Moved(index))

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the clicked token."""
        line = (event.y + self.scroll_offset.y) // LINE_HEIGHT
        if line < len(self._begins):
            end = self._begins[line + 1] if line + 1 < len(self._begins) else len(self._tokens)
            before_click = [index for index in range(self._begins[line], end) if self._tokens[index].left <= event.x]
            if before_click:
                self.go_to(before_click[-1])

    def on_resize(self, _event: Resize) -> None:
        """Lays the text out for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = max(8, self.size.width - 1)
        self._tokens, self._begins = [], []
        line, left = 0, 0
        for text in self._table.texts if self._table is not None else ():
            shown = fitted_token(text)
            room = max(cell_len(shown), 3)
            if left and left + room > width:
                line, left = line + 1, 0
            if not left:
                self._begins.append(len(self._tokens))
            self._tokens.append(LaidOut(line, left, shown, room))
            left += room
            if text.endswith("\n"):
                line, left = line + 1, 0
        self.virtual_size = Size(0, LINE_HEIGHT * len(self._begins))
        self._reveal()

    def _reveal(self) -> None:
        if not self._tokens or self.size.height < LINE_HEIGHT:
            return
        top = self._tokens[self.cursor].line * LINE_HEIGHT
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)
        elif top + LINE_HEIGHT > self.scroll_offset.y + self.size.height:
            self.scroll_to(y=top + LINE_HEIGHT - self.size.height, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """A line of tokens, or the line of signs below it."""
        width, base = self.size.width, self.base_style
        line, part = divmod(y + self.scroll_offset.y, LINE_HEIGHT)
        if self._table is None or not self._tokens:
            text = " the tokens of this sample are not known yet" if y == 1 else ""
            return Strip([Segment(text, base + self._style("note"))]).adjust_cell_length(width, base)
        if line >= len(self._begins) or part == LINE_HEIGHT - 1:
            return Strip.blank(width, base)
        end = self._begins[line + 1] if line + 1 < len(self._begins) else len(self._tokens)
        palette = DARK if self.app.current_theme.dark else LIGHT
        segments = []
        for index in range(self._begins[line], end):
            token = self._tokens[index]
            counts = self._table.counts[index]
            value = self._values[index] if counts and index < len(self._values) else float("nan")
            if part == 0:
                shade = self._scale.shade(value, palette)
                style = (
                    Style(color=shade.text, bgcolor=shade.background) if shade.background else base + self._style("out")
                )
                if index == self.cursor:
                    style = base + self._style("cursor")
                segments.append(Segment(fitted(token.text, token.width), style))
            else:
                sign = self._scale.sign(value)
                style = base + self._style("cursor") if index == self.cursor else base + self._style("sign")
                segments.append(Segment(fitted(f" {sign}" if token.width > 3 else sign, token.width), style))
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"tokens--{name}", partial=True)


def fitted_token(text: str) -> str:
    """The text of a token for the screen: control characters made visible, cut to `WIDEST_TOKEN` cells."""
    shown = visible(text)
    return shown if len(shown) <= WIDEST_TOKEN else f"{shown[: WIDEST_TOKEN - 1]}…"
