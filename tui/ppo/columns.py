"""The columns of the PPO screen's tables, and the contents of their cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from looptop.engine.ppo.health import LABELS
from looptop.engine.ppo.records import TOKEN_COLUMNS, BatchRecord, Judgement, SampleRecord, TokenTable
from looptop.tui.ppo.batch_rows import BatchRow
from looptop.tui.ppo.snapshot import Reward
from looptop.tui.text import short_number
from looptop.tui.widgets.table import Cell, Column, Row

# Batches --------------------------------------------------------------------------------------------------------------

BATCH_FIGURES = (
    ("reward", "reward", 6, "env/reward_mean"),
    ("kl", "KL", 6, "objective/kl"),
    ("clip", "clip %", 6, "ppo/policy/clipfrac"),
    ("explained", "expl.", 6, "ppo/val/explained_centred"),
    ("entropy", "entropy", 7, "ppo/policy/entropy"),
    ("length", "length", 6, "env/length"),
    ("seconds", "sec", 5, "time/batch"),
)
"""Key, title, width and metric of each column."""

BATCH_COLUMNS = (
    Column("step", "batch", 6),
    *(Column(key, title, width) for key, title, width, _ in BATCH_FIGURES),
    Column("marks", "marks", 30, least=12, text=True),
)


def batch_cells(batch: BatchRow) -> Row:
    """A line of the list of batches."""
    record, figures = batch.record, batch.figures
    cells = [Cell(f"{record.step:,}", "bold")]
    for key, _, _, name in BATCH_FIGURES:
        value = figures.get(name)
        if key == "clip":
            cells.append(Cell(short_number(None if value is None else 100 * value, 1)))
        elif key == "seconds" and value is None:
            cells.append(Cell(short_number(sum(record.seconds.values()) or None), "muted"))
        else:
            cells.append(Cell(short_number(value, 1 if key == "length" else 2)))
    if record.stage != "updated":
        return [*cells, Cell(f"{record.stage} …", "accent")]
    begins = any(mark.begins(record.step) for mark in record.marks)
    return [*cells, Cell(marks_in_short(record), "warn" if begins else "muted")]


def marks_in_short(batch: BatchRecord) -> str:
    """A batch's marks in few words, such as `! KL high, cut`; a mark that began earlier as `cheating? since 80`."""
    begin = [LABELS.get(mark.kind, mark.kind) for mark in batch.marks if mark.begins(batch.step)]
    go_on = [mark for mark in batch.marks if not mark.begins(batch.step)]
    words = [f"! {', '.join(begin)}"] if begin else []
    return "; ".join([*words, *(f"{LABELS.get(mark.kind, mark.kind)} since {mark.since:,}" for mark in go_on)])


# Samples --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampleRow:
    """A sample, and a person's judgements of it."""

    record: SampleRecord
    judgements: Mapping[str, float] = field(default_factory=dict)
    """A person's judgements, by kind."""

    @property
    def edited(self) -> bool:
        """Whether a person gave the sample another reward."""
        return "reward" in self.judgements

    @property
    def left_out(self) -> bool:
        """Whether the sample is left out of the update."""
        return bool(self.judgements.get("leave_out"))

    @property
    def rating(self) -> float:
        """A person's rating; 0 if there is none."""
        return self.judgements.get("rating", 0.0)

    @cached_property
    def figures(self) -> dict[str, float | None]:
        """All figures of the sample, by the names that filters and sorting use."""
        record = self.record
        return {
            "sample": record.row,
            "reward": self.judgements.get("reward", record.reward),
            **record.scores,
            "kl": record.kl,
            "length": record.length,
            "advantage": record.advantage,
            "entropy": record.entropy,
            "ratio": record.ratio,
            **record.quality,
            "rating": self.rating,
            "cut": float(not record.ended),
        }


def sample_rows(records: Sequence[SampleRecord], judgements: Iterable[Judgement]) -> list[SampleRow]:
    """Samples with their judgements."""
    of_row: dict[int, dict[str, float]] = {}
    for judgement in judgements:
        if judgement.value is not None:
            of_row.setdefault(judgement.row, {})[judgement.kind] = judgement.value
    return [SampleRow(record, of_row.get(record.row, {})) for record in records]


def sample_columns(rows: Sequence[SampleRow], rewards: Sequence[Reward]) -> tuple[Column, ...]:
    """The columns of a batch's samples: the most important figures, each score, the texts, the other figures."""
    first = rows[0].record if rows else None
    scores = list(first.scores) if first is not None and first.scores else [part.name for part in rewards]
    quality = list(first.quality) if first is not None else []
    return (
        Column("sample", "#", 4),
        *([Column("judgement", "edits", 5, text=True)] if any(row.judgements for row in rows) else []),
        Column("reward", "reward", 7),
        *(Column(name, name, max(7, min(len(name) + 1, 10))) for name in scores),
        Column("kl", "KL", 7),
        Column("length", "len", 4),
        Column("advantage", "adv.", 7),
        Column("response", "response", 36, least=18, text=True),
        Column("query", "query", 40, least=18, text=True),
        Column("entropy", "entropy", 8),
        Column("ratio", "ratio", 7),
        *(Column(name, name, max(7, min(len(name) + 1, 10))) for name in quality),
    )


def sample_cells(sample: SampleRow, columns: Sequence[Column]) -> Row:
    """A line of the table of samples."""
    record, figures = sample.record, sample.figures
    cells = []
    for column in columns:
        if column.key == "response":
            cells.append(Cell(record.response or "(nothing)", "out" if sample.left_out else ""))
        elif column.key == "query":
            cells.append(Cell(record.query, "muted"))
        elif column.key == "judgement":
            cells.append(Cell(judgements_in_short(sample), "accent"))
        elif column.key == "length":
            cells.append(
                Cell(f"{record.length}" if record.ended else f"{record.length}…", "" if record.ended else "warn")
            )
        elif column.key == "sample":
            cells.append(Cell(f"{record.row}", "muted"))
        else:
            cells.append(Cell(short_number(figures.get(column.key)), _style(column.key, sample)))
    return cells


def _style(key: str, sample: SampleRow) -> str:
    if sample.left_out:
        return "out"
    if key == "reward":
        return "accent" if sample.edited else "bold"
    return ""


def judgements_in_short(sample: SampleRow) -> str:
    """A person's judgements of a sample, in five cells: `=` a reward, `x` left out, `+1` a rating."""
    rating = f"{sample.rating:+g}" if sample.rating else ""
    return f"{'=' if sample.edited else ''}{'x' if sample.left_out else ''}{rating}"


def sorted_rows(rows: Sequence[SampleRow], key: str, largest_first: bool) -> list[SampleRow]:
    """The rows sorted by a column; rows without a number come last in both directions."""
    if key in ("query", "response"):
        return sorted(rows, key=lambda row: getattr(row.record, key).lower(), reverse=largest_first)
    if key == "judgement":
        return sorted(rows, key=judgements_in_short, reverse=largest_first)

    def order(row: SampleRow) -> tuple[bool, float]:
        value = row.figures.get(key)
        none = value is None or math.isnan(value)
        return none, 0.0 if none or value is None else (-value if largest_first else value)

    return sorted(rows, key=order)


# Tokens ---------------------------------------------------------------------------------------------------------------

TOKEN_FIGURES = {
    "kl": "KL",
    "difference": "logp-ref.",
    "advantage": "advantage",
    "value": "value",
    "return": "return",
    "ratio": "ratio",
    "entropy": "entropy",
    "probability": "probability",
    "reward": "reward",
}
"""The figures that tokens can be shaded by, and their labels."""

TOKEN_COLUMNS_SHOWN = (
    Column("token", "#", 4),
    Column("text", "token", 14, text=True),
    Column("probability", "prob.", 7),
    Column("reference", "ref.", 7),
    Column("difference", "lp-ref", 7),
    Column("kl", "KL", 7),
    Column("entropy", "entropy", 7),
    Column("reward", "reward", 7),
    Column("value", "value", 7),
    Column("advantage", "adv.", 7),
    Column("return", "return", 7),
    Column("ratio", "ratio", 7),
    Column("id", "id", 6),
    Column("counts", "counts", 6),
)


def token_figures(table: TokenTable) -> dict[str, list[float]]:
    """By figure, one number for each token: the journalled figures and those computed from them."""
    columns = {name: table.columns.get(name, [math.nan] * len(table.ids)) for name in TOKEN_COLUMNS}
    ours, theirs = columns["logprob"], columns["ref_logprob"]
    return {
        **columns,
        "probability": [math.exp(min(value, 0.0)) for value in ours],
        "reference": [math.exp(min(value, 0.0)) for value in theirs],
        "difference": [one - other for one, other in zip(ours, theirs, strict=True)],
    }


def token_cells(table: TokenTable, figures: Mapping[str, Sequence[float]], index: int) -> Row:
    """A line of the table of tokens."""
    cells = [Cell(f"{index}", "muted"), Cell(token_word(table.texts[index]), "bold")]
    for column in TOKEN_COLUMNS_SHOWN[2:-2]:
        cells.append(Cell(short_number(figures[column.key][index], 3)))
    return [*cells, Cell(f"{table.ids[index]}", "muted"), Cell("" if table.counts[index] else "no", "warn")]


def token_word(text: str) -> str:
    """The text of a token, with a mark if it begins with a space."""
    return f"·{text[1:]}" if text.startswith(" ") else text
