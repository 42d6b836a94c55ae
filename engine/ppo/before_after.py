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
from looptop.engine.files.private import read_regular
from looptop.engine.files.replacing import replace_private
from looptop.engine.text import visible

FILE = "comparison.json"
"""The name of the result's file in the run's folder."""

MAX_BYTES = 256 * 2**20
"""The largest size of the result's file."""


class ComparePair(Struct, frozen=True):
    """One query and both responses to it, drawn with the same random numbers."""

    index: int
    """The query's index in the data."""
    query: str
    before: str
    """The reference's response."""
    after: str
    """The tuned model's response."""
    reward_before: float
    reward_after: float
    scores_before: dict[str, float]
    """The scores, by the name of the reward's part."""
    scores_after: dict[str, float]
    kl: float
    """The KL of the tuned model's response, in nats."""

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
    """The lower end of the difference's 95 % bootstrap interval."""
    high: float
    """The upper end of that interval."""
    p: float
    """The p-value of Wilcoxon's signed-rank test, two-sided."""
    n: int
    """The number of pairs."""


class CompareResult(Struct, frozen=True):
    """The result of a comparison."""

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
    try:
        replace_private(path, encode_json(result), make_folder=False)
    except OSError as error:
        raise LooptopError(f"cannot write {visible(path)}: {error.strerror}") from None
    return path


def file_version(folder: Path) -> tuple[int, int] | None:
    """Inode and time in nanoseconds of the result, which change when it is written again; None if there is none."""
    try:
        status = (folder / FILE).lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def load(folder: Path) -> CompareResult | None:
    """The result in a run's folder; None if there is none yet.

    Raises:
        LooptopError: The result cannot be read.
    """
    path = folder / FILE
    try:
        return msgspec.convert(_with_nan(msgspec.json.decode(read_regular(path, MAX_BYTES))), CompareResult)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LooptopError(f"cannot read {visible(path)}: {error.strerror}") from None
    except UNREADABLE:
        raise LooptopError(f"{visible(path)} is damaged; `looptop compare` makes it again") from None


def _with_nan(data: Any) -> Any:
    """Replaces null by NaN, which JSON cannot write (the p-value if all differences are 0)."""
    if isinstance(data, dict):
        return {key: _with_nan(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_with_nan(value) for value in data]
    return math.nan if data is None else data
