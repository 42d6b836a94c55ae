"""Reads folders of images: one folder in the order in which people number files, or every folder below one.

Hidden files and folders are left out. Links to folders are followed, and each folder comes once, by a path without
links if there is one: so links never lead round in a circle.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from looptop.engine.errors import error_text
from looptop.engine.vqa.images.decode import has_image_suffix

MAX_SEARCHED = 1_000_000
"""The largest number of images below a folder that are searched."""

FIRST_REPORT_SECONDS = 0.15
"""Seconds after which the entries read so far are reported for the first time; each further report takes twice as long,
so that sorting them again and again costs no more than reading."""

ENTRIES_PER_CHECK = 1000
"""The number of entries between two checks whether to stop or to report."""

_NUMBER = re.compile("[0-9]+")


class Listing(Struct, frozen=True):
    """What a folder holds, in natural order."""

    folders: list[str]
    images: list[str]
    problem: str = ""
    """Why the folder, or the rest of it, could not be read."""


class FolderImages(Struct, frozen=True):
    """The images of one of the folders below a folder."""

    folder: str
    """The path, from the searched folder; empty for that folder itself."""
    images: list[str]


class StoppedError(Exception):
    """The reader was told to stop."""


def natural_key(name: str) -> str:
    """A key that sorts names without regard to case, and numbers in them by their value: img_2 before img_10."""
    return f"{_NUMBER.sub(_number_key, name.lower())}\0{name}"


def _number_key(number: re.Match[str]) -> str:
    digits = number[0].lstrip("0")
    return chr(ord("0") + len(digits)) + digits  # First their count, since the longer number is the larger.


def natural_order(names: list[str]) -> list[str]:
    """The names in natural order."""
    return sorted(names, key=natural_key)


def read_folder(
    folder: Path,
    on_progress: Callable[[Listing], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Listing:
    """The folders and images in a folder.

    Args:
        folder: The folder.
        on_progress: Called with what was read so far, while reading takes long.
        stopped: Returns whether the reader should stop.

    Raises:
        StoppedError: `stopped` returned true.
    """
    folders: list[str] = []
    images: list[str] = []
    problem = ""
    wait, began = FIRST_REPORT_SECONDS, time.monotonic()
    try:
        with os.scandir(folder) as entries:
            while batch := list(itertools.islice(entries, ENTRIES_PER_CHECK)):
                if stopped():
                    raise StoppedError
                for entry in batch:
                    name = entry.name
                    if name[0] == ".":
                        continue
                    if _is_folder(entry):
                        folders.append(name)
                    elif has_image_suffix(name):
                        images.append(name)
                if on_progress is not None and time.monotonic() - began > wait:
                    on_progress(Listing(natural_order(folders), natural_order(images)))
                    wait, began = 2 * wait, time.monotonic()
    except OSError as error:
        problem = error_text(error)
    return Listing(natural_order(folders), natural_order(images), problem)


def images_below(folder: Path) -> Iterator[FolderImages]:
    """The images of a folder and of every folder below it; folders that cannot be read are left out.

    Args:
        folder: The folder.
    """
    visited: set[tuple[int, int]] = set()
    waiting, linked = deque([""]), deque[str]()
    while waiting or linked:
        relative = waiting.popleft() if waiting else linked.popleft()
        path = folder / relative
        try:
            status = path.stat()
        except OSError:  # It has been deleted.
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        listing = read_folder(path)
        for name in listing.folders:
            below = f"{relative}/{name}" if relative else name
            (linked if os.path.islink(path / name) else waiting).append(below)  # noqa: PTH114 (no Path for each)
        if listing.images:
            yield FolderImages(relative, listing.images)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
