"""The images of the easy-VQA benchmark's test split, which the Ask screen offers, and their questions.

Only the package's files are read; the package itself is not imported.
"""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from looptop.engine.vqa.images.entries import ImageEntry


class BenchmarkQuestion(NamedTuple):
    """A question of the benchmark, and its answer."""

    question: str
    answer: str


HEAD_BYTES = 16 * 1024
"""Bytes of the questions' file that the first images need; the rest takes longer than the first paint should wait."""

SHAPES = ("circle", "rectangle", "triangle")


@dataclass
class Benchmark:
    """The benchmark's images, and the questions about each."""

    folder: Path | None
    """None if the package is not installed."""
    _head: dict[int, list[BenchmarkQuestion]] | None = field(default=None, repr=False)
    _all: dict[int, list[BenchmarkQuestion]] | None = field(default=None, repr=False)

    @classmethod
    def find(cls) -> Benchmark:
        """Finds the package's files without importing it."""
        spec = importlib.util.find_spec("easy_vqa")
        locations = spec.submodule_search_locations if spec else None
        folder = Path(next(iter(locations))) / "data" / "test" if locations else None
        return cls(folder if folder and (folder / "images").is_dir() else None)

    def images(self) -> list[Path]:
        """All images, in the order of their numbers."""
        if self.folder is None:
            return []
        root = self.folder / "images"
        with os.scandir(root) as entries:
            numbers = [int(entry.name[:-4]) for entry in entries if entry.name.endswith(".png")]
        return [root / f"{number}.png" for number in sorted(numbers)]

    def holds(self, path: Path) -> bool:
        """Whether an image belongs to the benchmark."""
        return self.folder is not None and path.parent == self.folder / "images" and path.stem.isdigit()

    def asked(self, path: Path) -> list[BenchmarkQuestion]:
        """The benchmark's questions about an image; none for other images."""
        if self.folder is None or not self.holds(path):
            return []
        number = int(path.stem)
        if self._all is None:
            if self._head is None:
                self._head = dict(read_questions(self.folder / "questions.json", HEAD_BYTES))
                self._head.pop(max(self._head, default=0), None)  # It may be cut off in the middle.
            if number in self._head:
                return self._head[number]
            self.load()
        return (self._all or {}).get(number, [])

    def entry(self, path: Path) -> ImageEntry:
        """An image with the benchmark's questions about it."""
        from looptop.engine.vqa.data.easy_vqa import question_type
        from looptop.engine.vqa.data.rows import answer_type
        from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry

        questions = [
            AskedQuestion(each.question, (each.answer,), question_type(each.question), answer_type(each.answer))
            for each in self.asked(path)
        ]
        return ImageEntry(path, "test", tuple(questions))

    def load(self) -> None:
        """Reads all questions."""
        if self._all is None and self.folder is not None:
            self._all = read_questions(self.folder / "questions.json")

    def note(self, path: Path) -> str:
        """A short description of an image from the benchmark's answers: `red triangle`."""
        answers = dict.fromkeys(each.answer for each in self.asked(path) if each.answer not in ("yes", "no"))
        return " ".join(sorted(answers, key=lambda answer: answer in SHAPES))


def read_questions(file: Path, most: int = -1) -> dict[int, list[BenchmarkQuestion]]:
    """The questions about each image, by its number: all, or those that are whole within the file's first bytes."""
    try:
        with file.open("rb") as opened:
            text = opened.read(most).decode("utf-8", "replace")
    except OSError:
        return {}
    grouped: dict[int, list[BenchmarkQuestion]] = {}
    for question, answer, image in _ENTRY.findall(text):
        grouped.setdefault(int(image), []).append(BenchmarkQuestion(question, answer))
    return grouped


_ENTRY = re.compile(r'\["([^"\\]*)", "([^"\\]*)", (\d+)\]')
