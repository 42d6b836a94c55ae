"""A fixture for tests that train."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process and those that a test starts compute on one thread each: it is fastest for tiny models, and several
    threads of several processes would wait for each other."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
