"""Quitting the app while runs are live: they continue, unless a person decides otherwise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from textual.content import Content

from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import join_text, visible
from looptop.tui.background import in_thread

if TYPE_CHECKING:
    from textual.app import App

    from looptop.tui.screens.base import Services
    from looptop.tui.screens.dialog import Question

LIVE_RUNS_SECONDS = 1.0
"""Seconds that quitting waits to learn which runs are live."""

MOST_NAMED = 4
"""The last lines name at most this many runs."""


def live_runs(started: Sequence[RunFolder]) -> list[RunFolder]:
    """All live runs: first those that were started in this app, then the others of the home.

    Takes some microseconds for each run, since it tests locks and reads no journal.
    """
    by_path = {run.path: run for run in (*started, *RunFolder.all())}
    return [run for run in by_path.values() if run.is_live()]


async def quit_or_ask(app: App[str], started: Sequence[RunFolder], unsaved: Callable[[], list[str]]) -> None:
    """Quits; asks first if something would be lost, or if a run that was started in this app is live.

    Args:
        app: The app.
        started: The runs that were started in this app.
        unsaved: What would be lost, each item in a few words.
    """
    live = await _live_runs_in_time(started)
    paused = await _paused_in_time(live)
    here = [run for run in live if run in started]
    others = [run for run in live if run not in here]
    lost = unsaved()
    if not here and not lost:
        app.exit(farewell(live, paused))
        return

    def answered(answer: str | None) -> None:
        if answer == "leave":
            app.exit(farewell([*here, *others], paused))
        elif answer == "stop":
            cast("Services", app).fetch(
                lambda: stop_all(here),
                lambda words: app.exit("\n".join(filter(None, [words, farewell(others, paused)]))),
            )

    app.push_screen(question(here, others, paused, lost), answered)


async def quit_now(app: App[str], started: Sequence[RunFolder]) -> None:
    """Quits without a question."""
    live = await _live_runs_in_time(started)
    app.exit(farewell(live, await _paused_in_time(live)))


async def _live_runs_in_time(started: Sequence[RunFolder]) -> list[RunFolder]:
    """All live runs; if the disk does not answer, those that were started in this app."""
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(in_thread(lambda: live_runs(started)), LIVE_RUNS_SECONDS)
    return list(started)


async def _paused_in_time(live: Sequence[RunFolder]) -> list[RunFolder]:
    """Those of live runs that are paused; none if the disk does not answer. Only runs that are named are looked at."""

    def paused() -> list[RunFolder]:
        held = []
        for run in live[: 2 * MOST_NAMED]:
            with contextlib.suppress(LooptopError):
                if run.state() is RunState.PAUSED:
                    held.append(run)
        return held

    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(in_thread(paused), LIVE_RUNS_SECONDS)
    return []


def question(
    live: Sequence[RunFolder], others: Sequence[RunFolder], paused: Sequence[RunFolder], lost: Sequence[str] = ()
) -> Question:
    """The question whether to quit, and whether runs that were started in this app continue.

    Args:
        live: Live runs that were started in this app.
        others: Live runs that were started elsewhere; they are only named.
        paused: Those of all these that are paused.
        lost: What would be lost, each item in a few words.
    """
    from looptop.tui.screens.dialog import Question

    not_kept = f"Not kept: {join_text(lost, 'and')}." if lost else ""
    stay = ("escape", "stay", "stay here")
    if not live:
        return Question("Leave looptop", Content(not_kept), [("l", "leave", "leave"), stay])
    names = _names(live)
    text = Content.assemble(
        f"{_outlook(live, paused)} without this screen.",
        f" Started elsewhere: {_outlook(others, paused)}." if others else "",
        "\n\nCome back with ",
        (f"looptop attach {visible(live[0].id)}", "bold"),
        ", or follow with ",
        (f"looptop logs {visible(live[0].id)} -f", "bold"),
        ".",
        f"\n\n{not_kept}" if lost else "",
    )
    return Question(
        "Leave looptop",
        text,
        [
            ("l", "leave", f"leave; {_outlook(live, paused)}"),
            ("s", "stop", f"stop {names} with a checkpoint, and leave"),
            stay,
        ],
    )


def farewell(live: Sequence[RunFolder], paused: Sequence[RunFolder]) -> str:
    """The sentences to print after the app has quit."""
    words = []
    for folder in live[:MOST_NAMED]:
        run = folder.shell_name
        state = f"stays paused. Continue it: `looptop continue {run}`." if folder in paused else "goes on."
        watch = f"Watch it: `looptop attach {run}`, or `looptop logs {run} -f`."
        words.append(f"{run} {state} {watch} Stop it: `looptop stop {run}`.")
    if len(live) > MOST_NAMED:
        words.append(f"So do {len(live) - MOST_NAMED} more: `looptop runs state:running,paused`.")
    return "\n".join(words)


def stop_all(live: Sequence[RunFolder]) -> str:
    """Stops the runs with a checkpoint, without waiting for them.

    Returns:
        The sentences to print after the app has quit.
    """
    from looptop.engine.runs.control import send

    words = []
    for run in live:
        try:
            send(run, "stop", by="app")
            words.append(
                f"{visible(run.id)} stops with a checkpoint. Go on with it later: `looptop resume {run.shell_name}`."
            )
        except LooptopError as error:
            words.append(visible(error))
    return "\n".join(words)


def _outlook(runs: Sequence[RunFolder], paused: Sequence[RunFolder]) -> str:
    """What live runs will do: "vqa-1, vqa-2 go on, ppo-1 stays paused"."""
    running = [run for run in runs if run not in paused]
    held = [run for run in runs if run in paused]
    parts = [f"{_names(running)} {'goes' if len(running) == 1 else 'go'} on"] if running else []
    parts += [f"{_names(held)} {'stays' if len(held) == 1 else 'stay'} paused"] if held else []
    return ", ".join(parts)


def _names(runs: Sequence[RunFolder]) -> str:
    more = [f"{len(runs) - MOST_NAMED} more"] if len(runs) > MOST_NAMED else []
    return ", ".join([*(visible(run.id) for run in runs[:MOST_NAMED]), *more])
