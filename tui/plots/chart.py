"""A chart as a widget: plotext's lines in the theme's colours, redrawn only if something has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.events import Resize
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from looptop.tui.plots import plot
from looptop.tui.plots.curves import AXIS, ROLE_CLASSES, Axes, Curve, Run

NOTHING_YET = "nothing to draw yet"


class Chart(Widget, can_focus=False):
    """Curves over steps."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(ROLE_CLASSES.values())

    def __init__(self, title: str | Content, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._title: str | Content = ""
        self.set_title(title)
        self._curves: Sequence[Curve] = ()
        self._axes = Axes(0, 1)
        self._lines: list[list[Run]] = []
        self._strips: list[Strip] = []
        """The lines as they are on the screen; empty if the chart must be redrawn."""
        self._made_for = Size(0, 0)
        self._colours: dict[int, Style] = {}
        """The style of each role in the theme's colours; empty if they must be computed again."""

    def set_title(self, title: str | Content) -> bool:
        """Sets the title (markup, or content if it contains text from outside); returns whether it has changed."""
        if title == self._title:
            return False
        self._title = title
        self.border_title = title
        return True

    def show(self, curves: Sequence[Curve], axes: Axes) -> None:
        """Shows these curves; redraws only lines that have changed."""
        if (curves, axes) == (self._curves, self._axes):
            return
        self._curves, self._axes = curves, axes
        if not self._strips:
            self.refresh()
            return
        width, height = self.size
        before, self._lines = self._lines, plot.draw(curves, axes, width, height)
        if len(before) != len(self._lines):
            self._draw_all()
            return
        changed = [y for y, line in enumerate(self._lines) if line != before[y]]
        styles = self._styles_of_roles()
        for y in changed:
            self._strips[y] = self._strip(self._lines[y], styles, width)
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def on_resize(self, _event: Resize) -> None:
        """Redraws for the new size, unless the chart was drawn in it already."""
        if self._made_for != self.size:
            self._draw_all()

    def notify_style_update(self) -> None:
        """Redraws in the new colours."""
        super().notify_style_update()
        self._colours = {}
        self._draw_all()

    def _draw_all(self) -> None:
        self._strips = []
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line."""
        if not self._strips:
            self._make()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _make(self) -> None:
        width, height = self._made_for = self.size
        self._lines = plot.draw(self._curves, self._axes, width, height)
        styles = self._styles_of_roles()
        if self._lines:
            self._strips = [self._strip(line, styles, width) for line in self._lines]
        else:
            blank = Strip.blank(width, styles[0])
            note = Strip([Segment(NOTHING_YET.center(width)[:width], styles[AXIS])])
            self._strips = [note if y == height // 2 else blank for y in range(height)]

    def _styles_of_roles(self) -> dict[int, Style]:
        if not self._colours:
            roles = {role: self.get_component_rich_style(name) for role, name in ROLE_CLASSES.items()}
            self._colours = {0: self.rich_style, **roles}
        return self._colours

    @staticmethod
    def _strip(line: list[Run], styles: dict[int, Style], width: int) -> Strip:
        strip = Strip([Segment(run.text, styles[run.role]) for run in line])
        return strip.adjust_cell_length(width, styles[0])
