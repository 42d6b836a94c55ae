"""What training notes in a model's folder for those who ask it: how its confidence is calibrated, and its words.

`confidence.json` holds a `Calibration`, `training_words.json` the words of its questions; features of its images are
kept beside them (`unfamiliar_images`). A model from elsewhere has none: its confidence is raw, and no word or
image counts as new to it. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import read_regular, refuse_unsafe
from looptop.engine.files.replacing import replace_private
from looptop.engine.text import visible

CONFIDENCE = "confidence.json"
WORDS = "training_words.json"
IMAGES = "training_images.safetensors"
"""The file with the features of training images (`unfamiliar_images`)."""

MIN_VALIDATION_IMAGES = 100
"""With fewer, no features of images are kept: there is no telling below which distance 99 % of images are."""

FORMAT = 1
"""The version of the three files; a file of images that names none is of version 1."""

MAX_FILE_BYTES = 16 * 2**20


class Calibration(Struct, frozen=True, kw_only=True):
    """How the confidence of a model's answers is calibrated, and what that brought on the validation questions."""

    temperature: float
    questions: int
    """The number of validation questions that it was fitted on."""
    raw_error: float
    """The expected calibration error of the raw confidences, from 0 to 1."""
    error: float
    """The same with the temperature."""


class _AnyFile(Struct, frozen=True):
    """What all versions of a file have."""

    format: int


class _ConfidenceFile(Struct, frozen=True):
    format: int
    calibration: Calibration


class _WordsFile(Struct, frozen=True):
    format: int
    words: list[str]


Kept = TypeVar("Kept", _ConfidenceFile, _WordsFile)


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Writes `CONFIDENCE` into a model's folder."""
    _write(folder / CONFIDENCE, _ConfidenceFile(FORMAT, calibration))


def read_calibration(folder: Path) -> Calibration | None:
    """Reads what `write_calibration` wrote; None if the model has none.

    Raises:
        LooptopError: The file is damaged, or was written by a newer looptop.
    """
    content = _read(folder / CONFIDENCE, _ConfidenceFile)
    if content is None:
        return None
    if not 0 < content.calibration.temperature < math.inf:
        raise unreadable(folder / CONFIDENCE, f"its temperature is {content.calibration.temperature}")
    return content.calibration


def write_words(folder: Path, words: Sequence[str]) -> None:
    """Writes `WORDS` into a model's folder."""
    _write(folder / WORDS, _WordsFile(FORMAT, list(words)))


def read_words(folder: Path) -> list[str] | None:
    """Reads what `write_words` wrote; None if the model has none.

    Raises:
        LooptopError: As for `read_calibration`.
    """
    content = _read(folder / WORDS, _WordsFile)
    return None if content is None else content.words


def _write(file: Path, content: _ConfidenceFile | _WordsFile) -> None:
    replace_note(file, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def replace_note(file: Path, data: bytes) -> None:
    """Writes a note in a model's folder; a reader sees the old content or all of the new.

    Raises:
        UnsafeFileError: The file or the folder is a link: the folder may be that of somebody else's run.
        OSError: It cannot be written.
    """
    refuse_unsafe(file)
    replace_private(file, data)


def _read(file: Path, kind: type[Kept]) -> Kept | None:
    try:
        data = read_regular(file, MAX_FILE_BYTES, follow_links=True)
        # The version first: a newer file may have other fields.
        if msgspec.json.decode(data, type=_AnyFile).format > FORMAT:
            raise newer(file)
        return msgspec.json.decode(data, type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, *UNREADABLE) as error:
        raise unreadable(file, error_text(error)) from None


def newer(file: Path) -> LooptopError:
    """The error for a file of a version that this looptop does not know."""
    return LooptopError(f"{visible(file)} was written by a newer looptop; update looptop")


def unreadable(file: Path, reason: str) -> LooptopError:
    """The error for a damaged file."""
    return LooptopError(f"{visible(file)} cannot be read: {reason}; train again or remove it")
