"""Cards of a run's sample questions: image, question, right answer, the model's answer, and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from looptop.engine.journal.answer_outcomes import RIGHT, SampleKey
from looptop.engine.journal.records import AnswerSample
from looptop.engine.text import counted
from looptop.engine.vqa.evaluation.text import answer_text
from looptop.tui.actions import bindings
from looptop.tui.evaluation.timeline_reader import Timeline
from looptop.tui.text import percent, safe
from looptop.tui.widgets.style_cache import StyleCache
from looptop.tui.widgets.table import fitted
from looptop.tui.widgets.thumbnails import Thumbnails, Wanted
from looptop.tui.widgets.tile_grid import TileGrid

HEIGHTS = (6, 8, 10, 13, 17, 22)
"""The heights of a picture in cells; it is twice as wide, which makes it a square."""

LEAST_TEXT = 20
"""The fewest cells of the text beside a picture."""

LONGEST = 300
"""The most characters of a question or an answer in the line below the cards."""

FIXED_LINES = 4
"""Lines of the text below the question: the right answer, the model's, the one before, and over time."""


class Part(NamedTuple):
    """Some text of a line, and the name of its style."""

    text: str
    style: str = ""


class SampleCards(StyleCache, ScrollView, can_focus=True, inherit_bindings=False):
    """The cards in rows, as large as they can be with all of them on the screen."""

    PARTS: ClassVar[tuple[str, ...]] = ("cursor", "muted", "good", "bad", "bold", "here")
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"cards--{name}" for name in PARTS}
    DEFAULT_CSS = """
    SampleCards {
        height: 1fr;
        background: transparent;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;

        & > .cards--cursor {
            color: $primary;
        }

        & > .cards--muted {
            color: $text-muted;
        }

        & > .cards--good {
            color: $text-success;
        }

        & > .cards--bad {
            color: $text-error;
        }

        & > .cards--bold {
            text-style: bold;
        }

        & > .cards--here {
            text-style: bold reverse;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("cards")]

    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    @dataclass
    class Moved(Message):
        """Another card is under the cursor."""

        card: int

    class Chosen(Message):
        """The card under the cursor was chosen."""

    def __init__(self) -> None:
        super().__init__(id="samples-page")
        self._thumbnails = Thumbnails(self._ready)
        self._timeline: Timeline | None = None
        self._before: Mapping[SampleKey, AnswerSample] = {}
        self._grid, self._height = TileGrid(self), HEIGHTS[0]
        self._texts: dict[int, list[list[Part]]] = {}
        """The lines of each card that was drawn."""

    def on_unmount(self) -> None:
        """Ends the threads that make the pictures."""
        self._thumbnails.close()

    def show(self, timeline: Timeline) -> None:
        """Shows the answers of another evaluation; the cursor stays on its card."""
        self._timeline = timeline
        self._grid.count = len(timeline.samples)
        self._before = {SampleKey.of(sample): sample for sample in timeline.before}
        self.set_reactive(SampleCards.cursor, self.validate_cursor(self.cursor))
        self._arrange()

    @property
    def samples(self) -> Sequence[AnswerSample]:
        """The shown answers."""
        return self._timeline.samples if self._timeline is not None else ()

    @property
    def detail(self) -> str:
        """The card under the cursor in words, what it does not show itself first: there are two lines for it."""
        if not self.samples or self._timeline is None:
            return ""
        sample = self.samples[self.cursor]
        thumbnail = self._thumbnails.get(self._wanted(sample))
        problem = f" {thumbnail.problem}." if thumbnail is not None and thumbnail.problem else ""
        known = self._timeline.outcomes.get(SampleKey.of(sample), {})
        over_time = (
            f"right at {sum(known.values())} of {counted(len(known), 'evaluation')}{_since(known, self._timeline)}"
        )
        return (
            f"{self.cursor + 1} of {len(self.samples)}: {over_time}.{problem}"
            f" Right: {answer_text(sample.truth[:LONGEST])}; answered: {answer_text(sample.answer[:LONGEST])}"
            f" with {percent(sample.confidence).strip()}. {sample.question[:LONGEST]}"
        )

    # Moving.

    def validate_cursor(self, cursor: int) -> int:
        """Limits the cursor to the cards."""
        return max(0, min(cursor, len(self.samples) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Scrolls to the card, and posts `Moved`."""
        self._grid.reveal(self.cursor, self._height)
        self._grid.refresh_rows_of((before, now))
        self.post_message(self.Moved(now))

    def action_move(self, cards: int) -> None:
        """Moves the cursor along the row."""
        self.cursor += cards

    def action_line(self, rows: int) -> None:
        """Moves the cursor to another row of cards, in the same column if it has one."""
        target = self.cursor + rows * self._grid.columns
        if 0 <= target < len(self.samples):
            self.cursor = target

    def action_choose(self) -> None:
        """Chooses the card under the cursor."""
        if self.samples:
            self.post_message(self.Chosen())

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the clicked card; a double click chooses it."""
        if (index := self._grid.index_at(event)) is not None:
            self.cursor = index
            if event.chain == 2:
                self.action_choose()

    # Layout.

    def _arrange(self) -> None:
        """Makes the cards as large as they can be with all of them on the screen, or else small."""
        self._texts.clear()
        grid = self._grid
        for height in reversed(HEIGHTS):
            self._height, grid.row_height = height, height + 1
            # The bar of the cursor, the picture, a gap, the text, a gap.
            grid.columns = max(1, self.size.width // (2 * height + LEAST_TEXT + 3))
            if grid.rows * grid.row_height - 1 <= self.size.height and self._text_width >= LEAST_TEXT:
                break
        virtual = Size(0, grid.rows * grid.row_height - 1)
        if virtual != self.virtual_size:
            self.virtual_size = virtual
        self._grid.reveal(self.cursor, self._height)
        self._request()
        self.refresh()

    @property
    def _text_width(self) -> int:
        return self.size.width // self._grid.columns - 2 * self._height - 3

    def on_resize(self, _event: Resize) -> None:
        """Fits the cards to the new size."""
        self._arrange()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Asks for the pictures that came into sight."""
        super().watch_scroll_y(old_value, new_value)
        self._request()

    def _request(self) -> None:
        if self.display and self.size.height:
            self._thumbnails.request([self._wanted(self.samples[index]) for index in self._grid.visible])

    def on_show(self) -> None:
        """Asks for the pictures once the page is shown."""
        self._request()

    def _wanted(self, sample: AnswerSample) -> Wanted:
        return Wanted(Path(sample.image), 2 * self._height, self._height)

    def _ready(self, images: set[Path]) -> None:
        self._grid.refresh_rows_of(i for i, sample in enumerate(self.samples) if Path(sample.image) in images)
        if self.samples and Path(self.samples[self.cursor].image) in images:
            self.post_message(self.Moved(self.cursor))  # The line below the page names what is wrong with it.

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """One line of the cards beside one another."""
        base = self.base_style
        row, line = divmod(y + self.scroll_offset.y, self._grid.row_height)
        first = row * self._grid.columns
        segments: list[Segment] = []
        if line < self._height:
            for index, sample in enumerate(self.samples[first : first + self._grid.columns], first):
                has_bar = index == self.cursor
                bar = self._styled("cursor") if self.has_focus else base
                segments += [Segment("▌" if has_bar else " ", bar), *self._picture_line(sample, line, base)]
                segments += [Segment(" ", base), *self._text_line(index, line), Segment(" ", base)]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _picture_line(self, sample: AnswerSample, line: int, base: Style) -> list[Segment]:
        width, thumbnail = 2 * self._height, self._thumbnails.get(self._wanted(sample))
        if thumbnail is None or thumbnail.problem:
            text = ("·" if thumbnail is None else "✗ no image") if line == self._height // 2 else ""
            return [Segment(f"{text:^{width}}", self._styled("muted" if thumbnail is None else "bad"))]
        return thumbnail.line_in(line, width, self._height, base)

    def _text_line(self, index: int, line: int) -> list[Segment]:
        width = max(1, self._text_width)
        lines = self._texts.get(index)
        if lines is None:
            lines = self._texts[index] = self._text(self.samples[index], width)
        parts = lines[line] if line < len(lines) else []
        segments, room = [], width
        for part in parts:
            text = fitted(part.text, min(room, len(part.text))) if part is not parts[-1] else fitted(part.text, room)
            segments.append(Segment(text, self._styled(part.style)))
            room -= Segment(text).cell_length
        return segments or [Segment(" " * width, self.base_style)]

    def _text(self, sample: AnswerSample, width: int) -> list[list[Part]]:
        """The lines beside a picture."""
        is_right = sample.correct >= RIGHT
        before = self._before.get(SampleKey.of(sample))
        changed = before is not None and before.answer != sample.answer
        return [
            *[[Part(words, "bold")] for words in wrapped(sample.question, width, self._height - FIXED_LINES)],
            [Part("truth   ", "muted"), Part(answer_text(sample.truth))],
            [
                Part("✓ " if is_right else "✗ ", "good" if is_right else "bad"),
                Part(percent(sample.confidence).strip().rjust(5) + " ", "muted"),
                Part(answer_text(sample.answer), "good" if is_right else "bad"),
            ],
            [Part("before  ", "muted"), Part(answer_text(before.answer), "muted")] if before and changed else [],
            self._over_time(sample, width),
        ]

    def _over_time(self, sample: AnswerSample, width: int) -> list[Part]:
        """A mark for each evaluation that fits, around the shown one."""
        if self._timeline is None:
            return []
        known = self._timeline.outcomes.get(SampleKey.of(sample), {})
        steps, here = self._timeline.steps, self._timeline.index
        first = max(0, min(here - width // 2, len(steps) - width))
        marks = []
        for index, step in enumerate(steps[first : first + width], first):
            outcome = known.get(step)
            mark, style = ("·", "muted") if outcome is None else ("✓", "good") if outcome else ("✗", "bad")
            marks.append(Part(mark, f"{style} here" if index == here else style))
        return [*marks, Part("")]

    def _styled(self, names: str) -> Style:
        style = self.base_style
        for name in names.split():
            style += self.get_component_rich_style(f"cards--{name}", partial=True)
        return style


def wrapped(text: str, width: int, most: int) -> list[str]:
    """The text in at most `most` lines of `width` cells, the last one with an ellipsis if it is cut."""
    lines = [line.plain.rstrip() for line in safe(text[: 4 * width * most]).wrap(width)]
    return [*lines[: most - 1], fitted(" ".join(lines[most - 1 :]), width).rstrip()] if len(lines) > most else lines


def _since(known: Mapping[int, bool], timeline: Timeline) -> str:
    """Since when the answer is as right or wrong as at the shown evaluation, in words; empty at the first one."""
    steps = [step for step in timeline.steps[: timeline.index + 1] if step in known]
    same = steps[-1] if steps else None
    for step in reversed(steps):
        if known[step] != known[steps[-1]]:
            break
        same = step
    if same is None or len(steps) < 2:
        return ""
    return f"; {'right' if known[steps[-1]] else 'wrong'} since step {same:,}"
