"""What a run does when an alert is raised, as its configuration says (`training.on_alert`)."""

from __future__ import annotations

from typing import Literal

from looptop.engine.journal.causes import StopReason
from looptop.engine.journal.writer import Listener
from looptop.engine.runs.gate import Gate

OnAlert = Literal["continue", "notify", "pause", "stop"]
"""`continue` only shows the alert; the others start the notify command, too."""


class AlertReaction(Listener):
    """Pauses or stops a run that raises an alert.

    Args:
        gate: The run's gate, which holds or stops it at the end of the step.
        on_alert: What to do.
    """

    def __init__(self, gate: Gate, on_alert: OnAlert) -> None:
        self._gate = gate
        self._on_alert = on_alert

    def on_event(self, kind: str, text: str, level: str) -> None:
        """Acts on an alert. One of level `error` belongs to a run that is held or stops already."""
        if kind != "alert" or level == "error":
            return
        if self._on_alert == "pause":
            self._gate.hold_for_alert(text)
        elif self._on_alert == "stop" and not self._gate.stop_requested.is_set():
            self._gate.request_stop(reason=StopReason.ALERT, detail=text)
