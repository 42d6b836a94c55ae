"""The text around the charts: the runs and their states, the figures under the cursor, the last events."""

from __future__ import annotations

import math
from collections.abc import Iterable

from textual.content import Content

from looptop.engine.journal.reader import Series
from looptop.engine.runs.folder import RunState
from looptop.tui.charts.reader import ChartsSnapshot, Head
from looptop.tui.run_text import state_word
from looptop.tui.text import number, reason, safe
from looptop.tui.widgets.entries import Entry
from looptop.tui.widgets.events_panel import entry_of

COLOURS = ("$primary", "$secondary", "$curve-3", "$curve-4", "$curve-5", "$curve-6")
"""The colours of the runs, in their order, as in the charts."""


def head(snapshot: ChartsSnapshot, width: int, chosen: int) -> Content:
    """The run and its state; several runs each in the colour of its curves."""
    if len(snapshot.heads) == 1:
        line = _one(snapshot.heads[0])
        return reason(line, width) if snapshot.heads[0].reason else line.truncate(width, ellipsis=True)
    parts = []
    for index, each in enumerate(snapshot.heads):
        colour = COLOURS[index % len(COLOURS)] if chosen < 0 else ("$primary" if index == chosen else "$text-muted")
        name = f"{each.id} {each.about.title}".strip() if len(snapshot.heads) <= 3 else each.id
        parts.append(Content.styled("━ ", f"{colour} bold") + safe(name, "bold" if index == chosen else ""))
    return Content("   ").join(parts).truncate(width, ellipsis=True)


def _one(each: Head) -> Content:
    line = Content.assemble((each.id, "bold"), "  ", state_word(each.state, each.alerts))
    if each.about.title:
        line += safe(f"  {each.about.title}")
    if each.error:
        return line + safe(f"  {each.error}", "$text-error")
    total = f" of {each.total_steps:,}" if each.total_steps > each.step else ""
    words = [f"step {each.step:,}{total}", str(each.facts.get("name") or ""), str(each.facts.get("device") or "")]
    if each.live == "heartbeat":
        words.insert(0, "known by its heartbeat")
    if each.state is RunState.PAUSED:
        words.insert(0, each.reason)
    elif each.state.ended:
        words.append(each.reason)
    return line + safe("  " + " · ".join(word for word in words if word), "$text-muted")


def status(snapshot: ChartsSnapshot, name: str, position: tuple[int, int] | None, width: int, weight: float) -> Content:
    """The metric under the cursor: its last value and its extremes within the window."""
    if position is None:
        line = "no metric by that name" if snapshot.names else "no metrics yet"
        return Content.styled(line, "$text-muted")
    parts = [Content.styled(f"{position[0]}/{position[1]} ", "$text-muted") + safe(name, "bold")]
    for index, each in enumerate(snapshot.heads):
        if name not in each.latest:
            continue
        point = snapshot.ends.get((name, each.id)) if snapshot.window.first is not None else each.latest[name]
        if point is None:
            parts.append(Content.styled("no value", "$text-muted"))
            continue
        value = "nan" if point.value is None else number(point.value)
        style = COLOURS[index % len(COLOURS)] if len(snapshot.heads) > 1 else ""
        parts.append(safe(f"{value} at step {point.step:,}", style))
        if len(snapshot.heads) == 1:
            parts.append(safe(_extremes(snapshot.series.get((name, each.id))), "$text-muted"))
    if snapshot.window.first is not None:
        parts.append(safe(f"in steps {snapshot.window.first:,} to {snapshot.window.last:,}", "$text-warning"))
    if weight:
        parts.append(Content.styled(f"smoothed {weight:g}", "$text-muted"))
    return Content("  ").join(parts).truncate(width, ellipsis=True)


def _extremes(series: Series | None) -> str:
    if series is None:
        return ""
    low, high = _present(series.minimum), _present(series.maximum)
    line = f"from {number(min(low))} to {number(max(high))}" if low and high else ""
    missing = sum(series.missing)
    return line + (f", {missing:,} nan" if missing else "")


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def events(snapshot: ChartsSnapshot) -> list[Entry]:
    """The events of all runs, in the order of their times."""
    several = len(snapshot.heads) > 1
    every = [(event.time, each.id, event) for each in snapshot.heads for event in each.events if not event.superseded]
    every.sort(key=lambda one: -math.inf if math.isnan(one[0]) else one[0])
    return [entry_of(event, run if several else "") for _, run, event in every]
