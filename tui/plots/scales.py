"""Limits, ticks and labels of axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from looptop.engine.journal.step_positions import Unit
from looptop.tui.plots.curves import ROUNDING_NOISE
from looptop.tui.plots.view import Span

LABEL_WIDTH = 6
"""The width of the labels at the left, in cells; charts in a column are aligned unless a label needs more."""

_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Round distances of ticks in seconds; above them, round numbers of days."""


def limits_and_ticks(lowest: float, highest: float, count: int, log: bool) -> tuple[float, float, list[float]]:
    """Limits with a little air around the data, and about `count` round values between them: at least two, or three.

    With `log`, all of these are logarithms; the ticks are those of round values if two lie between the limits, else
    round logarithms.
    """
    if highest - lowest <= ROUNDING_NOISE * max(abs(lowest), abs(highest)):
        # A constant gets a label of its own, between two that show the height of the chart.
        apart = 1.0 if log else abs(highest) / 2 or 1.0
        return lowest - apart, lowest + apart, [lowest - apart, lowest, lowest + apart]
    spread = highest - lowest
    low, high = lowest - 0.02 * spread, highest + 0.02 * spread
    if lowest >= 0 > low and not log:
        low = 0.0
    if log and len(ticks := _log_ticks(low, high, count)) >= 2:
        return low, high, ticks
    unit = _round_unit(spread / count)
    ticks = _multiples(low, high, unit)
    while len(ticks) < min(3, count):
        unit = _round_unit(unit / 2)
        ticks = _multiples(low, high, unit)
    return low, high, ticks


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """The logarithms of round values: whole decades, else 1, 2 and 5 of each, else 1 to 9, else round in between."""
    if (high - low) / max(1, count) >= 1:
        return _multiples(low, high, math.ceil((high - low) / count))
    decades = range(math.floor(low), math.ceil(high) + 1)
    for parts in ((1,), (1, 2, 5), range(1, 10)):
        ticks = [decade + math.log10(part) for decade in decades for part in parts]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= max(2, count // 2):
            return ticks
    if abs(low) > 300 or abs(high) > 300:
        return ticks
    unit = _round_unit((10**high - 10**low) / max(2, count))
    return [math.log10(value) for value in _multiples(10**low, 10**high, unit) if value > 0]


def _round_unit(rough: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(part * power for part in (1, 2, 2.5, 5, 10) if part * power >= rough * 0.999)


def _multiples(low: float, high: float, unit: float) -> list[float]:
    first = math.ceil(low / unit - 1e-9)
    return [index * unit for index in range(first, math.floor(high / unit + 1e-9) + 1)]


def axis_ticks(span: Span, unit: Unit, count: int) -> list[tuple[float, str]]:
    """About `count` round positions of the horizontal axis, each with its label; its ends if it has no two such."""
    if unit == "time":
        rough = span.width / count
        distance = next((float(each) for each in _SECONDS if each >= rough), 86400 * _round_unit(rough / 86400))
        ticks = _multiples(span.first, span.last, distance)
        if len(ticks) < 2 <= span.width:
            ticks = [span.first, span.last]
        return _clock_labels(ticks or [span.first])
    distance = _round_distance(span.width / count, unit)
    ticks = _multiples(span.first, span.last, distance)
    while len(ticks) < 2 and (unit != "step" or distance > 1):
        distance = _round_distance(distance / 2, unit)
        ticks = _multiples(span.first, span.last, distance)
    decimals = next((digits for digits in range(9) if abs(round(distance, digits) - distance) < 1e-9 * distance), 9)
    return [(tick, f"{tick:,.{decimals}f}") for tick in ticks]


def _round_distance(rough: float, unit: Unit) -> float:
    """A round distance of ticks; between steps, a whole number."""
    if unit != "step":
        return _round_unit(rough)
    return _round_unit(rough) if rough > 10 else next(each for each in (1.0, 2.0, 5.0, 10.0) if each >= rough * 0.999)


def _clock_labels(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """Times with as many units as tell them apart: a narrow window late in a run needs more than two."""
    texts: list[str] = []
    for units in (2, 3, 4):
        texts = [clock(tick, units) for tick in ticks]
        if len(set(texts)) == len(texts):
            break
    return list(zip(ticks, texts, strict=True))


def clock(seconds: float, units: int = 2) -> str:
    """Seconds of training in at most this many units, as short as on a stopwatch: 45s, 1m30s, 2h, 3d4h."""
    whole = max(0, round(seconds))
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), 3)
    texts = [f"{count}{name}" for count, name in parts[first : first + units] if count]
    return "".join(texts) or "0s"


def position_text(position: float, unit: Unit, step_name: str = "step") -> str:
    """A position of the axis in words: step 1,200, epoch 1.25, 1m30s of training."""
    if unit == "time":
        return f"{clock(position)} of training"
    return f"epoch {position:.2f}" if unit == "epoch" else f"{step_name} {round(position):,}"


def tick_labels(ticks: Sequence[float], log: bool) -> list[str]:
    """Labels of ticks with enough digits to tell them apart, in `LABEL_WIDTH` cells if that is possible."""
    values = [10**value if log else value for value in ticks]
    spread = max(values) - min(values) if values else 0.0
    if not log:
        values = [0.0 if abs(value) < 1e-9 * spread else value for value in values]
    ways: list[Callable[[float], str]] = [_label]
    if not log:  # as many decimals for all as the round distance of the ticks needs
        exact = next((d for d in range(7) if all(abs(round(v, d) - v) <= 1e-6 * spread for v in values)), None)
        if exact is not None:
            ways.insert(0, lambda value: f"{value:.{exact}f}")
    ways += [lambda value, d=digits: f"{value:.{d}f}" for digits in range(8)]  # type: ignore[misc]
    ways += [
        lambda value, d=digits: short_exponent(f"{value:.{d}e}") if value else "0"  # type: ignore[misc]
        for digits in range(1, 16)
    ]
    texts: list[str] = []
    for narrow in (True, False):
        for way in ways:
            texts = [way(value) for value in values]
            fits = not narrow or max(map(len, texts), default=0) <= LABEL_WIDTH
            if fits and len(set(texts)) == len(texts) and _agree(texts, values, 0.0 if log else spread):
                return texts
    return texts


def _agree(texts: Sequence[str], values: Sequence[float], spread: float) -> bool:
    """Whether the labels equal the values, as precisely as the chart can show; without a spread, each relatively."""
    return all(
        abs(float(text) - value) <= (0.02 * spread + 1e-12 * abs(value) if spread else 0.02 * abs(value))
        for text, value in zip(texts, values, strict=True)
    )


def short_exponent(text: str) -> str:
    """`1e5` for `1e+05`."""
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _label(value: float) -> str:
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return short_exponent(f"{value:.0e}")
    return f"{value:.4f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def end_labels(lowest: float, highest: float) -> tuple[str, str]:
    """Labels of an axis's ends, of at most six cells, with as many digits as tell them apart."""
    spread = highest - lowest
    low, high = end_label(lowest, spread), end_label(highest, spread)
    for digits in range(5):
        if low != high and (low == "0" or abs(float(low) - lowest) < spread) and abs(float(high) - highest) < spread:
            break
        low, high = (
            f"{value:.{digits}f}".replace("0.", ".", 1 if abs(value) < 1 else 0) for value in (lowest, highest)
        )
        if max(len(low), len(high)) > LABEL_WIDTH:
            low = high = ""
    if low == high or not low:
        # Six cells cannot tell them apart: the upper label shows the difference.
        low, high = end_label(lowest, spread), f"+{short_exponent(f'{spread:.0e}')}"
    return low, high


def end_label(value: float, spread: float) -> str:
    """A label of at most six cells; below 10,000 with the digits that a chart of this spread needs."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000 or abs(value) < 0.0001:
        return short_exponent(f"{value:.0e}")[:6]
    decimals = max(0, min(4, 1 - math.floor(math.log10(spread or 1))))
    while decimals and len(f"{value:.{decimals}f}") > 6:
        decimals -= 1
    return f"{value:.{decimals}f}"
