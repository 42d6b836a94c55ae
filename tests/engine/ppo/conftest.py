"""Tiny models are fastest on one thread, and runs end with their test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.factories.ppo_runs import end_runs


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process and in those that a test starts."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def runs_end() -> Iterator[None]:
    """Also those of a test that fails."""
    yield
    end_runs()
