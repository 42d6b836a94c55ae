"""Before and after (fig 7.14): reference and tuned model on the same unseen queries, with the same random numbers.

The result is kept with the run; `paired_comparison` makes it. Without torch, so that screens can read it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from looptop.engine.encoding import encode_json
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import read_regular, write_private
from looptop.engine.text import visible

FILE = "comparison.json"
"""Its name in the run's folder."""

LARGEST = 256 * 2**20
"""Bytes that it may have."""


class ComparePair(Struct, frozen=True):
    """One query and both responses to it, drawn with the same random numbers."""

    index: int
    """Of the query in the data."""
    query: str
    before: str
    """The reference's response."""
    after: str
    """The tuned model's."""
    reward_before: float
    reward_after: float
    scores_before: dict[str, float]
    """By the name of the reward's part."""
    scores_after: dict[str, float]
    kl: float
    """Of the tuned model's response, in nats."""

    @property
    def change(self) -> float:
        """The reward after tuning minus that before."""
        return self.reward_after - self.reward_before


class CompareFigure(Struct, frozen=True):
    """One figure over all pairs."""

    before: float
    after: float
    difference: float
    """The mean of the paired differences."""
    low: float
    """Of the difference's 95 % bootstrap interval."""
    high: float
    p: float
    """Wilcoxon's signed-rank test, two-sided."""
    n: int


class CompareResult(Struct, frozen=True):
    """All of a comparison."""

    run: str
    n: int
    seed: int
    data: str
    """Where the queries came from."""
    rows: list[ComparePair]
    figures: dict[str, CompareFigure]
    """`reward` first, then each reward model's score and the other figures."""


def save(result: CompareResult, folder: Path) -> Path:
    """Writes the result into a run's folder, whole or not at all.

    Returns:
        The file.

    Raises:
        LooptopError: The folder cannot be written.
    """
    path = folder / FILE
    draft = folder / f".{FILE}"
    try:
        write_private(draft, encode_json(result))
        draft.replace(path)
    except OSError as error:
        raise LooptopError(f"cannot write {visible(path)}: {error.strerror}") from None
    return path


def written(folder: Path) -> tuple[int, int] | None:
    """Inode and time in nanoseconds of the result, which change when it is written again; None where there is none."""
    try:
        status = (folder / FILE).lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def load(folder: Path) -> CompareResult | None:
    """The result in a run's folder; None where there is none yet.

    Raises:
        LooptopError: It cannot be read.
    """
    path = folder / FILE
    try:
        return msgspec.convert(_with_nan(msgspec.json.decode(read_regular(path, LARGEST))), CompareResult)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LooptopError(f"cannot read {visible(path)}: {error.strerror}") from None
    except UNREADABLE:
        raise LooptopError(f"{visible(path)} is damaged; `looptop compare` makes it anew") from None


def _with_nan(data: Any) -> Any:
    """JSON has no word for NaN (a p of differences that are all 0); null stands for it."""
    if isinstance(data, dict):
        return {key: _with_nan(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_with_nan(value) for value in data]
    return math.nan if data is None else data
