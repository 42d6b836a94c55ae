"""The text around the charts: the runs and their states, the figures under the cursor, the last events."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from looptop.engine.journal.reader import Series
from looptop.engine.runs.folder import RunState
from looptop.tui.charts.reader import ChartsSnapshot, RunOverview
from looptop.tui.plots.curves import COLOURS, FAINT, FIRST, ROLES
from looptop.tui.plots.raster import PATTERNS, PLAIN
from looptop.tui.plots.view import Span
from looptop.tui.run_text import state_label
from looptop.tui.text import number, reason, safe
from looptop.tui.widgets.entries import Entry
from looptop.tui.widgets.events_panel import entry_of

RUN_COLOURS = tuple(COLOURS.values())
"""The colours of the runs, in their order, as in the charts."""


def head_line(snapshot: ChartsSnapshot, width: int, chosen: int, *, colourless: bool = False) -> Content:
    """The run and its state; several runs each in the colour of its curves, or without colours with their dashes."""
    if len(snapshot.overviews) == 1:
        line = _run_line(snapshot.overviews[0])
        return reason(line, width) if snapshot.overviews[0].reason else line.truncate(width, ellipsis=True)
    parts = []
    for index, each in enumerate(snapshot.overviews):
        colour = (
            RUN_COLOURS[index % len(RUN_COLOURS)] if chosen < 0 else ("$primary" if index == chosen else "$text-muted")
        )
        name = f"{each.id} {each.about.title}".strip() if len(snapshot.overviews) <= 3 else each.id
        role = ROLES[index % len(ROLES)] if chosen < 0 else FIRST if index == chosen else FAINT
        sign = PATTERNS[role].marker if colourless else PLAIN.marker
        parts.append(Content.styled(f"{sign} ", f"{colour} bold") + safe(name, "bold" if index == chosen else ""))
    return Content("   ").join(parts).truncate(width, ellipsis=True)


def _run_line(each: RunOverview) -> Content:
    line = Content.assemble((each.id, "bold"), "  ", state_label(each.state, each.alerts))
    if each.about.title:
        line += safe(f"  {each.about.title}")
    if each.error:
        return line + safe(f"  {each.error}", "$text-error")
    total = f" of {each.total_steps:,}" if each.total_steps > each.step else ""
    words = [f"step {each.step:,}{total}", str(each.facts.get("name") or ""), str(each.facts.get("device") or "")]
    if each.live_by == "heartbeat":
        words.insert(0, "known by its heartbeat")
    if each.state is RunState.PAUSED:
        words.insert(0, each.reason)
    elif each.state.ended:
        words.append(each.reason)
    return line + safe("  " + " · ".join(word for word in words if word), "$text-muted")


def status(
    snapshot: ChartsSnapshot, name: str, position: tuple[int, int] | None, width: int, shown: str, notes: Sequence[str]
) -> Content:
    """The metric of the chosen chart: its value at the cursor, or its last one, and its extremes in the same steps.

    Args:
        snapshot: The data.
        name: The metric.
        position: The number of the chosen chart, and of all charts; None if there is none.
        width: The width of the line, in cells.
        shown: The range that is shown; empty if it is everything.
        notes: How the chart is drawn.
    """
    if position is None:
        line = "no metric matches" if snapshot.names else "no metrics yet"
        return Content.styled(line, "$text-muted")
    parts = [Content.styled(f"{position[0]}/{position[1]} ", "$text-muted") + safe(name, "bold")]
    for index, (each, run) in enumerate(zip(snapshot.overviews, snapshot.runs, strict=True)):
        if name not in each.latest:
            continue
        point = run.points.get(name)
        if point is None:
            parts.append(Content.styled("no value", "$text-muted"))
            continue
        value = "nan" if point.value is None else number(point.value)
        style = RUN_COLOURS[index % len(RUN_COLOURS)] if len(snapshot.overviews) > 1 else ""
        parts.append(safe(f"{value} at step {point.step:,}", style))
        if len(snapshot.overviews) == 1:
            window = snapshot.request.view.window
            parts.append(safe(_extremes(run.series.get(name), window), "$text-muted"))
    if shown:
        parts.append(safe(f"in {shown}", "$text-warning"))
    parts += [Content.styled(note, "$text-muted") for note in notes if note]
    return Content("  ").join(parts).truncate(width, ellipsis=True)


def _extremes(series: Series | None, window: Span | None) -> str:
    if series is None:
        return ""
    columns = [
        (least, most, missing)
        for step, least, most, missing in zip(series.steps, series.minimum, series.maximum, series.missing, strict=True)
        if window is None or window.first <= step <= window.last
    ]
    low = [least for least, _, _ in columns if least is not None]
    high = [most for _, most, _ in columns if most is not None]
    missing = sum(count for _, _, count in columns)
    parts = [f"from {number(min(low))} to {number(max(high))}"] if low and high else []
    return ", ".join([*parts, *[f"{missing:,} nan"] * bool(missing)])


def events(snapshot: ChartsSnapshot) -> list[Entry]:
    """The events of all runs, in the order of their times."""
    several = len(snapshot.overviews) > 1
    every = [
        (event.time, each.id, event) for each in snapshot.overviews for event in each.events if not event.superseded
    ]
    every.sort(key=lambda one: -math.inf if math.isnan(one[0]) else one[0])
    return [entry_of(event, run if several else "") for _, run, event in every]
