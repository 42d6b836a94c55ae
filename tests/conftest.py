"""What every test gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read when torch is first imported. Tests start processes that compute beside them: threads that spin while they wait
# would take the cores from one another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for runs, so that no test sees another's or the developer's; and no network."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LOOPTOP_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder
