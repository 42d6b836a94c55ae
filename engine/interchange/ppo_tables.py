"""PPO's batches, samples and tokens as plain tables, with a column for each figure."""

from __future__ import annotations

from collections.abc import Iterator

from looptop.engine.errors import LooptopError
from looptop.engine.interchange.table import Row, Table
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import TOKEN_COLUMNS, SampleRecord

BATCHES_PER_PAGE = 50

_SAMPLE = {
    "batch": int, "sample": int, "data_index": int, "query": str, "response": str, "reference_response": str,
    "ended": bool, "query_cut": bool, "length": int, "reward": float, "person_reward": float, "left_out": bool,
    "rating": float, "kl": float, "advantage": float, "entropy": float, "ratio": float,
}  # fmt: skip


def ppo_tables(journal: PpoJournal, wanted: tuple[int, int] | None = None) -> list[Table]:
    """The tables of a PPO run; none if it has no batches.

    Args:
        journal: The run's journal.
        wanted: The first and the last batch; None for all.

    Raises:
        LooptopError: The run has none of the wanted batches.
    """
    steps = journal.batch_steps()
    if wanted is not None:
        chosen = [step for step in steps if wanted[0] <= step <= wanted[1]]
        if not chosen:
            batches = f"its batches are {steps[0]} to {steps[-1]}" if steps else "it has no batches"
            raise LooptopError(f"there is no batch from {wanted[0]} to {wanted[1]} in this run: {batches}")
        steps = chosen
    if not steps:
        return []
    spans = _spans(steps)
    of_any = next((samples[0] for step in steps if (samples := journal.samples(step))), None)
    scores, quality = (list(of_any.scores), list(of_any.quality)) if of_any is not None else ([], [])
    names = [name for name in journal.names() if not name.startswith(("eval_", "train_"))]
    return [
        Table(
            "batches",
            {"batch": int, "stage": str, "time": float, "samples": int, "marks": str} | dict.fromkeys(names, float),
            lambda: _batches(journal, names, spans),
            parts=len(spans),
        ),
        Table(
            "samples",
            _SAMPLE | {f"score_{name}": float for name in scores} | {f"quality_{name}": float for name in quality},
            lambda: _samples(journal, scores, quality, spans),
            parts=len(spans),
        ),
        Table(
            "tokens",
            {"batch": int, "sample": int, "token": int, "id": int, "text": str, "counts": bool}
            | dict.fromkeys(TOKEN_COLUMNS, float),
            lambda: _tokens(journal, steps),
            parts=len(steps),
        ),
    ]


def _spans(steps: list[int]) -> list[list[int]]:
    return [steps[begin : begin + BATCHES_PER_PAGE] for begin in range(0, len(steps), BATCHES_PER_PAGE)]


def _batches(journal: PpoJournal, names: list[str], spans: list[list[int]]) -> Iterator[list[Row]]:
    for span in spans:
        figures = journal.figures(names, span[0], span[-1])
        yield [
            (
                batch.step,
                batch.stage,
                batch.time,
                batch.samples,
                " ".join(mark.kind for mark in batch.marks),
                *(figures.get(batch.step, {}).get(name) for name in names),
            )
            for batch in journal.batches(span[0], span[-1])
        ]


def _samples(journal: PpoJournal, scores: list[str], quality: list[str], spans: list[list[int]]) -> Iterator[list[Row]]:
    for span in spans:
        yield [row for step in span for row in _samples_of(journal, step, scores, quality)]


def _samples_of(journal: PpoJournal, step: int, scores: list[str], quality: list[str]) -> Iterator[Row]:
    judgements: dict[tuple[int, str], float | None] = {
        (each.row, each.kind): each.value for each in journal.judgements(step)
    }
    for sample in journal.samples(step):
        yield (
            step,
            *_of_sample(sample, judgements),
            *(sample.scores.get(name) for name in scores),
            *(sample.quality.get(name) for name in quality),
        )


def _of_sample(sample: SampleRecord, judgements: dict[tuple[int, str], float | None]) -> Row:
    return (
        sample.row,
        sample.data_index,
        sample.query,
        sample.response,
        sample.reference_response,
        sample.ended,
        sample.query_cut,
        sample.length,
        sample.reward,
        judgements.get((sample.row, "reward")),
        bool(judgements.get((sample.row, "leave_out"))),
        judgements.get((sample.row, "rating")),
        sample.kl,
        sample.advantage,
        sample.entropy,
        sample.ratio,
    )


def _tokens(journal: PpoJournal, steps: list[int]) -> Iterator[list[Row]]:
    for step in steps:
        rows: list[Row] = []
        for sample in journal.samples(step):
            table = journal.tokens(step, sample.row)
            if table is None:
                continue
            for index, token_id in enumerate(table.ids):
                figures = (table.columns[name][index] for name in TOKEN_COLUMNS)
                rows.append((step, sample.row, index, token_id, table.texts[index], table.counts[index], *figures))
        yield rows
