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


class TokenPosition(NamedTuple):
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
        self._tokens: TokenTable | None = None
        self._values: Sequence[float] = ()
        self._scale = Scale("signed", -1, 1)
        self._positions: list[TokenPosition] = []
        self._line_starts: list[int] = []
        """The first token of each line."""
        self.cursor = 0

    def show(self, tokens: TokenTable | None, values: Sequence[float], scale: Scale) -> None:
        """Shows tokens.

        Args:
            tokens: The tokens of one response; None if they are not known yet.
            values: One figure for each token.
            scale: How the figures are shown.
        """
        fresh = tokens is None or self._tokens is None or tokens.ids != self._tokens.ids
        self._tokens, self._values, self._scale = tokens, values, scale
        if fresh:
            self.cursor = min(self.cursor, max(0, len(tokens.ids) - 1)) if tokens is not None else 0
            self._lay_out()
        self.refresh()

    def action_move(self, by: int) -> None:
        """Moves the cursor by tokens."""
        self.go_to(self.cursor + by)

    def action_line(self, by: int) -> None:
        """Moves the cursor to the token above or below."""
        if not self._positions:
            return
        current = self._positions[self.cursor]
        line = max(0, min(current.line + by, len(self._line_starts) - 1))
        end = self._line_starts[line + 1] if line + 1 < len(self._line_starts) else len(self._positions)
        tokens_of_line = range(self._line_starts[line], end)
        self.go_to(min(tokens_of_line, key=lambda index: abs(self._positions[index].left - current.left)))

    def action_jump(self, to: str) -> None:
        """Moves the cursor to the `first` or `last` token."""
        self.go_to(len(self._positions) - 1 if to == "last" else 0)

    def go_to(self, index: int) -> None:
        """Moves the cursor to a token."""
        index = max(0, min(index, len(self._positions) - 1))
        if index == self.cursor or not self._positions:
            return
        before, self.cursor = self.cursor, index
        for at in (before, index):
            y = self._positions[at].line * LINE_HEIGHT - self.scroll_offset.y
            self.refresh(Region(0, y, self.size.width, LINE_HEIGHT))
        self._reveal()
        self.post_message(self.Moved(index))

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the clicked token."""
        line = (event.y + self.scroll_offset.y) // LINE_HEIGHT
        if line < len(self._line_starts):
            end = self._line_starts[line + 1] if line + 1 < len(self._line_starts) else len(self._positions)
            tokens_of_line = range(self._line_starts[line], end)
            before_click = [index for index in tokens_of_line if self._positions[index].left <= event.x]
            if before_click:
                self.go_to(before_click[-1])

    def on_resize(self, _event: Resize) -> None:
        """Lays the text out for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = max(8, self.size.width - 1)
        self._positions, self._line_starts = [], []
        line, left = 0, 0
        for text in self._tokens.texts if self._tokens is not None else ():
            shown = fitted_token(text)
            room = max(cell_len(shown), 3)
            if left and left + room > width:
                line, left = line + 1, 0
            if not left:
                self._line_starts.append(len(self._positions))
            self._positions.append(TokenPosition(line, left, shown, room))
            left += room
            if text.endswith("\n"):
                line, left = line + 1, 0
        self.virtual_size = Size(0, LINE_HEIGHT * len(self._line_starts))
        self._reveal()

    def _reveal(self) -> None:
        if not self._positions or self.size.height < LINE_HEIGHT:
            return
        top = self._positions[self.cursor].line * LINE_HEIGHT
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)
        elif top + LINE_HEIGHT > self.scroll_offset.y + self.size.height:
            self.scroll_to(y=top + LINE_HEIGHT - self.size.height, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """A line of tokens, or the line of signs below it."""
        width, base = self.size.width, self.base_style
        line, part = divmod(y + self.scroll_offset.y, LINE_HEIGHT)
        if self._tokens is None or not self._positions:
            text = " the tokens of this sample are not known yet" if y == 1 else ""
            return Strip([Segment(text, base + self._style("note"))]).adjust_cell_length(width, base)
        if line >= len(self._line_starts) or part == LINE_HEIGHT - 1:
            return Strip.blank(width, base)
        end = self._line_starts[line + 1] if line + 1 < len(self._line_starts) else len(self._positions)
        palette = DARK if self.app.current_theme.dark else LIGHT
        segments = []
        for index in range(self._line_starts[line], end):
            token = self._positions[index]
            counts = self._tokens.counts[index]
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
