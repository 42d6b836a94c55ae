"""SVG pictures of the app in a form that every renderer draws alike."""

from __future__ import annotations

import html
import re

from rich.cells import cell_len


def portable(svg: str) -> str:
    """The picture in a form that every renderer draws alike: each word at its position, Braille as dots, a common font.

    Renderers leave out blanks, stretch words differently and often have no font with Braille.
    """
    texts = re.compile(
        r'<text([^>]*?)class="([^"]*)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>([^<]*)</text>'
    )

    def positioned(match: re.Match[str]) -> str:
        _, style, x, y, length, escaped = match.groups()
        plain = html.unescape(escaped).replace("\xa0", " ")
        width = float(length) / max(1, cell_len(plain))
        out = []
        for piece in re.finditer(r"[\u2800-\u28ff]|[^\s\u2800-\u28ff]+", plain):
            left = float(x) + width * cell_len(plain[: piece.start()])
            if "\u2800" <= piece[0] <= "\u28ff":
                out += [f'<circle class="{style}" {dot}/>' for dot in _dots(ord(piece[0]), left, float(y), width)]
            else:
                long = width * cell_len(piece[0])
                words = html.escape(piece[0])
                out.append(f'<text class="{style}" x="{left:.1f}" y="{y}" textLength="{long:.1f}">{words}</text>')
        return "".join(out)

    return texts.sub(positioned, svg).replace("Fira Code", "DejaVu Sans Mono")


def _dots(code: int, left: float, baseline: float, width: float) -> list[str]:
    """The positions of a Braille character's dots; Rich draws a cell of 24.4 from 18.5 above its baseline."""
    positions = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    shown = [position for bit, position in enumerate(positions) if code & 1 << bit]
    xs = [left + width * (0.27 + 0.46 * column) for column, _ in shown]
    ys = [baseline - 18.5 + 24.4 * (0.14 + 0.24 * row) for _, row in shown]
    return [f'cx="{x:.1f}" cy="{y:.1f}" r="1.7"' for x, y in zip(xs, ys, strict=True)]
