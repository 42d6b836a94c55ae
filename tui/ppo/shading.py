"""Shades tokens by a figure: a colour and a sign for each value.

Orange is below and blue above the middle (after Okabe and Ito), which colour-blind people can tell apart; the signs
show the same without colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from looptop.tui.text import EIGHTHS

Kind = Literal["signed", "ratio", "amount", "share"]
"""Kinds of figures: around 0; around 1, by factors; from 0 up; from 0 to 1."""

KINDS: dict[str, Kind] = {"ratio": "ratio", "entropy": "amount", "probability": "share"}
"""The kind of each figure; all others are signed."""

BLOCKS = EIGHTHS[1:]
NOTHING = "·"

MIDDLE_LUMINANCE = 0.179
"""The luminance on which black and white text have the same contrast, at least 4.5 to 1."""

Colour = tuple[int, int, int]


class Palette(NamedTuple):
    """The colours of one theme."""

    ground: Colour
    above: Colour
    below: Colour
    light_text: Colour
    dark_text: Colour


DARK = Palette((16, 20, 26), (64, 156, 214), (214, 140, 30), (255, 255, 255), (0, 0, 0))
LIGHT = Palette((251, 250, 247), (90, 165, 215), (236, 158, 62), (255, 255, 255), (0, 0, 0))


class Shade(NamedTuple):
    """The colours and the sign of a token."""

    background: str
    text: str
    sign: str
    """At most three cells; empty if the figure is not known."""


@dataclass(frozen=True)
class Scale:
    """Maps figures to levels: -1 to 1, or 0 to 1 if a figure cannot be negative.

    Attributes:
        kind: The kind of figure; see `Kind`.
        lowest: The smallest figure that is shown.
        highest: The largest.
    """

    kind: Kind
    lowest: float
    highest: float

    @classmethod
    def of(cls, name: str, values: Sequence[float]) -> Scale:
        """A scale that contains these figures and is symmetric around its middle."""
        kind = KINDS.get(name, "signed")
        finite = [value for value in values if math.isfinite(value)]
        if kind == "share":
            return cls(kind, 0.0, 1.0)
        if kind == "amount":
            return cls(kind, 0.0, max([*finite, 1e-9]))
        if kind == "ratio":
            factor = max([max(value, 1 / value) for value in finite if value > 0] or [1.0])
            factor = max(factor, 1.01)
            return cls(kind, 1 / factor, factor)
        most = max([abs(value) for value in finite] or [0.0]) or 1e-9
        return cls(kind, -most, most)

    def level(self, value: float) -> float | None:
        """The level of a figure; None if it is not a number."""
        if not math.isfinite(value):
            return None
        by_factor = self.kind == "ratio"
        at = math.log(max(value, 1e-9)) / math.log(self.highest) if by_factor else value / self.highest
        return max(0.0 if self.kind in ("amount", "share") else -1.0, min(at, 1.0))

    def sign(self, value: float) -> str:
        """`---` to `+++`, or a block whose height shows the figure."""
        level = self.level(value)
        if level is None:
            return ""
        if self.kind in ("amount", "share"):
            return BLOCKS[round(level * (len(BLOCKS) - 1))]
        strength = math.ceil(round(abs(level) * 3 - 0.15, 6))
        return ("+" if level > 0 else "-") * strength if strength > 0 else NOTHING

    def shade(self, value: float, palette: Palette) -> Shade:
        """The colours and the sign of a token with this figure."""
        level = self.level(value)
        if level is None:
            return Shade("", "", "")
        background = _mixed(palette.ground, palette.above if level > 0 else palette.below, abs(level))
        text = palette.dark_text if _luminance(background) > MIDDLE_LUMINANCE else palette.light_text
        return Shade(_hex(background), _hex(text), self.sign(value))

    def ramp(self, cells: int) -> list[float]:
        """Figures from the smallest to the largest, evenly by level."""
        out = []
        for at in range(cells):
            share = at / max(1, cells - 1)
            if self.kind == "ratio":
                out.append(self.highest ** (2 * share - 1))
            else:
                out.append(self.lowest + share * (self.highest - self.lowest))
        return out


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _luminance(colour: Colour) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
