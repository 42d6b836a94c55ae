"""Images in kitty's graphics protocol (https://sw.kovidgoyal.net/kitty/graphics-protocol/)."""

from __future__ import annotations

import base64
import itertools
import os

CHUNK = 4096
"""The most characters of data in one sequence, by the protocol."""

_ids = itertools.count(1 + (os.getpid() << 8) % (1 << 30))
"""Ids of images; they begin at another number in each process, since programs share them."""


def kitty_image(png: bytes, columns: int, rows: int) -> tuple[str, str]:
    """The sequences that draw a PNG image at the cursor, and that remove it.

    Args:
        png: The file.
        columns: Width in cells; the terminal scales the image to it.
        rows: Height in cells.
    """
    number = next(_ids)
    data = base64.standard_b64encode(png).decode()
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    # a=T: transmit and draw; f=100: PNG; C=1: the cursor stays; q=2: no replies; m=1: more chunks follow.
    keys = f"a=T,f=100,i={number},c={columns},r={rows},C=1,q=2,"
    parts = [
        f"\x1b_G{keys if index == 0 else 'q=2,'}m={int(index < len(chunks) - 1)};{chunk}\x1b\\"
        for index, chunk in enumerate(chunks)
    ]
    return "".join(parts), f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"
