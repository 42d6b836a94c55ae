"""Images in iTerm2's protocol (https://iterm2.com/documentation-images.html)."""

from __future__ import annotations

import base64


def iterm2_image(file: bytes, columns: int, rows: int) -> str:
    """The sequence that draws an image at the cursor.

    Args:
        file: PNG or JPEG.
        columns: Width in cells; the terminal scales the image to it.
        rows: Height in cells.
    """
    data = base64.standard_b64encode(file).decode()
    keys = f"inline=1;size={len(file)};width={columns};height={rows};preserveAspectRatio=0"
    return f"\x1b]1337;File={keys}:{data}\x07"
