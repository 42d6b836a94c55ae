"""A widget that caches its computed styles, and the styles of the parts of lines.

Textual computes them at each drawing, which is too slow for a table's line of forty cells. At each change of focus it
also computes those of every component class of every widget: so parts that look alike in all widgets have no class, but
a name in `TEXT_STYLES`.
"""

from __future__ import annotations

from typing import Any, Self

from rich.style import Style
from textual.geometry import Region
from textual.style import Style as ThemeStyle
from textual.widget import Widget

TEXT_STYLES = {
    "muted": "$text-muted",
    "primary": "$text-primary",
    "good": "$text-success",
    "bad": "$text-error",
    "warn": "$text-warning",
    "accent": "$text-warning bold",
    "bold": "bold",
    "out": "$text-muted strike",
    "here": "bold reverse",
}
"""By name: colour and kind of letters, in the theme's variables; the background is that of the line."""


class StyleCache(Widget):
    """Draws its own lines, in styles that change only with the theme and the focus."""

    def __init__(self, **options: Any) -> None:
        self._kept_style: Style | None = None
        self._kept_parts: dict[tuple[tuple[str, ...], bool], Style] = {}
        self._kept_texts: dict[str, Style] = {}
        super().__init__(**options)

    @property
    def base_style(self) -> Style:
        """`rich_style`, cached until the styles change."""
        if self._kept_style is None:
            self._kept_style = self.rich_style
        return self._kept_style

    def get_component_rich_style(self, *names: str, partial: bool = False, default: Style | None = None) -> Style:
        """The style of a part, cached until the whole widget is redrawn."""
        kept = self._kept_parts.get((names, partial))
        if kept is None:
            kept = super().get_component_rich_style(*names, partial=partial, default=default)
            self._kept_parts[names, partial] = kept
        return kept

    def style_of(self, names: str) -> Style:
        """A style of `TEXT_STYLES`, or several separated by blanks, to be combined with the line's style."""
        kept = self._kept_texts.get(names)
        if kept is None:
            text = " ".join(TEXT_STYLES[name] for name in names.split())
            kept = ThemeStyle.parse(text, self.app.theme_variables).rich_style
            self._kept_texts[names] = kept
        return kept

    def refresh(self, *regions: Region, **options: Any) -> Self:
        """Redraws regions; without any, redraws everything and clears the cache, since the styles may have changed."""
        if not regions:
            self._kept_parts.clear()
            self._kept_texts.clear()
        return super().refresh(*regions, **options)

    def notify_style_update(self) -> None:
        """Redraws in the new colours."""
        super().notify_style_update()
        self._kept_style = None
        self.refresh()
