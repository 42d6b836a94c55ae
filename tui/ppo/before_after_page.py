"""Before and after: the tuned model compared with the reference, by figure and by pair of responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from looptop.engine.ppo.before_after import CompareFigure, ComparePair, CompareResult
from looptop.engine.text import counted
from looptop.tui.actions import bindings
from looptop.tui.ppo.differences import differing
from looptop.tui.ppo.sample_page import TextBox, marked
from looptop.tui.text import safe, short_number
from looptop.tui.widgets.table import Cell, Column, ColumnTable, Row, Table

if TYPE_CHECKING:
    from textual.app import ComposeResult

PAIR_COLUMNS = (
    Column("index", "query", 6),
    Column("change", "change", 7),
    Column("before_reward", "before", 7),
    Column("after_reward", "after", 7),
    Column("kl", "KL", 7),
    Column("before", "the reference wrote", 40, least=16, text=True),
    Column("after", "the tuned model wrote", 40, least=16, text=True),
)
FIGURE_COLUMNS = (
    Column("figure", " figure", 13, text=True),
    Column("before", "before", 7),
    Column("after", "after", 7),
    Column("difference", "change", 7),
    Column("interval", "95 % interval", 16),
    Column("p", "p", 7),
    Column("n", "n", 5),
    Column("verdict", "", 26, least=6, text=True),
)
NONE_YET = (
    "Nothing was compared yet. C has the reference and the tuned model respond to queries that neither has seen,"
    " with the same random numbers (`looptop compare {run}`); it takes a minute or so."
)


class BeforeAfterPage(Vertical):
    """The result of a comparison."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ppo-compare")]

    class Wanted(Message):
        """The person asks for a comparison."""

    def __init__(self) -> None:
        super().__init__(id="compare-page", classes="page")
        self.result: CompareResult | None = None
        self._pairs: list[ComparePair] = []
        self._worst_first = False

    def compose(self) -> ComposeResult:
        """Figures, pairs, and the texts of the pair under the cursor."""
        yield Static(id="compare-line")
        yield Table(FIGURE_COLUMNS, id="compare-figures")
        yield ColumnTable(PAIR_COLUMNS, id="pairs")
        yield TextBox("Query", id="compare-query")
        with Horizontal(id="compare-texts"):
            yield TextBox("Reference", id="compare-before")
            yield TextBox("Tuned", id="compare-after")

    @property
    def pairs_table(self) -> Table:
        """The table of pairs; it takes the keys."""
        return self.query_one("#pairs", Table)

    def show(self, run: str, result: CompareResult | None, doing: str) -> None:
        """Shows a result, or that there is none.

        Args:
            run: The run's id.
            result: The result of the comparison.
            doing: What the comparer is doing.
        """
        fresh = result != self.result
        self.result = result
        for part in ("#compare-figures", "#pairs", "#compare-texts", "#compare-query"):
            self.query_one(part).display = result is not None
        line = self.query_one("#compare-line", Static)
        if result is None:
            line.update(safe(doing or NONE_YET.format(run=run), "$text-warning" if doing else "$text-muted"))
            return
        first = "the worst" if self._worst_first else "the best"
        words = f"{counted(result.n, 'query', 'queries')} of {result.data}, seed {result.seed}; {first} changes first"
        line.update(safe(doing, "$text-warning") if doing else safe(words, "$text-muted"))
        if fresh:
            self._arrange()
            names = list(result.figures)
            figures = self.query_one("#compare-figures", Table)
            figures.fill(len(names), lambda row: _figure_cells(names[row], result.figures[names[row]]))
            figures.styles.height = min(len(names), 6) + 1

    def action_reverse(self) -> None:
        """Sorts the largest improvement first, or the largest loss."""
        self._worst_first = not self._worst_first
        if self.result is not None:
            self._arrange()
            self.show(self.result.run, self.result, "")

    def action_compare(self) -> None:
        """Asks for a comparison."""
        self.post_message(self.Wanted())

    def _arrange(self) -> None:
        rows = self.result.rows if self.result is not None else []
        self._pairs = sorted(rows, key=lambda pair: pair.change, reverse=not self._worst_first)
        table = self.pairs_table
        table.row_order = ("change", not self._worst_first)
        table.fill(len(self._pairs), lambda row: _pair_cells(self._pairs[row]), cursor=0)
        self._show_pair()

    @on(Table.Moved, "#pairs")
    def _moved(self, event: Table.Moved) -> None:
        event.stop()
        self._show_pair()

    def on_resize(self) -> None:
        """Fits the titles to the new width."""
        self.call_after_refresh(self._show_pair)

    def _show_pair(self) -> None:
        if self.pairs_table.cursor >= len(self._pairs):
            return
        pair = self._pairs[self.pairs_table.cursor]
        before, after = differing(pair.before, pair.after)
        self.query_one("#compare-query", TextBox).show(safe(pair.query, keep_lines=True))
        for name, title, pieces, reward, scores, style in (
            ("#compare-before", "Reference", before, pair.reward_before, pair.scores_before, "$text-secondary"),
            ("#compare-after", "Tuned", after, pair.reward_after, pair.scores_after, "$text-primary"),
        ):
            text = self.query_one(name, TextBox)
            alone = f"{title}: reward {short_number(reward)}"
            whole = alone + "".join(f"  {part} {short_number(value)}" for part, value in scores.items())
            text.border_title = safe(whole if len(whole) <= self.size.width // 2 - 6 else alone)
            text.show(marked(pieces, style))


def _pair_cells(pair: ComparePair) -> Row:
    change = pair.change
    return [
        Cell(f"{pair.index}", "muted"),
        Cell(f"{change:+.2f}", "good" if change > 0 else "bad" if change < 0 else ""),
        Cell(short_number(pair.reward_before)),
        Cell(short_number(pair.reward_after)),
        Cell(short_number(pair.kl)),
        Cell(pair.before, "muted"),
        Cell(pair.after),
    ]


def _figure_cells(name: str, figure: CompareFigure) -> Row:
    sure = figure.low > 0 or figure.high < 0
    verdict = "chance?" if not sure else "up" if figure.low > 0 else "down"
    return [
        Cell(f" {name}", "bold"),
        Cell(short_number(figure.before, 3)),
        Cell(short_number(figure.after, 3)),
        Cell(f"{figure.difference:+.3f}", "bold"),
        Cell(f"{figure.low:+.3f} {figure.high:+.3f}"),
        Cell(_p(figure.p)),
        Cell(f"{figure.n:,}", "muted"),
        Cell(verdict, "muted" if not sure else ""),
    ]


def _p(value: float) -> str:
    if value != value:
        return "·"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}".replace("e-0", "e-") if value > 0 else "< 1e-300"
