"""Saves the answers of `predict` as they come, in a file beside the results file: a kill costs at most the last batch.

The first line with text is a hash of the model, the questions and the paths of the images; each further one is an
answer. Empty lines are skipped.
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


class KeptAnswer(NamedTuple):
    """The answer to one question; if it has none, the error."""

    question: int
    """The index of its question."""
    answer: str | None
    error: str | None


class KeptAnswers:
    """The file, and the answers that an earlier try left in it.

    Args:
        out: The results file.
        model: The model's folder.
        questions: The image's path and the question, for each.
    """

    def __init__(self, out: Path, model: Path, questions: Sequence[tuple[str, str]]) -> None:
        self.path = out.with_name(f"{out.name}.partial")
        self.trouble = ""
        """Why no more answers can be saved."""
        self._fingerprint = _fingerprint(model, questions)
        self.earlier = {each.question: each for each in self._read() if 0 <= each.question < len(questions)}
        """Answers of an earlier try, by index of the question."""

    def add(self, answers: Sequence[KeptAnswer]) -> None:
        """Appends answers to the file in one write. If they cannot be written, `trouble` is set; nothing is raised."""
        if self.trouble:
            return
        lines = [] if self.path.is_file() and self._is_ours() else [json.dumps(self._fingerprint)]
        # A line that a kill cut in the middle stays on its own line; it is not valid JSON and is skipped.
        text = "\n" + "\n".join([*lines, *(json.dumps(each) for each in answers)]) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if lines else os.O_APPEND)
        try:
            with os.fdopen(open_regular(self.path, flags), "wb") as file:
                file.write(text.encode("ascii"))
        except OSError as error:
            self.trouble = f"answers cannot be saved in {visible(self.path)}: {error.strerror}"

    def remove(self) -> None:
        """Removes the file, unless answers could not be saved."""
        if not self.trouble:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _is_ours(self) -> bool:
        return next(iter(self._lines()), None) == json.dumps(self._fingerprint)

    def _read(self) -> list[KeptAnswer]:
        if not self._is_ours():
            return []
        answers = []
        for line in self._lines()[1:]:
            with contextlib.suppress(msgspec.DecodeError):
                answers.append(msgspec.json.decode(line, type=KeptAnswer))
        return answers

    def _lines(self) -> list[str]:
        try:
            with os.fdopen(open_regular(self.path), "rb") as file:
                return [line for line in file.read().decode("utf-8", "replace").split("\n") if line]
        except OSError:
            return []


def _fingerprint(model: Path, questions: Sequence[tuple[str, str]]) -> str:
    """A hash of the names, sizes and times of the model's files, and of the questions.

    Another model under the same name has other files.
    """
    files = []
    for file in sorted(model.glob("*")):
        with contextlib.suppress(OSError):
            files.append((file.name, file.stat().st_size, file.stat().st_mtime_ns))
    text = json.dumps([str(model.absolute()), files, list(questions)])
    return hashlib.sha256(text.encode()).hexdigest()
