"""The dark and the light theme, in colours (after Okabe and Ito) that colour-blind people can tell apart.

Marks and words show the same without colour.
"""

from __future__ import annotations

from textual.theme import Theme

_CURVES_ON_DARK = {"curve-3": "#3cc79a", "curve-4": "#d98cc0", "curve-5": "#f0e442", "curve-6": "#a9b4c2"}
_CURVES_ON_LIGHT = {"curve-3": "#00704f", "curve-4": "#a0397f", "curve-5": "#7d6a00", "curve-6": "#59636f"}
"""Colours of the third to sixth run in a chart; the first two have the theme's own colours."""

DARK = Theme(
    name="looptop-dark",
    dark=True,
    primary="#56b4e9",
    secondary="#f0a830",
    accent="#f0a830",
    success="#3cc79a",
    warning="#f0c94c",
    error="#f0826a",
    foreground="#d7dde6",
    background="#10141a",
    surface="#171c24",
    panel="#222934",
    variables={"text-muted": "#8692a3", "border": "#56b4e9", "border-blurred": "#2c3542"} | _CURVES_ON_DARK,
)

LIGHT = Theme(
    name="looptop-light",
    dark=False,
    primary="#00639c",
    secondary="#a84c00",
    accent="#a84c00",
    success="#00704f",
    warning="#7d5a00",
    error="#b3261e",
    foreground="#1f2630",
    background="#fbfaf7",
    surface="#f2f0ea",
    panel="#e4e1d8",
    variables={"text-muted": "#5d6673", "border": "#00639c", "border-blurred": "#cfcabd"} | _CURVES_ON_LIGHT,
)


def first_theme(wanted: str, last: str) -> str:
    """The name of the theme that the app opens with.

    Args:
        wanted: The setting: `dark`, `light` or `last`.
        last: The name of the theme that the app was left with; empty or unknown if there is none.
    """
    name = {"dark": DARK.name, "light": LIGHT.name}.get(wanted, last)
    return name if name in (DARK.name, LIGHT.name) else DARK.name
