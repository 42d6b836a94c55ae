"""Prints the results of commands: on stdout either lines for people, or one JSON object and nothing else."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from looptop.engine.compute.threads import WAIT_POLICY
from looptop.engine.text import visible, visible_lines
from looptop.engine.times import UNKNOWN, is_duration, local_time

_WIDEST = 200
"""The most cells of a column; a longer text overflows it."""


def say(line: str = "") -> None:
    """Prints a line for people; control characters, which could act on the terminal, are made visible."""
    sys.stdout.write(visible_lines(line) + "\n")


def note(line: str) -> None:
    """Prints a line on stderr, for what is not part of the result."""
    sys.stderr.write(visible_lines(line) + "\n")
    sys.stderr.flush()


def say_json(value: Mapping[str, Any]) -> None:
    """Prints the JSON object; NaN and infinity, which JSON does not have, become null."""
    sys.stdout.write(json.dumps(_finite(value), allow_nan=False) + "\n")


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """While the block runs, libraries show no progress bars and hints and print nothing on stdout."""
    for name, value in {
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **WAIT_POLICY,
    }.items():
        os.environ.setdefault(name, value)
    with contextlib.redirect_stdout(sys.stderr):
        yield


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> Iterator[str]:
    """The lines of a table whose columns are as wide as their longest text.

    Args:
        header: The columns' names.
        rows: Of each row one text a column.
        right: The columns that are aligned to the right.
    """
    # Without a limit, one very long text would pad every other row to its length.
    widths = [min(_WIDEST, max(len(line[i]) for line in [header, *rows])) for i in range(len(header))]
    for line in [header, *rows]:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(header, line, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def percent(fraction: float | None, decimals: int = 1) -> str:
    """A fraction from 0 to 1 as `93.2 %`; `-` for None and NaN."""
    return "-" if fraction is None or math.isnan(fraction) else f"{limited(100 * fraction, f'.{decimals}f')} %"


def probability(fraction: float) -> str:
    """A probability as `93.2 %`. It is 0 or 100 only if it is exactly that."""
    if 0 < fraction < 0.0005:
        return "<0.1 %"
    return ">99.9 %" if 0.9995 <= fraction < 1 else percent(fraction)


def number(value: float | None) -> str:
    """A figure with four significant digits; `-` for None."""
    return "-" if value is None else f"{value:.4g}"


def limited(value: float, form: str) -> str:
    """A figure in this format; one that would take dozens of digits (1e300) with four."""
    return f"{value:{form}}" if abs(value) < 1e12 else f"{value:.4g}"


def cut(text: str, longest: int) -> str:
    """The text, cut to at most `longest` characters; an ellipsis replaces the rest."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def duration(seconds: float) -> str:
    """Seconds as `0:07`, `12:34`, `1:02:03`; `?` if the number is not a possible duration."""
    if not math.isfinite(seconds) or (seconds > 0 and not is_duration(seconds)):
        return UNKNOWN
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def moment(seconds: float | None) -> str:
    """A point in time in local time; `-` for None, `?` if the number is not a possible time."""
    return "-" if seconds is None else local_time(seconds, "%Y-%m-%d %H:%M")


def safe_lines(text: str) -> str:
    """Text from outside with its control characters made visible; line breaks stay."""
    return visible(text, keep_lines=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
