"""The names and shapes of the tensors in a safetensors file, without loading them. Imports no torch."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import msgspec

from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import open_regular
from looptop.engine.text import visible

MAX_HEADER_BYTES = 100_000_000
"""As in safetensors itself."""


class _Tensor(msgspec.Struct):
    shape: list[int]


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, by name.

    The format: eight bytes with the length of a JSON header, the header, the data
    (https://huggingface.co/docs/safetensors).

    Raises:
        LooptopError: The file is missing or damaged.
    """
    try:
        with os.fdopen(open_regular(file, follow_links=True), "rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = msgspec.json.decode(opened.read(min(length, MAX_HEADER_BYTES)), type=dict[str, msgspec.Raw])
        header.pop("__metadata__", None)
        return {name: tuple(msgspec.json.decode(one, type=_Tensor).shape) for name, one in header.items()}
    except (OSError, struct.error, *UNREADABLE) as error:
        raise LooptopError(f"{visible(file)} cannot be read: {error_text(error)}") from None
