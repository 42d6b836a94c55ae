"""`confidence.json` in a model's folder: how its confidence is calibrated, and which words it was trained on.

Features of its training images are kept beside it (`doubt_images`). Training writes both. A model from elsewhere has
neither: its confidence is raw, and nothing is said of words and images. Imports no torch.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from msgspec import Struct

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.private import read_regular
from looptop.engine.text import visible

FILE = "confidence.json"

FORMAT = 1

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


class ConfidenceFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept with a model to say how far its answers can be trusted."""

    format: int
    calibration: Calibration | None = None
    words: list[str] | None = None
    """The words of its training questions, sorted; None if there are too many to keep."""


def write_confidence(folder: Path, calibration: Calibration | None, words: list[str] | None) -> None:
    """Writes `FILE` into a model's folder."""
    content = ConfidenceFile(format=FORMAT, calibration=calibration, words=words)
    text = msgspec.json.format(msgspec.json.encode(content), indent=1)
    (folder / FILE).write_bytes(text + b"\n")


def read_confidence(folder: Path) -> ConfidenceFile | None:
    """Reads what `write_confidence` wrote; None if the model has none.

    Raises:
        LooptopError: The file is damaged, or was written by a newer looptop.
    """
    file = folder / FILE
    try:
        content = msgspec.json.decode(read_regular(file, MAX_FILE_BYTES, follow_links=True), type=ConfidenceFile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise LooptopError(f"{visible(file)} cannot be read: {error_text(error)}; train again or remove it") from None
    if content.format > FORMAT:
        raise LooptopError(f"{visible(file)} was written by a newer looptop; update looptop")
    calibration = content.calibration
    if calibration is not None and not 0 < calibration.temperature < math.inf:
        raise LooptopError(f"{visible(file)} has a temperature of {calibration.temperature}; train again or remove it")
    return content
