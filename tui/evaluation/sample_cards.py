"""Cards of a run's sample questions: image, question, right answer, the model's answer, and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.strip import Strip

from looptop.engine.journal.answer_outcomes import RIGHT, SampleKey
from looptop.engine.journal.records import AnswerSample
from looptop.engine.text import counted
from looptop.engine.vqa.evaluation.text import answer_text
from looptop.tui.actions import bindings
from looptop.tui.evaluation.timeline_reader import Timeline
from looptop.tui.text import percent, safe
from looptop.tui.widgets.table import fitted
from looptop.tui.widgets.thumbnails import Thumbnails, Wanted
from looptop.tui.widgets.tiles import Tiles

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


class SampleCards(Tiles):
    """The cards in rows, as large as they can be with all of them on the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("cards")]
    GAP = 1

    def __init__(self) -> None:
        super().__init__(Thumbnails(self._ready), id="samples-page")
        self._timeline: Timeline | None = None
        self._before: Mapping[SampleKey, AnswerSample] = {}
        self._texts: dict[int, list[list[Part]]] = {}
        """The lines of each card that was drawn."""

    def on_unmount(self) -> None:
        """Ends the threads that make the pictures."""
        self.thumbnails.close()

    def show(self, timeline: Timeline) -> None:
        """Shows the answers of another evaluation; the cursor stays on its card."""
        self._timeline = timeline
        self.count = len(timeline.samples)
        self._before = {SampleKey.of(sample): sample for sample in timeline.before}
        self.set_reactive(SampleCards.cursor, self.validate_cursor(self.cursor))
        self.rearrange()

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
        thumbnail = self.thumbnails.get(self._wanted(sample))
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

    # Layout.

    def fit(self) -> None:
        """Makes the cards as large as they can be with all of them on the screen, or else small."""
        self._texts.clear()
        for height in reversed(HEIGHTS):
            self.tile_height = height
            # The bar of the cursor, the picture, a gap, the text, a gap.
            self.columns = max(1, self.size.width // (2 * height + LEAST_TEXT + 3))
            if self.height_needed <= self.size.height and self._text_width >= LEAST_TEXT:
                break

    @property
    def _text_width(self) -> int:
        return self.size.width // self.columns - 2 * self.tile_height - 3

    def wanted(self, index: int) -> Wanted:
        """The picture of a card."""
        return self._wanted(self.samples[index])

    def on_show(self) -> None:
        """Asks for the pictures once the page is shown."""
        self.request_pictures()

    def _wanted(self, sample: AnswerSample) -> Wanted:
        return Wanted(Path(sample.image), 2 * self.tile_height, self.tile_height)

    def _ready(self, images: set[Path]) -> None:
        self.refresh_rows_of(i for i, sample in enumerate(self.samples) if Path(sample.image) in images)
        if self.samples and Path(self.samples[self.cursor].image) in images:
            self.post_message(self.Moved(self.cursor))  # The line below the page names what is wrong with it.

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """One line of the cards beside one another."""
        base = self.base_style
        row, line = divmod(y + self.scroll_offset.y, self.row_height)
        first = row * self.columns
        segments: list[Segment] = []
        if line < self.tile_height:
            for index, sample in enumerate(self.samples[first : first + self.columns], first):
                has_bar = index == self.cursor
                bar = base + self.get_component_rich_style("tiles--cursor", partial=True) if self.has_focus else base
                segments += [Segment("▌" if has_bar else " ", bar), *self._picture_line(sample, line, base)]
                segments += [Segment(" ", base), *self._text_line(index, line), Segment(" ", base)]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _picture_line(self, sample: AnswerSample, line: int, base: Style) -> list[Segment]:
        width, thumbnail = 2 * self.tile_height, self.thumbnails.get(self._wanted(sample))
        if thumbnail is None or thumbnail.problem:
            text = ("·" if thumbnail is None else "✗ no image") if line == self.tile_height // 2 else ""
            return [Segment(f"{text:^{width}}", self._styled("muted" if thumbnail is None else "bad"))]
        return thumbnail.line_in(line, width, self.tile_height, base)

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
            *[[Part(words, "bold")] for words in wrapped(sample.question, width, self.tile_height - FIXED_LINES)],
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
        return self.base_style + self.style_of(names)


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
