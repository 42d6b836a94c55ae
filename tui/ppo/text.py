"""What is said on the PPO screen, as text: where one is, where the run stands, a sample's scores, what is copied."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from looptop.engine.ppo.health import LABELS
from looptop.engine.ppo.records import PLACES, BatchRecord, Mark, TokenTable
from looptop.engine.runs.folder import RunState
from looptop.engine.runs.progress import progress_of, progress_text
from looptop.tui.ppo.columns import TOKEN_COLUMNS_SHOWN, SampleRow, marks_in_short, said, token_cells, token_figures
from looptop.tui.ppo.snapshot import PpoSnapshot, Reward
from looptop.tui.run_text import COLOURS, state_word
from looptop.tui.text import duration, reason, safe

CRUMB = "\u203a"
ROOMY = 100
"""Cells of a line in which all four places have their names."""

SIGNS = {"passed": "●", "here": "◉", "ahead": "○"}


# The two lines at the top ---------------------------------------------------------------------------------------------


def crumbs(snapshot: PpoSnapshot, words: Sequence[str], following: bool, width: int) -> Content:
    """Where one is (run, batch, sample, token), and at the right how the run stands."""
    parts: list[Content] = [Content(" ")]
    for place, word in enumerate((snapshot.id, *words)):
        last = place == len(words)
        if place:
            parts.append(Content.styled(f" {CRUMB} ", "$text-muted"))
        parts.append(safe(word, "bold $text-primary" if last else ""))
    left = Content.assemble(*parts)
    right = Content.assemble(
        *([Content.styled("following  ", "$text-muted")] if following else []),
        state_word(snapshot.state, snapshot.alerts),
        " ",
    )
    room = width - left.cell_length - right.cell_length
    return left + Content(" " * max(1, room)) + right


def standing(snapshot: PpoSnapshot, width: int, seen: int | None = None) -> Content:
    """The place that the batch in the making has reached, or how far the run is, or how it ended.

    Args:
        snapshot: The run.
        width: Cells of the line.
        seen: The batch that is looked at: of another one the line says which it is; None where none is.
    """
    state, place = snapshot.state, snapshot.place
    held_elsewhere = state is RunState.PAUSED and snapshot.held is None
    if (held_elsewhere or state in (RunState.FAILED, RunState.STOPPED)) and snapshot.reason:
        return reason(safe(f" {snapshot.reason}", COLOURS[state]), width)
    if state is RunState.INTERRUPTED:
        return _cut(Content.styled(" its process is gone; r goes on from its last checkpoint", "$text-muted"), width)
    if place is not None:
        here = seen in (None, place.step)
        named = seen == place.step  # above, with the run
        whose = Content("") if named else Content.styled(f" batch {place.step:,}:", "$text-warning bold")
        return _cut(whose + track(place.place, width) + _held(snapshot, here), width)
    return progress(snapshot, width)


def track(here: str, width: int) -> Content:
    """The four places of a batch, and which it has reached; where there is little room, only that one's name."""
    parts = [Content(" ")]
    reached = PLACES.index(here) if here in PLACES else -1
    for number, name in enumerate(PLACES):
        word = "passed" if number < reached else "here" if number == reached else "ahead"
        style = "$text-warning bold" if word == "here" else "$text-muted"
        parts.append(Content.styled(SIGNS[word] if width < ROOMY else f"{SIGNS[word]} {name}  ", style))
    if width < ROOMY:
        parts.append(safe(f" {here}  ", "$text-warning bold"))
    return Content.assemble(*parts)


def _held(snapshot: PpoSnapshot, here: bool) -> Content:
    held = snapshot.held
    if held is None:
        return Content("")
    if held.why:
        return safe(held.why, "$text-warning")
    hint = {
        "generated": "S: on to its scores",
        "scored": "S: compare with the reference",
        "compared": "before its update" + (": e edits a reward, x leaves out" if here else ""),
        "updated": "s: the next batch",
    }
    return Content.styled(hint.get(held.place, ""), "$text-muted")


def progress(snapshot: PpoSnapshot, width: int) -> Content:
    """A bar, the batches made, and the time left or taken."""
    total, step = snapshot.total, snapshot.last
    now = progress_of(snapshot.facts) if snapshot.live else None
    if not total:
        doing = snapshot.events[-1].text if snapshot.events else "preparing models and data"
        doing = progress_text(now, duration) if now is not None else doing
        return _cut(safe(f" {doing} …" if snapshot.live else f" {doing}", "$text-muted"), width)
    fraction = min(1.0, step / total)
    words = [f"{100 * fraction:.0f} %", f"{step:,} of {total:,} batches"]
    if now is not None:
        words.append(progress_text(now, duration))
    left, seconds = snapshot.value("seconds_left"), snapshot.value("time/batch")
    if snapshot.state is RunState.RUNNING:
        words += [f"{seconds:.2f} s a batch"] if seconds is not None else []
        words += [f"{duration(left)} left"] if left is not None and step < total else []
    elif snapshot.started and snapshot.ended:
        words.append(f"took {duration(snapshot.ended - snapshot.started)}")
    room = max(8, min(32, width // 4))
    filled = round(fraction * room)
    return _cut(
        Content.assemble(
            " ", ("━" * filled, "$primary"), ("━" * (room - filled), "$border-blurred"), "  ", "  ".join(words)
        ),
        width,
    )


def marks_on_a_line(batch: BatchRecord) -> Content:
    """That health has something to say of a batch."""
    if not batch.marks:
        return Content("")
    return Content.assemble(
        safe(marks_in_short(batch), "$text-warning bold"),
        ("   i says what that means", "$text-muted"),
    )


def mark_title(batch: BatchRecord, mark: Mark) -> str:
    """What a mark is, and since when where its episode began earlier."""
    since = "" if mark.begins(batch.step) else f" since batch {mark.since:,}"
    return f"{LABELS.get(mark.kind, mark.kind)}{since}"


def marks_in_full(batch: BatchRecord) -> Content:
    """What health has to say of a batch."""
    parts = [
        Content.assemble(safe(f"! {mark_title(batch, mark)}  ", "$text-warning bold"), safe(mark.text))
        for mark in batch.marks
    ]
    return Content("\n").join(parts)


# A sample -------------------------------------------------------------------------------------------------------------


def score_bars(sample: SampleRow, rewards: Sequence[Reward], penalty: float, width: int) -> Content:
    """Each score with its weight, what it adds to the reward as a bar, and the sum."""
    record = sample.record
    if record.reward is None:
        return Content.styled("not scored yet", "$text-muted")
    weights = {part.name: part.weight for part in rewards}
    rows = [
        (name, said(score), f"x {weights.get(name, 1.0):g}", weights.get(name, 1.0) * score)
        for name, score in record.scores.items()
    ]
    rated = [part for part in rewards if part.name not in record.scores]
    rows += [(part.name, said(sample.rating), f"x {part.weight:g}", part.weight * sample.rating) for part in rated]
    if not record.ended and penalty:
        rows.append(("cut", "", "", -penalty))
    name_room = min(20, max([len(row[0]) for row in rows] + [9]))
    sizes = [abs(each) for each in (*(row[3] for row in rows), record.reward)]
    most = max([size for size in sizes if math.isfinite(size)] + [1e-9])
    half = max(6, min(30, (width - name_room - 28) // 2))
    # Where nothing is below 0 the bars begin at the left.
    below = half if min([row[3] for row in rows] + [record.reward]) < 0 else 0
    lines = []
    for name, score, weight, part in rows:
        lines.append(
            Content.assemble(
                safe(f"{name[:name_room]:<{name_room}} "),
                (f"{score:>7} {weight:<7}", "$text-muted"),
                _both_ways(part, most, below, half),
                f" {part:+7.2f}",
            )
        )
    total = Content.assemble(
        (f"{'= reward':<{name_room}} ", "bold"),
        " " * 15,
        _both_ways(record.reward, most, below, half),
        (f" {record.reward:+7.2f}", "bold"),
    )
    lines.append(total)
    if sample.edited:
        lines.append(
            safe(f"a person says {sample.said['reward']:+.2f}, and the update uses that", "$text-warning bold")
        )
    if sample.left_out:
        lines.append(Content.styled("left out of the update by a person", "$text-warning bold"))
    return Content("\n").join(lines)


def _both_ways(value: float, most: float, below: int, above: int) -> Content:
    """A bar to the left of the line where the value is below 0, to the right where it is above."""
    if not math.isfinite(value):
        return Content(" " * below + "│" + " " * above)
    room = below if value < 0 else above
    halves = round(abs(value) / most * room * 2)
    line = "━" * (halves // 2)
    if value < 0:
        line = ("╺" if halves % 2 else "") + line
        return Content.assemble(" " * (below - len(line)), (line, "$secondary"), "│", " " * above)
    line += "╸" if halves % 2 else ""
    return Content.assemble(" " * below, "│", (line, "$primary"), " " * (above - len(line)))


def sample_in_short(sample: SampleRow, width: int) -> Content:
    """A sample's texts, below the table."""
    record = sample.record
    return Content("\n").join(
        [
            Content.assemble(("response  ", "$text-muted"), safe(record.response or "(nothing)")),
            Content.assemble(("query     ", "$text-muted"), safe(record.query, "$text-muted")),
            sample_facts(sample, width),
        ]
    )


def sample_facts(sample: SampleRow, width: int) -> Content:
    """What else is known of a sample, in a line or two; a figure stands beside its name."""
    record = sample.record
    figures = [
        ("KL", said(record.kl)),
        ("length", f"{record.length}" + ("" if record.ended else ", cut before its end")),
        ("advantage", said(record.advantage)),
        ("entropy", said(record.entropy)),
        ("largest ratio", said(record.ratio)),
        *((name, said(value)) for name, value in record.quality.items()),
    ]
    if sample.rating:
        figures.append(("rated", f"{sample.rating:+g}"))
    if record.query_cut:
        figures.append(("query", "cut"))
    figures.append(("query number", f"{record.data_index:,}"))
    parts = [Content.assemble(safe(f"{name} ", "$text-muted"), safe(value)) for name, value in figures]
    lines = [Content("")]
    for part in parts:
        if lines[-1].cell_length and lines[-1].cell_length + 3 + part.cell_length > width:
            lines.append(part)
        else:
            lines[-1] = lines[-1] + Content("   " if lines[-1].cell_length else "") + part
    return Content("\n").join(lines)


# Copying --------------------------------------------------------------------------------------------------------------


def sample_as_text(run: str, step: int, sample: SampleRow, reference: str | None) -> str:
    """A sample, whole, for the clipboard."""
    record = sample.record
    figures = [f"{name}: {said(value, 4)}" for name, value in sample.figures.items() if value is not None]
    lines = [
        f"{run} batch {step} sample {record.row}",
        "",
        f"query: {record.query}",
        f"response: {record.response}",
        *([f"reference: {reference}"] if reference is not None else []),
        "",
        ", ".join(figures),
    ]
    return "\n".join(lines) + "\n"


def tokens_as_text(table: TokenTable) -> str:
    """A table of tokens, for the clipboard: a line a token, columns apart by tabs, numbers in full."""
    figures = token_figures(table)
    titles = [column.key for column in TOKEN_COLUMNS_SHOWN]
    lines = ["\t".join(titles)]
    for place in range(len(table.ids)):
        cells = token_cells(table, figures, place)
        numbers = [f"{figures[key][place]:.6g}" for key in titles[2:-2]]
        lines.append("\t".join([cells[0].text, cells[1].text, *numbers, cells[-2].text, str(int(table.counts[place]))]))
    return "\n".join(lines) + "\n"


def _cut(content: Content, width: int) -> Content:
    return content.truncate(max(width, 1), ellipsis=True)
