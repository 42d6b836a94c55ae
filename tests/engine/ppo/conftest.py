"""Runs compute on one thread, and end with their test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories.ppo_runs import end_runs
from tests.factories.threads import one_thread

__all__ = ["one_thread", "runs_end"]


@pytest.fixture(autouse=True)
def runs_end() -> Iterator[None]:
    """Also those of a test that fails."""
    yield
    end_runs()
