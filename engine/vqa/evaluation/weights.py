"""Identifies a model by the content of its files, so that what is kept about it is never shown for another one.

Reading a gigabyte of weights takes a second or more, so digests are kept in looptop's home by the files' sizes and
times. Imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import open_regular, read_regular
from looptop.engine.files.replacing import replace_private
from looptop.engine.home import home
from looptop.engine.text import visible

FILES = (
    "*.safetensors",
    "config.json",
    "preprocessor_config.json",
    "question_tokenizer/tokenizer.json",
    "answer_tokenizer/tokenizer.json",
    "confidence.json",
)
"""What an answer and its confidence depend on. A checkpoint's optimiser, and a card, do not count."""

MAX_KEPT_DIGESTS = 1000
CHUNK_BYTES = 2**20


class _KeptDigest(msgspec.Struct, frozen=True):
    """A model's digest while its files have these names, sizes and times of change."""

    files: list[tuple[str, int, int]]
    digest: str


def digest_of(folder: Path) -> str:
    """The digest of a model's weights, configuration, tokenizers and image processor; 32 hexadecimal digits.

    Raises:
        LooptopError: The folder holds no weights, or a file cannot be read.
    """
    try:
        files = sorted(file for pattern in FILES for file in folder.glob(pattern))
        stamps = [(str(file.relative_to(folder)), *_size_and_time(file)) for file in files]
        if not any(name.endswith(".safetensors") for name, _, _ in stamps):
            raise LooptopError(f"the folder {visible(folder)} holds no weights (*.safetensors)")
        kept = _read_kept()
        known = kept.get(str(folder.absolute()))
        if known is not None and known.files == stamps:
            return known.digest
        digest = _hash(folder, files)
    except OSError as error:
        raise LooptopError(f"the model in {visible(folder)} cannot be read: {error_text(error)}") from None
    _keep(kept, folder, _KeptDigest(stamps, digest))
    return digest


def _size_and_time(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns


def _hash(folder: Path, files: list[Path]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for file in files:
        content = hashlib.blake2b(digest_size=16)
        # A link is followed: the hub's own cache consists of links.
        with os.fdopen(open_regular(file, follow_links=True), "rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                content.update(chunk)
        total.update(f"{file.relative_to(folder)}\0{content.hexdigest()}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _file() -> Path:
    return home() / "evaluations" / "digests.json"


def _read_kept() -> dict[str, _KeptDigest]:
    """The kept digests by folder, the oldest first; none if the file is missing or damaged."""
    with contextlib.suppress(OSError, *UNREADABLE, LooptopError):
        return msgspec.json.decode(read_regular(_file()), type=dict[str, _KeptDigest])
    return {}


def _keep(kept: dict[str, _KeptDigest], folder: Path, digest: _KeptDigest) -> None:
    key = str(folder.absolute())
    kept.pop(key, None)
    kept[key] = digest
    newest = dict(list(kept.items())[-MAX_KEPT_DIGESTS:])
    # It only saves time: without it the files are read again.
    with contextlib.suppress(OSError, LooptopError, UnicodeEncodeError):
        replace_private(_file(), msgspec.json.encode(newest))
