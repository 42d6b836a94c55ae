"""Actions that control a run. Each screen that shows runs binds them to keys of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from looptop.tui.actions.action import Action

_CONTROLS = {
    action.name: action
    for action in (
        Action("pause", "", "pause/continue", "Pause the run after the current step, or continue it.", changes=True),
        Action("step", "", "step", "Make one step while the run is paused.", changes=True),
        Action("checkpoint", "", "checkpoint", "Write a checkpoint now.", changes=True),
        Action("stop", "", "stop", "Stop the run; asks first whether to write a checkpoint.", changes=True),
        Action("resume", "", "resume", "Resume a run that is no longer live.", changes=True),
        Action("log", "", "log", "Show the run's log."),
        Action("events", "", "events", "Show all events in full."),
    )
}

_FOR_LIVE_RUNS = {f"command('{name}')" for name in ("pause", "step", "checkpoint", "stop")}


def run_control(command: str, keys: str, *, palette: bool = True, **different: Any) -> Action:
    """The action that drives a run by one command.

    Args:
        command: As in `RunControls.perform`.
        keys: As in `Action`.
        palette: As in `Action`.
        **different: Fields of `Action` that are different on this screen.
    """
    return replace(_CONTROLS[command], name=f"command('{command}')", keys=keys, palette=palette, **different)


def does_nothing(action: str, live: bool | None) -> bool:
    """Whether an action, by its name with arguments, drives a run in a way that does nothing now.

    Args:
        action: The action.
        live: Whether the run is live; None if there is no run.
    """
    if action == "command('resume')":
        return live is None or live
    return action in _FOR_LIVE_RUNS and not live
