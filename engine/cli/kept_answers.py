"""Keeps the answers of `predict` as they come, beside the results file: hours of work outlive a kill.

A file of lines: first what the answers are of (model, questions, images), then one line for each answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from looptop.engine.files.private import open_regular
from looptop.engine.text import visible


class Kept(NamedTuple):
    """The answer to one question; None, and why, where it has none."""

    place: int
    answer: str | None
    error: str | None


class KeptAnswers:
    """The answers so far.

    Args:
        out: The results file.
        model: The model's folder.
        questions: Path of the image, and question, of each.
    """

    def __init__(self, out: Path, model: Path, questions: Sequence[tuple[str, str]]) -> None:
        self.path = out.with_name(f"{out.name}.partial")
        self.trouble = ""
        """Why no more answers can be kept."""
        self._key = _key(model, questions)
        self.answers = {each.place: each for each in self._read() if 0 <= each.place < len(questions)}
        """Of an earlier try, by place."""

    def add(self, answers: Sequence[Kept]) -> None:
        """Writes answers, all that are given at once; a disk that does not take them costs only their keeping."""
        if self.trouble:
            return
        lines = [] if self.path.is_file() and self._is_ours() else [json.dumps(self._key)]
        # What a kill has cut in the middle of a line stays a line of its own, which nobody can read.
        text = "\n" + "\n".join([*lines, *(json.dumps(each) for each in answers)]) + "\n"
        how = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if lines else os.O_APPEND)
        try:
            with os.fdopen(open_regular(self.path, how), "wb") as file:
                file.write(text.encode("ascii"))
        except OSError as error:
            self.trouble = f"answers cannot be kept in {visible(self.path)}: {error.strerror}"

    def remove(self) -> None:
        """Takes the file away: all is in the results file."""
        if not self.trouble:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _is_ours(self) -> bool:
        return next(iter(self._lines()), None) == json.dumps(self._key)

    def _read(self) -> list[Kept]:
        if not self._is_ours():
            return []
        found = []
        for line in self._lines()[1:]:
            with contextlib.suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=Kept))
        return found

    def _lines(self) -> list[str]:
        try:
            with os.fdopen(open_regular(self.path), "rb") as file:
                return [line for line in file.read().decode("utf-8", "replace").split("\n") if line]
        except OSError:
            return []


def _key(model: Path, questions: Sequence[tuple[str, str]]) -> str:
    """What the answers are of; another model under the same name has other files."""
    files = []
    for file in sorted(model.glob("*")):
        with contextlib.suppress(OSError):
            files.append((file.name, file.stat().st_size, file.stat().st_mtime_ns))
    said = json.dumps([str(model.absolute()), files, list(questions)])
    return hashlib.sha256(said.encode()).hexdigest()
