"""The PPO screen's lines of text: the position, the run's state and stage, a batch's health marks."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from looptop.engine.ppo.health import LABELS
from looptop.engine.ppo.records import STAGES, BatchRecord, Mark
from looptop.engine.runs.folder import RunState
from looptop.engine.runs.listing import took
from looptop.engine.runs.progress import progress_of, progress_text
from looptop.engine.text import counted
from looptop.tui.ppo.columns import marks_in_short
from looptop.tui.ppo.snapshot import PpoSnapshot
from looptop.tui.run_text import STATE_COLOURS, state_label
from looptop.tui.text import duration, reason, safe

PATH_SEPARATOR = "\u203a"
ALL_STAGES_WIDTH = 100
"""The width of a line, in cells, from which all four stages have their names."""

STAGE_SIGNS = {"passed": "●", "reached": "◉", "ahead": "○"}


# The two lines at the top ---------------------------------------------------------------------------------------------


def crumbs(snapshot: PpoSnapshot, words: Sequence[str], following: bool, width: int) -> Content:
    """The position (run, batch, sample, token), and at the right the run's state."""
    parts: list[Content] = [Content(" ")]
    for index, word in enumerate((snapshot.id, *words)):
        last = index == len(words)
        if index:
            parts.append(Content.styled(f" {PATH_SEPARATOR} ", "$text-muted"))
        parts.append(safe(word, "bold $text-primary" if last else ""))
    left = Content.assemble(*parts)
    right = Content.assemble(
        *([Content.styled("following  ", "$text-muted")] if following else []),
        state_label(snapshot.state, snapshot.alerts),
        " ",
    )
    room = width - left.cell_length - right.cell_length
    return left + Content(" " * max(1, room)) + right


def status_line(snapshot: PpoSnapshot, width: int, shown_step: int | None = None) -> Content:
    """The stage that the batch in progress has reached, or the run's progress, or how it ended.

    Args:
        snapshot: The run.
        width: The width of the line in cells.
        shown_step: The step of the batch on the screen. If the batch in progress is another, the line names it; None:
            never.
    """
    state, reached = snapshot.state, snapshot.reached
    held_elsewhere = state is RunState.PAUSED and snapshot.held is None
    if (held_elsewhere or state in (RunState.QUEUED, RunState.FAILED, RunState.STOPPED)) and snapshot.reason:
        return reason(safe(f" {snapshot.reason}", STATE_COLOURS[state]), width)
    if state is RunState.INTERRUPTED:
        return _cut(safe(f" {snapshot.trouble}; r resumes from its last checkpoint", "$text-muted"), width)
    if reached is not None:
        on_screen = shown_step in (None, reached.step)
        is_named_above = shown_step == reached.step  # above, with the run
        batch = Content("") if is_named_above else Content.styled(f" batch {reached.step:,}:", "$text-warning bold")
        return _cut(batch + stage_track(reached.stage, width) + _hold_text(snapshot, on_screen), width)
    return progress(snapshot, width)


def stage_track(stage: str, width: int) -> Content:
    """The four stages of a batch, with the one reached marked; on a narrow line only that one has its name."""
    parts = [Content(" ")]
    reached = STAGES.index(stage) if stage in STAGES else -1
    for number, name in enumerate(STAGES):
        word = "passed" if number < reached else "reached" if number == reached else "ahead"
        style = "$text-warning bold" if word == "reached" else "$text-muted"
        parts.append(
            Content.styled(STAGE_SIGNS[word] if width < ALL_STAGES_WIDTH else f"{STAGE_SIGNS[word]} {name}  ", style)
        )
    if width < ALL_STAGES_WIDTH:
        parts.append(safe(f" {stage}  ", "$text-warning bold"))
    return Content.assemble(*parts)


def _hold_text(snapshot: PpoSnapshot, on_screen: bool) -> Content:
    held = snapshot.held
    if held is None:
        return Content("")
    if held.why:
        return safe(held.why, "$text-warning")
    hint = {
        "generated": "S: on to its scores",
        "scored": "S: compare with the reference",
        "compared": "before its update" + (": e edits a reward, x leaves out" if on_screen else ""),
        "updated": "s: the next batch",
    }
    return Content.styled("; ".join(filter(None, (held.stepped, hint.get(held.stage)))), "$text-muted")


def progress(snapshot: PpoSnapshot, width: int) -> Content:
    """A bar, the batches made, and the time left or taken."""
    total, step = snapshot.total, snapshot.last
    now = progress_of(snapshot.facts) if snapshot.live else None
    if not total:
        doing = snapshot.events[-1].text if snapshot.events else "preparing models and data"
        doing = progress_text(now, duration) if now is not None else doing
        return _cut(safe(f" {doing} …" if snapshot.live else f" {doing}", "$text-muted"), width)
    fraction = min(1.0, step / total)
    words = [f"{100 * fraction:.0f} %", f"{step:,} of {counted(total, 'batch', 'batches')}"]
    if now is not None:
        words.append(progress_text(now, duration))
    left, seconds = snapshot.value("seconds_left"), snapshot.value("time/batch")
    if snapshot.state is RunState.RUNNING:
        words += [f"{seconds:.2f} s a batch"] if seconds is not None else []
        words += [f"{duration(left)} left"] if left is not None and step < total else []
    elif snapshot.ended and (seconds_taken := took(snapshot)) is not None:
        words.append(f"took {duration(seconds_taken)}")
    room = max(8, min(32, width // 4))
    filled = round(fraction * room)
    return _cut(
        Content.assemble(
            " ", ("━" * filled, "$primary"), ("━" * (room - filled), "$border-blurred"), "  ", "  ".join(words)
        ),
        width,
    )


def marks_on_a_line(batch: BatchRecord) -> Content:
    """The health marks of a batch in one line."""
    if not batch.marks:
        return Content("")
    return Content.assemble(
        safe(marks_in_short(batch), "$text-warning bold"),
        ("   i explains it", "$text-muted"),
    )


def mark_title(batch: BatchRecord, mark: Mark) -> str:
    """The name of a mark, and its first batch if it began earlier."""
    since = "" if mark.begins(batch.step) else f" since batch {mark.since:,}"
    return f"{LABELS.get(mark.kind, mark.kind)}{since}"


def marks_in_full(batch: BatchRecord) -> Content:
    """The health marks of a batch, in full."""
    parts = [
        Content.assemble(safe(f"! {mark_title(batch, mark)}  ", "$text-warning bold"), safe(mark.text))
        for mark in batch.marks
    ]
    return Content("\n").join(parts)


def _cut(content: Content, width: int) -> Content:
    return content.truncate(max(width, 1), ellipsis=True)
