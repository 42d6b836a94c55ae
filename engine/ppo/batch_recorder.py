"""Records a PPO batch as it passes through its stages: when it is held, when it takes long, and when it is done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.models.token_text import number_text, token_of
from looptop.engine.ppo import journal as tables
from looptop.engine.ppo.records import TOKEN_COLUMNS, BatchRecord, Mark, SampleRecord
from looptop.engine.ppo.rewards import mean_quality
from looptop.engine.ppo.step import BatchProgress

SECONDS_BETWEEN_WRITES = 1.0
"""A batch that takes longer than this to its next stage is recorded on its way."""

Numbers = npt.NDArray[np.float32]


class RecordedBatch:
    """A batch in progress, as the journal and the screens show it.

    Attributes:
        progress: The batch itself.
        seconds: How long each stage took, by its name.
        references: The reference's responses, by row.
        marks: Health checks that failed.
    """

    def __init__(self, progress: BatchProgress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self.references: dict[int, str] = {}
        self.marks: tuple[Mark, ...] = ()
        self._columns: dict[str, Numbers] = {}
        self._mask: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.progress)

    @property
    def step(self) -> int:
        """The Trainer's step that the batch is."""
        return self.progress.step

    @property
    def mask(self) -> npt.NDArray[np.bool_] | None:
        """Which tokens count, `[samples, response length]`; None before the batch is compared."""
        if self._mask is None and self.progress.batch is not None:
            self._mask = self.progress.batch.mask.cpu().numpy()
        return self._mask

    @property
    def columns(self) -> Mapping[str, Numbers]:
        """The columns of `TOKEN_COLUMNS` that are known, `[samples, response length]`; NaN for samples left out."""
        progress = self.progress
        if progress.comparison is not None and "kl" not in self._columns:
            parts = {
                "logprob": progress.comparison.logprobs,
                "ref_logprob": progress.comparison.ref_logprobs,
                "kl": progress.comparison.kl,
                "entropy": progress.comparison.entropy,
                "value": progress.comparison.values,
            }
            self._columns |= {name: _array(part) for name, part in parts.items()}
        if progress.stage == "updated" and progress.targets is not None and "ratio" not in self._columns:
            parts = {
                "reward": progress.targets.rewards,
                "advantage": progress.targets.advantages,
                "return": progress.targets.returns,
                "ratio": self._ratio_of_the_last_pass(progress.targets.rewards),
            }
            for name, part in parts.items():
                column = np.full(self._columns["kl"].shape, np.nan, dtype=np.float32)
                column[np.asarray(progress.rows), : part.shape[1]] = _array(part)
                self._columns[name] = column
        return self._columns

    def _ratio_of_the_last_pass(self, targets: Tensor) -> Tensor:
        ratio = torch.ones_like(targets)
        seen: set[int] = set()
        for part in reversed(self.progress.mini_batches):
            new = [index for index, row in enumerate(part.rows.tolist()) if row not in seen]
            seen.update(part.rows[new].tolist())
            ratio[part.rows[new], : part.ratio.shape[1]] = part.ratio[new]
        return ratio

    def of_samples(self, name: str, how: Any = np.nanmean) -> list[float | None]:
        """A column's mean (or sum, or largest) over the tokens of each sample; None if it is not known."""
        columns = self.columns
        if name not in columns or self.mask is None:
            return [None] * len(self)
        values = []
        for row, mask in zip(columns[name], self.mask, strict=True):
            known = row[mask]
            values.append(None if not len(known) or np.isnan(known).all() else float(how(known)))
        return values

    def samples(self) -> list[SampleRecord]:
        """The record of each sample, as far as it is known."""
        progress = self.progress
        kl, entropy = self.of_samples("kl", np.sum), self.of_samples("entropy")
        advantage, ratio = self.of_samples("advantage"), self.of_samples("ratio", np.nanmax)
        records = []
        for row, (query, text) in enumerate(zip(progress.rollout.queries, progress.rollout.texts, strict=True)):
            records.append(
                SampleRecord(
                    row=row,
                    data_index=query.index,
                    query=query.text,
                    response=text,
                    ended=progress.rollout.responses.ended[row],
                    length=len(progress.rollout.responses.ids[row]),
                    query_cut=query.cut,
                    reference_response=self.references.get(row),
                    scores={name: scores[row] for name, scores in progress.scores.items()},
                    reward=progress.rewards[row] if progress.rewards else None,
                    kl=kl[row],
                    advantage=advantage[row],
                    entropy=entropy[row],
                    ratio=ratio[row],
                    quality=progress.quality[row] if progress.quality else {},
                )
            )
        return records

    def token_blobs(self) -> list[tuple[int, bytes]]:
        """Each response's row, and its tokens as the journal keeps them; none before they are compared."""
        if self.mask is None:
            return []
        unknown = np.full(self.mask.shape, np.nan, dtype="<f4")
        # `[columns, samples, response length]`.
        columns = self.columns
        stacked = np.stack([columns.get(name, unknown) for name in TOKEN_COLUMNS]).astype("<f4", copy=False)
        blobs = []
        for row, ids in enumerate(self.progress.rollout.responses.ids):
            counts = self.mask[row, : len(ids)].astype(np.uint8).tobytes()
            numbers = stacked[:, row, : len(ids)].tobytes()
            blobs.append((row, tables.pack_tokens(np.asarray(ids, dtype="<i4").tobytes(), counts, [numbers])))
        return blobs


class Recorder:
    """Writes batches to the journal.

    Args:
        journal: The run's journal.
        tokenizer: The policy's tokenizer.
    """

    def __init__(self, journal: JournalWriter, tokenizer: Any) -> None:
        self._journal = journal
        self._tokenizer = tokenizer
        self._known: set[int] = set()
        self._written = 0.0

    def write_when_due(self, batch: RecordedBatch) -> None:
        """Records a batch unless that was done less than `SECONDS_BETWEEN_WRITES` ago."""
        if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self.write(batch)

    def write(self, batch: RecordedBatch) -> None:
        """Records what is known of a batch so far."""
        self._written = time.monotonic()
        self._write_pieces(batch)
        tables.write_samples(self._journal, batch.step, batch.samples())
        tables.write_tokens(self._journal, batch.step, batch.token_blobs())
        tables.write_batch(
            self._journal,
            BatchRecord(batch.step, batch.progress.stage, time.time(), len(batch), dict(batch.seconds), batch.marks),
        )

    def _write_pieces(self, batch: RecordedBatch) -> None:
        new = {number for ids in batch.progress.rollout.responses.ids for number in ids} - self._known
        if new:
            self._known |= new
            tables.write_pieces(self._journal, {number: piece(self._tokenizer, number) for number in sorted(new)})


def piece(tokenizer: Any, number: int) -> str:
    """A token as a person reads it: with a space where a word begins; its id if the tokenizer does not know it."""
    text = token_of(tokenizer, number)
    if text is None:
        return number_text(number)
    # SentencePiece and byte-level BPE each have a character for the space; BPE also has one for the line feed.
    return text.replace("\u2581", " ").replace("\u0120", " ").replace("\u010a", "\n")


def batch_figures(batch: RecordedBatch, used: Sequence[float], rows: Sequence[int] | None = None) -> dict[str, float]:
    """The batch's metrics: TRL's scalars under TRL's names, and some that TRL does not have.

    Args:
        batch: The batch.
        used: The rewards that were used, a person's among them.
        rows: The samples that took part, or None for all. Samples that were left out do not count in any figure.
    """
    progress, rows = batch.progress, range(len(batch)) if rows is None else rows
    scalars = {name: value for name, value in progress.statistics.items() if isinstance(value, float)}
    figures = {f"time/{stage}": seconds for stage, seconds in batch.seconds.items()}
    figures["time/batch"] = sum(batch.seconds.values())
    if not rows:
        return figures | scalars
    responses, queries = progress.rollout.responses, progress.rollout.queries
    rewards = [progress.rewards[row] for row in rows]
    figures |= {
        "env/reward_mean": statistics.fmean(rewards),
        "env/reward_std": statistics.stdev(rewards) if len(rows) > 1 else 0.0,
        "env/reward_used": statistics.fmean(used[row] for row in rows) if used else float("nan"),
        "env/length": statistics.fmean(len(responses.ids[row]) for row in rows),
        "env/cut": 1 - statistics.fmean(responses.ended[row] for row in rows),
        "env/distinct": len({progress.rollout.texts[row] for row in rows}) / len(rows),
        "env/query_cut": statistics.fmean(queries[row].cut for row in rows),
        **{f"scores/{name}": statistics.fmean(values[row] for row in rows) for name, values in progress.scores.items()},
        **mean_quality([progress.quality[row] for row in rows] if progress.quality else ()),
    }
    # None for samples that were left out.
    ratios = [value for value in batch.of_samples("ratio", np.nanmax) if value is not None]
    if ratios:
        figures["ppo/policy/ratio_max"] = max(ratios)
    explained = explained_variance(batch)
    if explained is not None:
        figures["ppo/val/explained_centred"] = explained
    return figures | scalars


def explained_variance(batch: RecordedBatch) -> float | None:
    """How much of the returns the values explained before the update: `1 - var(returns - values) / var(returns)`.

    Unlike TRL's `ppo/val/var_explained`, a bias that all values share does not count. None if there was no update,
    or all returns are the same.
    """
    if "return" not in batch.columns or batch.mask is None:
        return None
    returns = batch.columns["return"].astype(np.float64)
    known = batch.mask & ~np.isnan(returns)
    returns, values = returns[known], batch.columns["value"].astype(np.float64)[known]
    if len(returns) < 2 or not np.isfinite(returns).all() or not (spread := float(np.var(returns))):
        return None
    return 1 - float(np.var(returns - values)) / spread


def _array(tensor: Tensor) -> Numbers:
    array: Numbers = tensor.detach().float().cpu().numpy()
    return array


def sample_columns(
    batch: RecordedBatch, used: Sequence[float], rows: Sequence[int] | None = None
) -> dict[str, list[float]]:
    """The figures of samples that a condition can use: for each known figure, one number per sample.

    Args:
        batch: The batch.
        used: The rewards that are used, a person's among them; empty before they are known.
        rows: The samples that take part, or None for all.
    """
    progress, rows = batch.progress, range(len(batch)) if rows is None else rows
    columns: dict[str, list[float]] = {"length": [float(len(ids)) for ids in progress.rollout.responses.ids]}
    if used:
        columns["reward"] = list(used)
    columns |= progress.scores
    for name in progress.quality[0] if progress.quality else ():
        columns[name] = [row[name] for row in progress.quality]
    nan = float("nan")
    for name, how, unknown in (
        ("kl", np.sum, nan),
        ("entropy", np.mean, nan),
        ("advantage", np.nanmean, 0.0),
        ("ratio", np.nanmax, 1.0),
    ):
        if name in batch.columns:
            columns[name] = [unknown if value is None else value for value in batch.of_samples(name, how)]
    return {name: [values[row] for row in rows] for name, values in columns.items()}
