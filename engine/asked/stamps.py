"""Stamps of image files and models. A kept answer is used again only while both stamps are unchanged."""

from __future__ import annotations

from pathlib import Path

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.evaluation.weights import digest_of
from looptop.engine.vqa.model.saved_models import folder_of


def file_stamp(path: Path) -> str:
    """Size and time of a file; empty if it cannot be read."""
    try:
        facts = path.stat()
    except OSError:
        return ""
    return f"{facts.st_size}:{facts.st_mtime_ns}"


def model_stamp(name: str) -> str:
    """The digest of a model's files; empty if there is no such model, or it cannot be read."""
    try:
        return digest_of(folder_of(name))
    except LooptopError:
        return ""
