"""Engine processes of a test, which end with it, and the benchmark's questions."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator

import pytest

from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.data import easy_vqa
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.rows import Row
from tests.engine import fake_engine
from tests.support import eventually

READ_ROWS = easy_vqa.rows


@functools.cache
def all_rows(split: easy_vqa.Split) -> list[Row]:
    return list(READ_ROWS(split, Problems()))


@pytest.fixture(autouse=True)
def benchmark_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's 48,248 questions are read once for all runs of this process."""
    monkeypatch.setattr(easy_vqa, "rows", lambda split, _problems: iter(all_rows(split)))


@pytest.fixture
def launched() -> Iterator[list[RunFolder]]:
    """Runs to make sure of that none outlives its test."""
    runs: list[RunFolder] = []
    yield runs
    for folder in runs:
        owner = folder.owner()
        if owner is not None and folder.is_live():
            os.kill(owner.pid, signal.SIGKILL)
            eventually(lambda folder=folder: not folder.is_live())  # type: ignore[misc]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine processes of a test train what `FAKE_TRAINING` says, and are gone when it is over."""
    fake_engine.install(monkeypatch.setattr)
    monkeypatch.chdir(fake_engine.ROOT)
    yield
    for folder in RunFolder.all():
        owner = folder.owner()
        if folder.is_live() and owner is not None:
            os.kill(owner.pid, signal.SIGKILL)
            eventually(lambda folder=folder: not folder.is_live())  # type: ignore[misc]
