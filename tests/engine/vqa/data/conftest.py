"""Fixtures of the tests about data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from looptop.engine.config.vqa import DataConfig
from looptop.engine.vqa.data import prepared
from looptop.engine.vqa.data.load import load_data
from tests.factories.vqa_data import Published


@pytest.fixture(autouse=True)
def benchmark_rows() -> None:
    """Here they are read anew for each test."""


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time a set is made anew."""
    times: list[int] = []
    make = prepared.to_dataset

    def counted(rows: Any) -> datasets.Dataset:
        times.append(1)
        return make(rows)

    monkeypatch.setattr(prepared, "to_dataset", counted)
    return times


@pytest.fixture(scope="module")
def easy() -> Any:
    return load_data(DataConfig(source="easy-vqa"))
