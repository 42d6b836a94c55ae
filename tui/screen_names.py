"""The names of the app's screens, and which of them shows a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder

MAIN_SCREENS = ("ask", "train", "ppo", "runs")
"""The screens of the keys 1 to 4. The charts are a screen, too, which is opened from these."""

_SCREENS_OF_KINDS = {"vqa": "train", "ppo": "ppo"}
"""Kinds of runs that have a screen of their own; all others are shown as charts."""


def screen_of(run: RunFolder) -> str:
    """The name of the screen that shows runs of this kind."""
    return _SCREENS_OF_KINDS.get(run.kind, "charts")
