"""Limits, ticks and labels of axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from looptop.tui.plots.curves import ROUNDING_NOISE

LABEL_WIDTH = 7
"""The width of the labels at the left, in cells; fixed, so that all charts in a column are aligned."""


def scale(lowest: float, highest: float, count: int, log: bool) -> tuple[float, float, list[float]]:
    """Limits with a little air around the data, and round values between them: at least two."""
    if highest - lowest <= ROUNDING_NOISE * max(abs(lowest), abs(highest)):
        # A constant gets a label of its own, between two that show the height of the chart.
        apart = 1.0 if log else abs(highest) / 2 or 1.0
        return lowest - apart, lowest + apart, [lowest - apart, lowest, lowest + apart]
    spread = highest - lowest
    if log and spread >= count:
        unit = float(math.ceil(spread / count))
    else:
        rough = spread / count
        unit = _round_unit(rough)
    low = lowest - 0.02 * spread
    if lowest >= 0 > low and not log:
        low = 0.0
    high = highest + 0.02 * spread
    ticks = _multiples(low, high, unit)
    while len(ticks) < 2:
        unit /= 2
        ticks = _multiples(low, high, unit)
    return low, high, ticks


def _round_unit(rough: float) -> float:
    """The smallest round number that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)


def _multiples(low: float, high: float, unit: float) -> list[float]:
    first = math.ceil(low / unit - 1e-9)
    return [index * unit for index in range(first, math.floor(high / unit + 1e-9) + 1)]


def round_steps(first: float, last: float, count: int) -> list[float]:
    """About `count` round steps for an axis; at least two, if the axis has two steps."""
    rough = (last - first) / count
    power = 10 ** math.floor(math.log10(max(rough, 1)))
    unit: float = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    ticks = _multiples(first, last, unit)
    while len(ticks) < 2 and unit > 1:
        unit = _round_unit(unit / 2) if unit > 2 else 1
        ticks = _multiples(first, last, unit)
    return ticks


def labels(ticks: Sequence[float], log: bool) -> list[str]:
    """Labels of ticks with enough digits to tell them apart, in `LABEL_WIDTH` cells if that is possible."""
    values = [10**value if log else value for value in ticks]
    spread = max(values) - min(values) if values else 0.0
    values = [0.0 if abs(value) < 1e-9 * spread else value for value in values]
    ways: list[Callable[[float], str]] = [_label]
    ways += [lambda value, d=digits: f"{value:.{d}f}" for digits in range(8)]  # type: ignore[misc]
    ways += [lambda value, d=digits: short_exponent(f"{value:.{d}e}") for digits in range(1, 16)]  # type: ignore[misc]
    written: list[str] = []
    for narrow in (True, False):
        for way in ways:
            written = [way(value) for value in values]
            fits = not narrow or max(map(len, written), default=0) <= LABEL_WIDTH
            if fits and len(set(written)) == len(written) and _agree(written, values, spread):
                return [text.rjust(LABEL_WIDTH) for text in written]
    return [text.rjust(LABEL_WIDTH) for text in written]


def _agree(written: Sequence[str], values: Sequence[float], spread: float) -> bool:
    """Whether the labels equal the values, as precisely as the chart can show."""
    return all(
        abs(float(text) - value) <= 0.02 * spread + 1e-12 * abs(value)
        for text, value in zip(written, values, strict=True)
    )


def short_exponent(text: str) -> str:
    """`1e5` for `1e+05`."""
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _label(value: float) -> str:
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return short_exponent(f"{value:.0e}")
    return f"{value:.4f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def edges(lowest: float, highest: float) -> tuple[str, str]:
    """Labels of an axis's ends, of at most six cells, with as many digits as tell them apart."""
    spread = highest - lowest
    low, high = edge(lowest, spread), edge(highest, spread)
    for digits in range(5):
        if low != high and (low == "0" or abs(float(low) - lowest) < spread) and abs(float(high) - highest) < spread:
            break
        low, high = (
            f"{value:.{digits}f}".replace("0.", ".", 1 if abs(value) < 1 else 0) for value in (lowest, highest)
        )
        if max(len(low), len(high)) > LABEL_WIDTH - 1:
            low = high = ""
    if low == high or not low:
        # Six cells cannot tell them apart: the upper label shows the difference.
        low, high = edge(lowest, spread), f"+{short_exponent(f'{spread:.0e}')}"
    return low, high


def edge(value: float, spread: float) -> str:
    """A label of at most six cells, with the digits that a chart of this spread needs."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000 or abs(value) < 0.0001:
        return short_exponent(f"{value:.0e}")[:6]
    decimals = max(0, min(4, 1 - math.floor(math.log10(spread or 1))))
    while decimals and len(f"{value:.{decimals}f}") > 6:
        decimals -= 1
    return f"{value:.{decimals}f}"
