"""The page of a response's tokens: as shaded text with a legend, or as a table; and all figures of one token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from looptop.engine.ppo.records import TokenTable
from looptop.tui.actions import bindings
from looptop.tui.ppo.columns import TOKEN_COLUMNS_SHOWN, TOKEN_FIGURES, token_cells, token_figures, token_word
from looptop.tui.ppo.shading import BLOCKS, DARK, LIGHT, NOTHING, Scale
from looptop.tui.ppo.token_view import TokenView
from looptop.tui.text import safe, short_number
from looptop.tui.widgets.table import ColumnTable, Row, Table

if TYPE_CHECKING:
    from textual.app import ComposeResult

RAMP_WIDTH = 24
"""The width of the legend's colours, in cells."""

FIGURE_LINES = (
    ("probability", "reference", "difference", "kl"),
    ("entropy", "value", "advantage", "return"),
    ("reward", "ratio"),
)
"""The figures of one token, line by line."""

FIGURE_MEANINGS = {
    "kl": "distance to the reference, in nats",
    "difference": "log-probability less the reference's: above 0 the policy likes the token more",
    "advantage": "better (above 0) or worse than expected, whitened over the batch",
    "value": "the reward that the value head expects from here on",
    "return": "the reward that came from here on",
    "ratio": "new to old probability in the last pass",
    "entropy": "how undecided the policy was, in nats",
    "probability": "the policy's, when it wrote the token",
    "reward": "the token's: - beta x KL, with the sample's reward at the last",
}


class TokenPage(Vertical):
    """One response, token by token."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ppo-tokens")]

    class Moved(Message):
        """Another token is under the cursor."""

    def __init__(self) -> None:
        super().__init__(id="token-page", classes="page")
        self.tokens: TokenTable | None = None
        """The data: the response's tokens with their figures; None if they are not known yet."""
        self.shaded_by = "kl"
        self.table_has_cursor = False
        """Whether the table has the cursor."""
        self._figures: dict[str, list[float]] = {}
        self._view = TokenView(id="token-view")
        self._table = ColumnTable(TOKEN_COLUMNS_SHOWN, id="token-table")
        self._table.display = False

    def compose(self) -> ComposeResult:
        """Text with legend, and table (only one of them if there is little room); figures."""
        yield self._view
        yield Static(id="legend")
        yield self._table
        yield Static(id="token-figures")

    def on_mount(self) -> None:
        """Redraws the legend when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._shade())

    # What is shown.

    @property
    def cursor(self) -> int:
        """The token under the cursor."""
        return self._view.cursor

    @property
    def focus_target(self) -> TokenView | Table:
        """The widget with the cursor."""
        return self._table if self.table_has_cursor else self._view

    def show(self, tokens: TokenTable | None) -> None:
        """Shows a response's tokens."""
        self.tokens = tokens
        self._figures = token_figures(tokens) if tokens is not None else {}
        self._arrange()
        self._shade()
        self._table.empty_text = "the tokens of this sample are not known yet"
        self._table.fill(len(tokens.ids) if tokens is not None else 0, self._row_cells, cursor=self.cursor)
        self._show_token()

    def _row_cells(self, row: int) -> Row | None:
        return token_cells(self.tokens, self._figures, row) if self.tokens is not None else None

    def _shade(self) -> None:
        values = self._figures.get(self.shaded_by, [])
        mask = self.tokens.counts if self.tokens else ()
        values_that_count = [value for value, counts in zip(values, mask, strict=False) if counts]
        scale = Scale.of(self.shaded_by, values_that_count)
        self._view.show(self.tokens, values, scale)
        self.query_one("#legend", Static).update(self._legend(scale), layout=False)

    def _legend(self, scale: Scale) -> Content:
        palette = DARK if self.app.current_theme.dark else LIGHT
        ramp = []
        for value in scale.ramp(RAMP_WIDTH):
            shade = scale.shade(value, palette)
            ramp.append(Content.styled(" ", f"on {shade.background}"))
        signs = BLOCKS if scale.kind in ("amount", "share") else f"--- -- - {NOTHING} + ++ +++"
        return Content.assemble(
            (f" {TOKEN_FIGURES[self.shaded_by]} ", "bold $text-primary"),
            f" {short_number(scale.lowest, 3)} ",
            *ramp,
            f" {short_number(scale.highest, 3)}  ",
            (signs, "bold"),
            (f"\n {FIGURE_MEANINGS[self.shaded_by]}", "$text-muted"),
        )

    def _show_token(self) -> None:
        """All figures of the token under the cursor."""
        panel = self.query_one("#token-figures", Static)
        tokens = self.tokens
        if tokens is None or not tokens.ids:
            panel.update("", layout=False)
            return
        index = self.cursor
        lines = [
            Content.assemble(
                safe(f"{token_word(tokens.texts[index])} ", "bold $text-primary"),
                safe(f"token {index}, id {tokens.ids[index]}, {len(tokens.ids)} in all", "$text-muted"),
                "" if tokens.counts[index] else Content.styled("   does not count", "$text-warning"),
            )
        ]
        for names in FIGURE_LINES:
            cells = []
            for name in names:
                word = {"reference": "reference's"}.get(name) or TOKEN_FIGURES[name]
                style = "bold $text-primary" if name == self.shaded_by else "bold"
                value = short_number(self._figures[name][index], 4)
                cells.append(Content.assemble((f"{word:<11}", "$text-muted"), safe(f"{value:>7} ", style)))
            lines.append(Content("").join(cells))
        panel.update(Content("\n").join(lines), layout=False)

    # Keys.

    def action_shade(self, by: int) -> None:
        """Shades by the figure that is `by` further in the list of figures."""
        names = list(TOKEN_FIGURES)
        self.shaded_by = names[(names.index(self.shaded_by) + by) % len(names)]
        self._shade()
        self._show_token()

    def action_table(self) -> None:
        """Switches between text and table; if both are shown, moves the cursor to the other."""
        self.table_has_cursor = not self.table_has_cursor
        self._arrange()
        self.focus_target.focus()

    def _arrange(self) -> None:
        both = not self.screen.has_class("-short")
        self._table.display = both or self.table_has_cursor
        self._view.display = self.query_one("#legend").display = both or not self.table_has_cursor
        self._table.cursor = self._view.cursor

    def on_resize(self) -> None:
        """Shows the text and the table, or only one of them, depending on the room."""
        self.call_after_refresh(self._arrange)

    @on(TokenView.Moved)
    def _moved(self, event: TokenView.Moved) -> None:
        event.stop()
        self._show_token()
        if self._table.display:
            self._table.cursor = self._view.cursor
        self.post_message(self.Moved())

    @on(Table.Moved, "#token-table")
    def _row_moved(self, event: Table.Moved) -> None:
        event.stop()
        self._view.go_to(self._table.cursor)
