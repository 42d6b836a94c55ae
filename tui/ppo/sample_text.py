"""A sample as text: its scores as bars, its figures, and texts for the clipboard."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from looptop.engine.ppo.records import TokenTable
from looptop.tui.ppo.columns import TOKEN_COLUMNS_SHOWN, SampleRow, token_cells, token_figures
from looptop.tui.ppo.snapshot import Reward
from looptop.tui.text import safe, short_number


def score_bars(sample: SampleRow, rewards: Sequence[Reward], penalty: float, width: int) -> Content:
    """Each score with its weight, what it adds to the reward as a bar, and the sum.

    Args:
        sample: The sample.
        rewards: The parts of the reward.
        penalty: What a response that was cut loses.
        width: Cells of a line.
    """
    record = sample.record
    if record.reward is None:
        return Content.styled("not scored yet", "$text-muted")
    weights = {part.name: part.weight for part in rewards}
    rows = [
        (name, short_number(score), f"x {weights.get(name, 1.0):g}", weights.get(name, 1.0) * score)
        for name, score in record.scores.items()
        if not any(part.person and part.name == name for part in rewards)
    ]
    rated = [part for part in rewards if part.person or part.name not in record.scores]
    rows += [
        (part.name, short_number(sample.rating), f"x {part.weight:g}", part.weight * sample.rating) for part in rated
    ]
    if not record.ended and penalty:
        rows.append(("cut", "", "", -penalty))
    name_room = min(20, max([len(row[0]) for row in rows] + [9]))
    sizes = [abs(each) for each in (*(row[3] for row in rows), record.reward)]
    most = max([size for size in sizes if math.isfinite(size)] + [1e-9])
    half = max(6, min(30, (width - name_room - 28) // 2))
    # If nothing is below 0, the bars begin at the left.
    below = half if min([row[3] for row in rows] + [record.reward]) < 0 else 0
    lines = []
    for name, score, weight, part in rows:
        lines.append(
            Content.assemble(
                safe(f"{name[:name_room]:<{name_room}} "),
                (f"{score:>7} {weight:<7}", "$text-muted"),
                _signed_bar(part, most, below, half),
                f" {part:+7.2f}",
            )
        )
    total = Content.assemble(
        (f"{'= reward':<{name_room}} ", "bold"),
        " " * 15,
        _signed_bar(record.reward, most, below, half),
        (f" {record.reward:+7.2f}", "bold"),
    )
    lines.append(total)
    if sample.rating and not sample.edited:
        with_rating = record.reward + sum(part.weight * sample.rating for part in rated)
        lines.append(safe(f"{with_rating:+.2f} with the person's rating", "$text-warning"))
    if sample.edited:
        lines.append(
            safe(f"set by a person to {sample.judgements['reward']:+.2f}, which the update uses", "$text-warning bold")
        )
    if sample.left_out:
        lines.append(Content.styled("left out of the update by a person", "$text-warning bold"))
    return Content("\n").join(lines)


def _signed_bar(value: float, most: float, below: int, above: int) -> Content:
    """A bar to the left of the zero line for a negative value, to the right for a positive one."""
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


def sample_below_table(sample: SampleRow, width: int) -> Content:
    """A sample's texts and its other figures, below the table of samples."""
    record = sample.record
    return Content("\n").join(
        [
            Content.assemble(("response  ", "$text-muted"), safe(record.response or "(nothing)")),
            Content.assemble(("query     ", "$text-muted"), safe(record.query, "$text-muted")),
            sample_facts(sample, width),
        ]
    )


def sample_facts(sample: SampleRow, width: int) -> Content:
    """The figures of a sample that are no scores, with their names, in as many lines as they need."""
    record = sample.record
    figures = [
        ("KL", short_number(record.kl)),
        ("length", f"{record.length}" + ("" if record.ended else ", cut before its end")),
        ("advantage", short_number(record.advantage)),
        ("entropy", short_number(record.entropy)),
        ("largest ratio", short_number(record.ratio)),
        *((name, short_number(value)) for name, value in record.quality.items()),
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


def sample_as_text(run: str, step: int, sample: SampleRow, reference: str | None) -> str:
    """The whole sample as text for the clipboard."""
    record = sample.record
    figures = [f"{name}: {short_number(value, 4)}" for name, value in sample.figures.items() if value is not None]
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
    """A table of tokens for the clipboard: one line for each token, tabs between columns, six digits that count."""
    figures = token_figures(table)
    titles = [column.key for column in TOKEN_COLUMNS_SHOWN]
    lines = ["\t".join(titles)]
    for index in range(len(table.ids)):
        cells = token_cells(table, figures, index)
        numbers = [f"{figures[key][index]:.6g}" for key in titles[2:-2]]
        lines.append("\t".join([cells[0].text, cells[1].text, *numbers, cells[-2].text, str(int(table.counts[index]))]))
    return "\n".join(lines) + "\n"
