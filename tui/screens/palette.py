"""The command palette."""

from __future__ import annotations

from textual.command import CommandPalette

from looptop.tui.screens.base import ClosesOnce


class Palette(CommandPalette, ClosesOnce[None]):
    """Textual's palette, which closes once for each click beside it: the second would end the app."""
