"""Takes down a batch while it is made, and journals it: when it is held, when it takes long, and when it is done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.models.token_text import number_text, token_of
from looptop.engine.ppo import journal as tables
from looptop.engine.ppo.algorithm import Targets
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.compare import Comparison
from looptop.engine.ppo.records import TOKEN_COLUMNS, BatchRecord, Mark, Place, SampleRecord
from looptop.engine.ppo.rollout import Rollout, means
from looptop.engine.ppo.statistics import MiniBatch, Statistics

DUE_SECONDS = 1.0
"""A batch that takes longer to its next place is journalled on its way."""

Numbers = npt.NDArray[np.float32]


class Draft:
    """A batch in the making.

    Attributes:
        step: The Trainer's step that it becomes.
        rollout: Queries and responses.
        place: How far it has come.
        seconds: How long the way to each place took.
        scores: By the name of what gave them.
        rewards: The models' weighted sums, less penalties.
        quality: What the data's own judge says, a mapping a sample.
        references: The reference's responses, by row.
        marks: What a practitioner would look at.
    """

    def __init__(self, step: int, rollout: Rollout) -> None:
        self.step = step
        self.rollout = rollout
        self.place: Place = "generated"
        self.seconds: dict[str, float] = {}
        self.scores: dict[str, list[float]] = {}
        self.rewards: list[float] = []
        self.quality: list[dict[str, float]] = []
        self.references: dict[int, str] = {}
        self.marks: tuple[Mark, ...] = ()
        self.columns: dict[str, Numbers] = {}
        """Of each of `TOKEN_COLUMNS` that is known, `[samples, response length]`; NaN where a sample was left out."""
        self.mask: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.rollout.texts)

    def compared(self, batch: Batch, comparison: Comparison) -> None:
        """Takes down what policy and reference say."""
        self.mask = batch.mask.cpu().numpy()
        parts = {
            "logprob": comparison.logprobs,
            "ref_logprob": comparison.ref_logprobs,
            "kl": comparison.kl,
            "entropy": comparison.entropy,
            "value": comparison.values,
        }
        self.columns |= {name: _array(part) for name, part in parts.items()}

    def updated(self, kept: Tensor, taught: Targets, mini_batches: Sequence[MiniBatch]) -> None:
        """Takes down what was taught, and the ratios of the last pass.

        Args:
            kept: Rows of the samples that took part, `[samples]`.
            taught: Of these.
            mini_batches: All of the update, in order; their rows count among the kept.
        """
        ratio = torch.ones_like(taught.rewards)
        seen: set[int] = set()
        for part in reversed(mini_batches):
            new = [place for place, row in enumerate(part.rows.tolist()) if row not in seen]
            seen.update(part.rows[new].tolist())
            ratio[part.rows[new], : part.ratio.shape[1]] = part.ratio[new]
        found = {
            "reward": taught.rewards,
            "advantage": taught.advantages,
            "return": taught.returns,
            "ratio": ratio,
        }
        rows = kept.cpu().numpy()
        for name, tensor in found.items():
            column = np.full(self.columns["kl"].shape, np.nan, dtype=np.float32)
            column[rows, : tensor.shape[1]] = _array(tensor)
            self.columns[name] = column

    def of_samples(self, name: str, how: Any = np.nanmean) -> list[float | None]:
        """A column's mean (or sum, or largest) over the tokens of each sample; None where it is not known."""
        if name not in self.columns or self.mask is None:
            return [None] * len(self)
        values = []
        for row, mask in zip(self.columns[name], self.mask, strict=True):
            there = row[mask]
            values.append(None if not len(there) or np.isnan(there).all() else float(how(there)))
        return values

    def samples(self) -> list[SampleRecord]:
        """What is known of each sample."""
        kl, entropy = self.of_samples("kl", np.sum), self.of_samples("entropy")
        advantage, ratio = self.of_samples("advantage"), self.of_samples("ratio", np.nanmax)
        records = []
        for row, (query, text) in enumerate(zip(self.rollout.queries, self.rollout.texts, strict=True)):
            records.append(
                SampleRecord(
                    row=row,
                    data_index=query.index,
                    query=query.text,
                    response=text,
                    ended=self.rollout.responses.ended[row],
                    length=len(self.rollout.responses.ids[row]),
                    query_cut=query.cut,
                    reference_response=self.references.get(row),
                    scores={name: scores[row] for name, scores in self.scores.items()},
                    reward=self.rewards[row] if self.rewards else None,
                    kl=kl[row],
                    advantage=advantage[row],
                    entropy=entropy[row],
                    ratio=ratio[row],
                    quality=self.quality[row] if self.quality else {},
                )
            )
        return records

    def token_blobs(self) -> list[tuple[int, bytes]]:
        """Each response's row, and its tokens as the journal keeps them; none before they are compared."""
        if self.mask is None:
            return []
        unknown = np.full(self.mask.shape, np.nan, dtype="<f4")
        # [columns, samples, response length] in one piece: a row is then cut out of it at once.
        stacked = np.stack([self.columns.get(name, unknown) for name in TOKEN_COLUMNS]).astype("<f4", copy=False)
        blobs = []
        for row, ids in enumerate(self.rollout.responses.ids):
            counts = self.mask[row, : len(ids)].astype(np.uint8).tobytes()
            numbers = stacked[:, row, : len(ids)].tobytes()
            blobs.append((row, tables.pack(np.asarray(ids, dtype="<i4").tobytes(), counts, [numbers])))
        return blobs


class Recorder:
    """Journals batches.

    Args:
        journal: The run's.
        tokenizer: The policy's.
    """

    def __init__(self, journal: JournalWriter, tokenizer: Any) -> None:
        self._journal = journal
        self._tokenizer = tokenizer
        self._known: set[int] = set()
        self._written = 0.0

    def write_when_due(self, draft: Draft) -> None:
        """Journals a batch on its way where that is not too often."""
        if time.monotonic() - self._written >= DUE_SECONDS:
            self.write(draft)

    def write(self, draft: Draft) -> None:
        """Journals a batch as far as it has come."""
        self._written = time.monotonic()
        self._write_pieces(draft)
        tables.write_samples(self._journal, draft.step, draft.samples())
        tables.write_tokens(self._journal, draft.step, draft.token_blobs())
        tables.write_batch(
            self._journal,
            BatchRecord(draft.step, draft.place, time.time(), len(draft), dict(draft.seconds), draft.marks),
        )

    def _write_pieces(self, draft: Draft) -> None:
        new = {number for ids in draft.rollout.responses.ids for number in ids} - self._known
        if new:
            self._known |= new
            tables.write_pieces(self._journal, {number: piece(self._tokenizer, number) for number in sorted(new)})


def piece(tokenizer: Any, number: int) -> str:
    """A token as a person reads it: with a space where a word begins; its number where the tokenizer has none such."""
    text = token_of(tokenizer, number)
    if text is None:
        return number_text(number)
    # SentencePiece and byte-level BPE each have a letter for the space, and the latter one for the line's end.
    return text.replace("\u2581", " ").replace("\u0120", " ").replace("\u010a", "\n")


def batch_figures(
    draft: Draft, statistics_of_trl: Statistics, used: Sequence[float], rows: Sequence[int] | None = None
) -> dict[str, float]:
    """The batch's metrics: TRL's scalars under TRL's names, and what TRL did not know of.

    Args:
        draft: The batch.
        statistics_of_trl: What the update reported; empty where there was none.
        used: The rewards that were used, a person's among them.
        rows: The samples that took part; all where None. Those that were left out count in nothing.
    """
    rows = range(len(draft)) if rows is None else rows
    scalars = {name: value for name, value in statistics_of_trl.items() if isinstance(value, float)}
    figures = {f"time/{place}": seconds for place, seconds in draft.seconds.items()}
    figures["time/batch"] = sum(draft.seconds.values())
    if not rows:
        return figures | scalars
    responses, queries = draft.rollout.responses, draft.rollout.queries
    rewards = [draft.rewards[row] for row in rows]
    figures |= {
        "env/reward_mean": statistics.fmean(rewards),
        "env/reward_std": statistics.stdev(rewards) if len(rows) > 1 else 0.0,
        "env/reward_used": statistics.fmean(used[row] for row in rows) if used else float("nan"),
        "env/length": statistics.fmean(len(responses.ids[row]) for row in rows),
        "env/cut": 1 - statistics.fmean(responses.ended[row] for row in rows),
        "env/distinct": len({draft.rollout.texts[row] for row in rows}) / len(rows),
        "env/query_cut": statistics.fmean(queries[row].cut for row in rows),
        **{f"scores/{name}": statistics.fmean(values[row] for row in rows) for name, values in draft.scores.items()},
        **means([draft.quality[row] for row in rows] if draft.quality else (), "quality/", leave_out=("distinct",)),
    }
    # Of a sample that was left out nothing is known here.
    ratios = [value for value in draft.of_samples("ratio", np.nanmax) if value is not None]
    if ratios:
        figures["ppo/policy/ratio_max"] = max(ratios)
    explained = explained_variance(draft)
    if explained is not None:
        figures["ppo/val/explained_centred"] = explained
    return figures | scalars


def explained_variance(draft: Draft) -> float | None:
    """How much of the returns the values explained before the update: `1 - var(returns - values) / var(returns)`.

    Unlike TRL's `ppo/val/var_explained`, a bias that all values share does not count. None where there was no update,
    or all returns are the same.
    """
    if "return" not in draft.columns or draft.mask is None:
        return None
    returns = draft.columns["return"].astype(np.float64)
    known = draft.mask & ~np.isnan(returns)
    returns, values = returns[known], draft.columns["value"].astype(np.float64)[known]
    if len(returns) < 2 or not np.isfinite(returns).all() or not (spread := float(np.var(returns))):
        return None
    return 1 - float(np.var(returns - values)) / spread


def _array(tensor: Tensor) -> Numbers:
    array: Numbers = tensor.detach().float().cpu().numpy()
    return array


def sample_columns(draft: Draft, used: Sequence[float], rows: Sequence[int] | None = None) -> dict[str, list[float]]:
    """What a condition can ask of samples: figure to a number a sample, as far as it is known.

    Args:
        draft: The batch.
        used: The rewards, a person's among them; empty before they are known.
        rows: The samples that take part; all where None.
    """
    rows = range(len(draft)) if rows is None else rows
    columns: dict[str, list[float]] = {"length": [float(len(ids)) for ids in draft.rollout.responses.ids]}
    if used:
        columns["reward"] = list(used)
    columns |= draft.scores
    for name in draft.quality[0] if draft.quality else ():
        columns[name] = [row[name] for row in draft.quality]
    nothing = float("nan")
    for name, how, unknown in (
        ("kl", np.sum, nothing),
        ("entropy", np.mean, nothing),
        ("advantage", np.nanmean, 0.0),
        ("ratio", np.nanmax, 1.0),
    ):
        if name in draft.columns:
            columns[name] = [unknown if value is None else value for value in draft.of_samples(name, how)]
    return {name: [values[row] for row in rows] for name, values in columns.items()}
