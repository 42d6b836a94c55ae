"""Keeps the package `datasets` from writing to the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import datasets


@contextmanager
def quiet() -> Iterator[None]:
    """While the block runs, `datasets` draws no progress bars, and logs nothing.

    Bars would be drawn into a log or the app. Its messages quote files as they are, with any escape sequences; what it
    fails on it raises as well.
    """
    hidden, verbosity = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL + 1)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not hidden:
            datasets.enable_progress_bars()
