"""What becomes of runs when the app is left: they go on, unless the person says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

if TYPE_CHECKING:
    from looptop.tui.screens.dialog import Question


def going_on(started: Sequence[RunFolder]) -> list[RunFolder]:
    """Those of the runs that live."""
    return [run for run in started if run.is_live()]


def question(live: Sequence[RunFolder]) -> Question:
    """Asks whether the runs shall go on."""
    from looptop.tui.screens.dialog import Question

    names = ", ".join(visible(run.id) for run in live)
    goes = "go" if len(live) > 1 else "goes"
    text = Content.assemble(
        (names, "bold"),
        f" {goes} on without this screen.\n\nCome back with ",
        ("looptop", "bold"),
        f" (screen {_screen(live[0])}), or follow with ",
        (f"looptop logs {live[0].id} -f", "bold"),
        ".",
    )
    return Question(
        "Leave looptop",
        text,
        [
            ("l", "leave", f"leave; {names} {goes} on"),
            ("s", "stop", f"stop {names} with a checkpoint, and leave"),
            ("escape", "stay", "stay here"),
        ],
    )


def farewell(live: Sequence[RunFolder]) -> str:
    """The last words on the terminal."""
    return "\n".join(
        f"{run.id} goes on. Watch it: looptop, screen {_screen(run)}, or `looptop logs {run.id} -f`. "
        f"Stop it: `looptop stop {run.id}`."
        for run in live
    )


def stop_all(live: Sequence[RunFolder]) -> str:
    """Has the runs stop with a checkpoint, without waiting for them.

    Returns:
        The last words on the terminal.
    """
    from looptop.engine.runs.control import send

    words = []
    for run in live:
        try:
            send(run, "stop", by="app")
            words.append(f"{run.id} stops with a checkpoint. Go on with it later: `looptop resume {run.id}`.")
        except LooptopError as error:
            words.append(visible(error))
    return "\n".join(words)


def _screen(run: RunFolder) -> int:
    """The screen that shows runs of its kind."""
    return 3 if run.id.startswith("ppo-") else 2
