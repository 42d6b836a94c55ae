"""The names of the screens that keys open, and which screen shows a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder

NUMBERED_SCREENS = ("ask", "train", "ppo", "runs")
"""The screens of the keys 1 to 4. Charts, Evaluation and Timeline are screens, too, which are opened from these."""

_SCREENS_OF_KINDS = {"vqa": "train", "ppo": "ppo"}
"""Kinds of runs that have a screen of their own; all others are shown as charts."""


def screen_of(run: RunFolder) -> str:
    """The name of the screen that shows runs of this kind."""
    return _SCREENS_OF_KINDS.get(run.kind, "charts")
