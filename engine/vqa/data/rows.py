"""A row of VQA data (image, question, answers), and the limits and checks that every source shares.

Imports neither torch nor datasets, so that the app can browse a data set.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.paths import path_of
from looptop.engine.text import visible
from looptop.engine.vqa.data.left_out import BROKEN_IMAGE, MISSING_IMAGE, UNSUPPORTED_IMAGE, Problems
from looptop.engine.vqa.images.decode import UnsupportedFormatError, check_image

Progress = Callable[[int, int], None]
"""Called with the number of rows done and the total; a total of 0 means unknown."""

REPORT_EVERY = 1000

T = TypeVar("T")


class Row(Struct, frozen=True, gc=False):
    """A question about an image. `image` is a path: images are decoded when they are needed."""

    image: str
    image_id: str
    question_id: str
    question: str
    answer: str
    """The training target; if ten people answered, the most common answer."""
    answers: list[str]
    """Every answer that people gave: one, or ten."""
    question_type: str = ""
    answer_type: str = ""
    """`yes/no`, `number` or `other`."""


class Limits(Struct, frozen=True):
    """How much of a source is taken (listing 7.3)."""

    start_at: int | None = None
    """The first question taken, counted from 0."""
    end_at: int | None = None
    """The first question that is no longer taken."""
    max_images: int | None = None
    """The greatest number of images; all their questions are kept."""
    max_questions: int | None = None
    """The greatest number of questions about one image."""


class Quota:
    """Enforces the limits on the number of images and of questions about one image."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.taken: Counter[str] = Counter()

    def has_room(self, image: str) -> bool:
        """Whether one more question about the image may be taken."""
        if image not in self.taken:
            return self.limits.max_images is None or len(self.taken) < self.limits.max_images
        return self.limits.max_questions is None or self.taken[image] < self.limits.max_questions

    def take(self, image: str) -> None:
        """Counts one question as taken."""
        self.taken[image] += 1


class ImageChecks:
    """Checks each image file once, and reports each broken or missing one once."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self._usable: dict[str, bool] = {}

    def usable(self, path: str) -> bool:
        """Whether the image exists and its header can be read."""
        if path not in self._usable:
            try:
                check_image(path)
                self._usable[path] = True
            except LooptopError as error:
                kind = image_problem(error, path)
                self.problems.add(kind, path, "" if kind == MISSING_IMAGE else error)
                self._usable[path] = False
        return self._usable[path]

    def missing(self, name: str) -> None:
        """Reports an image that has no file."""
        if name not in self._usable:
            self._usable[name] = False
            self.problems.add(MISSING_IMAGE, name)


def image_problem(error: LooptopError, path: str) -> str:
    """The kind of problem for which an image is left out."""
    if isinstance(error, UnsupportedFormatError):
        return UNSUPPORTED_IMAGE
    return BROKEN_IMAGE if os.path.lexists(path) else MISSING_IMAGE


def id_of_image(name: str, folder: Path) -> str:
    """The id of an image without one: its path in the folder, the same for `a.png`, `./a.png` and `/FOLDER/a.png`.

    Args:
        name: The image's path, as the data names it.
        folder: The folder of the images.
    """
    path = os.path.normpath(name)
    return path.removeprefix(os.path.normpath(folder.absolute()) + os.sep)


def answer_type(answer: str) -> str:
    """The answer's type, by VQA v2's names: `yes/no`, `number` or `other`."""
    if answer.lower() in ("yes", "no"):
        return "yes/no"
    return "number" if answer.replace(".", "", 1).replace(",", "").isdigit() else "other"


def limited(rows: Iterator[Row] | list[Row], limits: Limits) -> Iterator[Row]:
    """The rows that are within the limits."""
    quota = Quota(limits)
    for row in list(rows)[limits.start_at : limits.end_at]:
        if quota.has_room(row.image):
            quota.take(row.image)
            yield row


def reported(rows: Iterable[T], progress: Progress | None, total: int = 0) -> Iterator[T]:
    """The same rows; calls `progress` every `REPORT_EVERY` rows and at the end."""
    done = 0
    for row in rows:
        if progress is not None and done % REPORT_EVERY == 0:
            progress(done, total)
        yield row
        done += 1
    if progress is not None:
        progress(done, total)


def held_out_images(image_ids: Iterable[str], fraction: float, seed: int) -> set[str]:
    """The images that are held out for validation.

    Images are ordered by a hash of id and seed, and the first `fraction` of them are held out (at least one, and not
    all). So the split depends neither on the order of rows nor on Python's random numbers.

    Args:
        image_ids: The image of each row.
        fraction: The fraction of the images.
        seed: The run's seed.
    """

    def draw(image_id: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{image_id}".encode(), digest_size=16).digest()

    ordered = sorted(set(image_ids), key=draw)
    return set(ordered[: min(max(1, round(fraction * len(ordered))), len(ordered) - 1)])


def refuse_one_image(image_ids: Sequence[str], images: Iterable[str], problems: Problems | None) -> None:
    """Refuses data from which no image can be held out.

    Args:
        image_ids: The image of each row.
        images: The image files.
        problems: What left others out.

    Raises:
        LooptopError: There is only one image, or one id.
    """
    if len(set(image_ids)) >= 2:
        return
    reason = "the data has only one image"
    if len(set(images)) > 1:
        reason = f"all images of the data have the image_id {visible(image_ids[0])}, and so count as one image"
    left_out = f"; left out: {problems}" if problems else ""
    raise LooptopError(f"{reason}; a second one is needed, to be held out for validation{left_out}")


def none_left_error(
    source: object, problems: Problems, limits: Limits | None = None, min_agreement: int = 1
) -> LooptopError:
    """The error for a source without any usable row; counts what was wrong, or names the limits that left none."""
    reason = f": {problems}" if len(problems) else f"; it holds none{_between(limits)}{_agreeing(min_agreement)}"
    return LooptopError(f"no question of {visible(source)} can be used{reason}")


def _between(limits: Limits | None) -> str:
    if limits is None or (limits.start_at is None and limits.end_at is None):
        return ""
    if limits.end_at is None:
        return f" from data.start_at ({limits.start_at:,}) on"
    if limits.start_at is None:
        return f" before data.end_at ({limits.end_at:,})"
    return f" between data.start_at ({limits.start_at:,}) and data.end_at ({limits.end_at:,})"


def _agreeing(least: int) -> str:
    return f" on whose answer {least} of ten people agree" if least > 1 else ""


def folder_of(path: str | os.PathLike[str], what: str) -> Path:
    """The folder, absolute.

    Raises:
        LooptopError: The folder does not exist.
    """
    folder = path_of(path).absolute()
    if not folder.is_dir():
        raise LooptopError(f"there is no {what} {visible(path)}")
    return folder
