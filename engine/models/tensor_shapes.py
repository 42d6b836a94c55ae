"""The names and shapes of the tensors in a safetensors file, without loading them. Imports no torch."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import msgspec

from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import open_regular
from looptop.engine.text import counted, visible

MAX_HEADER_BYTES = 100_000_000
"""As in safetensors itself."""

ADVICE = "download or save the model again"
"""What to do about a model whose files are damaged."""


class _Tensor(msgspec.Struct):
    shape: list[int]
    data_offsets: tuple[int, int]


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, by name.

    Raises:
        LooptopError: The file is missing or damaged.
    """
    return {name: tuple(tensor.shape) for name, tensor in _tensors(file)[0].items()}


def check_tensors(file: Path) -> None:
    """Checks that a file has all the data that its header names.

    Raises:
        LooptopError: It is missing or damaged.
    """
    tensors, begin = _tensors(file)
    end = begin + max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    if (size := file.stat().st_size) < end:
        raise damaged(file, f"it ends after {size:,} of {counted(end, 'byte')}")


def _tensors(file: Path) -> tuple[dict[str, _Tensor], int]:
    """The header's entries, and the byte at which the data begins.

    The format: eight bytes with the length of a JSON header, the header, the data
    (https://huggingface.co/docs/safetensors).
    """
    try:
        with os.fdopen(open_regular(file, follow_links=True), "rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = msgspec.json.decode(opened.read(min(length, MAX_HEADER_BYTES)), type=dict[str, msgspec.Raw])
        header.pop("__metadata__", None)
        return {name: msgspec.json.decode(one, type=_Tensor) for name, one in header.items()}, 8 + length
    except OSError as error:
        raise LooptopError(f"{visible(file)} cannot be read: {error_text(error)}") from None
    except (struct.error, *UNREADABLE):
        raise damaged(file, "its header is incomplete or is not that of a safetensors file") from None


def damaged(file: Path, why: str) -> LooptopError:
    """The error for a file of a model that is damaged."""
    return LooptopError(f"{visible(file)} is damaged: {why}; {ADVICE}")
