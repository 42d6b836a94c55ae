"""The tables of a PPO run's journal: batches, samples, tokens and their texts, judgements, breakpoints. Needs no torch.

A response's tokens are one blob: ids (32 bits each), whether each is part of the loss (8 bits), then one 32-bit number
per token for each of `TOKEN_COLUMNS`. The texts of tokens are kept once, by id.
"""

from __future__ import annotations

import math
import sys
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from looptop.engine.encoding import encode_json
from looptop.engine.journal import decode
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.schema import TOKEN_KEY_STRIDE
from looptop.engine.journal.writer import JournalWriter, storable
from looptop.engine.ppo.records import (
    STAGES,
    TOKEN_COLUMNS,
    BatchRecord,
    Judgement,
    JudgementKind,
    Mark,
    SampleRecord,
    TokenTable,
)
from looptop.engine.text import visible
from looptop.engine.times import is_duration

_BATCH = "INSERT OR REPLACE INTO ppo_batches VALUES (?, ?, ?, ?, ?, ?)"
_SAMPLE = f"INSERT OR REPLACE INTO ppo_samples VALUES ({', '.join('?' * 16)})"
_TOKENS = "INSERT OR REPLACE INTO ppo_tokens VALUES (?, ?)"
_PIECE = "INSERT OR IGNORE INTO ppo_pieces VALUES (?, ?)"
_JUDGEMENT = "INSERT OR REPLACE INTO ppo_judgements VALUES (?, ?, ?, ?, ?, ?)"
_REMOVE_JUDGEMENT = "DELETE FROM ppo_judgements WHERE step = ? AND row = ? AND kind = ?"
_READ_SAMPLE = (
    "SELECT row, data_index, query, response, ended, length, query_cut, reference_response, scores, reward, kl,"
    " advantage, entropy, ratio, quality FROM ppo_samples"
)
_READ_BATCH = "SELECT step, place, time, samples, seconds, marks FROM ppo_batches"
_READ_JUDGEMENT = "SELECT step, row, kind, value, time, by FROM ppo_judgements"


# Writing, by whoever holds the run's lock -----------------------------------------------------------------------------


def write_batch(journal: JournalWriter, batch: BatchRecord) -> None:
    """Writes how far a batch has come; it replaces an earlier record of the same step."""
    seconds, marks = (encode_json(part).decode() for part in (batch.seconds, batch.marks))
    journal.rows(_BATCH, [(batch.step, batch.stage, batch.time, batch.samples, seconds, storable(marks))])


def write_samples(journal: JournalWriter, step: int, samples: Iterable[SampleRecord]) -> None:
    """Writes samples as far as they are known; they replace earlier records of the same step and rows."""
    journal.rows(
        _SAMPLE,
        [
            (
                step,
                sample.row,
                sample.data_index,
                storable(sample.query),
                storable(sample.response),
                None if sample.reference_response is None else storable(sample.reference_response),
                sample.ended,
                sample.query_cut,
                sample.length,
                _numbers_as_json(sample.scores),
                sample.reward,
                sample.kl,
                sample.advantage,
                sample.entropy,
                sample.ratio,
                _numbers_as_json(sample.quality),
            )
            for sample in samples
        ],
    )


def write_tokens(journal: JournalWriter, step: int, tables: Iterable[tuple[int, bytes]]) -> None:
    """Writes responses' tokens: row and blob of each (`pack_tokens`)."""
    journal.rows(_TOKENS, [(_token_key(step, row), blob) for row, blob in tables])


def write_pieces(journal: JournalWriter, pieces: Mapping[int, str]) -> None:
    """Writes the texts of tokens, by id; texts that are stored already are kept."""
    journal.rows(_PIECE, [(number, storable(text)) for number, text in pieces.items()])


def write_judgement(
    journal: JournalWriter, step: int, row: int, kind: JudgementKind, value: float | None, by: str
) -> None:
    """Writes a judgement of a sample; the value None removes it."""
    if value is None:
        journal.rows(_REMOVE_JUDGEMENT, [(step, row, kind)])
    else:
        journal.rows(_JUDGEMENT, [(step, row, kind, value, time.time(), by)])


def pack_tokens(ids: bytes, counts: bytes, columns: Sequence[bytes]) -> bytes:
    """One response's tokens as the journal keeps them.

    Args:
        ids: Token ids, little-endian 32-bit integers.
        counts: One byte per token, 1 if it counts in KL, reward and loss.
        columns: The figures of all `TOKEN_COLUMNS`, column after column, little-endian 32-bit floats; in one or
            several pieces.
    """
    return b"".join([ids, counts, *columns])


# Reading, by any process ----------------------------------------------------------------------------------------------


class PpoJournal(Journal):
    """Reads a PPO run's journal: the tables of every run, and batches, samples, tokens and judgements."""

    def last_batch(self) -> BatchRecord | None:
        """The newest batch."""
        with self._read() as read:
            rows = read(f"{_READ_BATCH} ORDER BY step DESC LIMIT 1").fetchall() if read else []
        return _batch(rows[0]) if rows and isinstance(rows[0][0], int) else None

    def batch(self, step: int) -> BatchRecord | None:
        """The batch of a step."""
        batches = self.batches(step, step)
        return batches[0] if batches else None

    def batches(self, first: int = 0, last: int = 2**62) -> list[BatchRecord]:
        """The batches of these steps, both included."""
        with self._read() as read:
            if not read:
                return []
            rows = read(f"{_READ_BATCH} WHERE step BETWEEN ? AND ? ORDER BY step", (first, last)).fetchall()
        return [_batch(row) for row in rows if isinstance(row[0], int)]

    def batch_span(self) -> tuple[int, int, int]:
        """First and last step of the batches, and how many there are; zeros if there are none."""
        with self._read() as read:
            if not read:
                return 0, 0, 0
            first, last, count = read("SELECT min(step), max(step), count(*) FROM ppo_batches").fetchone()
        return (first, last, count) if isinstance(first, int) and isinstance(last, int) else (0, 0, 0)

    def batch_steps(self) -> list[int]:
        """The steps of all batches."""
        with self._read() as read:
            rows = read("SELECT step FROM ppo_batches ORDER BY step").fetchall() if read else []
        return [step for (step,) in rows if isinstance(step, int)]

    def batch_ends(self) -> tuple[int, int]:
        """First and last step of the batches, without counting them; zeros if there are none."""
        with self._read() as read:
            if not read:
                return 0, 0
            first, last = (read(f"SELECT {end}(step) FROM ppo_batches").fetchone()[0] for end in ("min", "max"))
        return (first, last) if isinstance(first, int) and isinstance(last, int) else (0, 0)

    def figures(self, names: Sequence[str], first: int, last: int) -> dict[int, dict[str, float | None]]:
        """Metrics of these steps (both included), by step and name; NaN is returned as None."""
        out: dict[int, dict[str, float | None]] = {}
        with self._read() as read:
            if not read:
                return out
            for name in names:
                rows = read(
                    "SELECT step, value FROM metrics WHERE name = (SELECT id FROM names WHERE name = ?)"
                    " AND step BETWEEN ? AND ?",
                    (storable(name), first, last),
                )
                for step, value in rows.fetchall():
                    out.setdefault(step, {})[name] = decode.real(value)
        return out

    def samples(self, step: int) -> list[SampleRecord]:
        """The samples of a batch, by their rows."""
        with self._read() as read:
            rows = read(f"{_READ_SAMPLE} WHERE step = ? ORDER BY row", (step,)).fetchall() if read else []
        return [_sample(row) for row in rows if isinstance(row[0], int)]

    def sample(self, step: int, row: int) -> SampleRecord | None:
        """One sample of a batch; None if it is not recorded."""
        with self._read() as read:
            rows = read(f"{_READ_SAMPLE} WHERE step = ? AND row = ?", (step, row)).fetchall() if read else []
        return _sample(rows[0]) if rows and isinstance(rows[0][0], int) else None

    def tokens(self, step: int, row: int) -> TokenTable | None:
        """The tokens of a sample's response; None if they are not known (yet)."""
        with self._read() as read:
            if not read:
                return None
            row_of_tokens = read("SELECT tokens FROM ppo_tokens WHERE place = ?", (_token_key(step, row),)).fetchone()
            if row_of_tokens is None or not isinstance(row_of_tokens[0], bytes):
                return None
            ids, counts, columns = _unpack_tokens(row_of_tokens[0])
            placeholders = ", ".join("?" * len(set(ids)))
            texts = dict(
                read(f"SELECT id, text FROM ppo_pieces WHERE id IN ({placeholders})", list(set(ids))).fetchall()
            )
        return TokenTable(ids, [decode.text(texts.get(number, f"<{number}>")) for number in ids], counts, columns)

    def judgements(self, step: int | None = None) -> list[Judgement]:
        """The judgements of a batch's samples, or of all."""
        with self._read() as read:
            if not read:
                return []
            where = " WHERE step = ?" if step is not None else ""
            rows = read(
                f"{_READ_JUDGEMENT}{where} ORDER BY step, row, kind", () if step is None else (step,)
            ).fetchall()
        return [judgement for row in rows if (judgement := _judgement(row)) is not None]

    def breakpoints(self) -> list[str]:
        """The conditions of the breakpoints, in the order in which they were set."""
        with self._read() as read:
            rows = read("SELECT condition FROM breakpoints ORDER BY time, condition").fetchall() if read else []
        return [decode.text(condition) for (condition,) in rows]


def _token_key(step: int, row: int) -> int:
    return step * TOKEN_KEY_STRIDE + row


def _numbers_as_json(values: Mapping[str, float]) -> str:
    # JSON has no NaN; it is written as null.
    return encode_json({name: None if math.isnan(x) else x for name, x in values.items()}).decode()


def _batch(row: Sequence[Any]) -> BatchRecord:
    step, stage, when, samples, seconds, marks = row
    return BatchRecord(
        step,
        stage if stage in STAGES else STAGES[0],
        decode.moment(when),
        decode.count(samples),
        {name: length for name, length in decode.numbers(seconds).items() if is_duration(length)},
        tuple(
            msgspec.structs.replace(mark, kind=visible(mark.kind))
            for mark in decode.structure(marks, tuple[Mark, ...], ())
        ),
    )


def _judgement(row: Sequence[Any]) -> Judgement | None:
    """The judgement in a row; None if its sample or its kind cannot be read."""
    step, sample, kind, value, when, by = row
    if not isinstance(step, int) or not isinstance(sample, int) or kind not in get_args(JudgementKind):
        return None
    return Judgement(step, sample, kind, decode.real(value), decode.moment(when), decode.name(by))


def _sample(row: Sequence[Any]) -> SampleRecord:
    (number, data_index, query, response, ended, length, query_cut, reference, scores, *figures, quality) = row
    reward, kl, advantage, entropy, ratio = map(decode.real, figures)
    return SampleRecord(
        row=number,
        data_index=decode.count(data_index),
        query=decode.text(query),
        response=decode.text(response),
        ended=bool(ended),
        length=decode.count(length),
        query_cut=bool(query_cut),
        reference_response=None if reference is None else decode.text(reference),
        scores=decode.numbers(scores),
        reward=reward,
        kl=kl,
        advantage=advantage,
        entropy=entropy,
        ratio=ratio,
        quality=decode.numbers(quality),
    )


def _unpack_tokens(blob: bytes) -> tuple[list[int], list[bool], dict[str, list[float]]]:
    bytes_per_token = 4 + 1 + 4 * len(TOKEN_COLUMNS)
    count = len(blob) // bytes_per_token
    ids = _values("i", blob[: 4 * count])
    counts = [bool(byte) for byte in blob[4 * count : 5 * count]]
    numbers = _values("f", blob[5 * count : bytes_per_token * count])
    columns = {name: numbers[at * count : (at + 1) * count] for at, name in enumerate(TOKEN_COLUMNS)}
    return [int(number) for number in ids], counts, columns


def _values(kind: str, data: bytes) -> list[Any]:
    values = array(kind)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
