"""What all tests of runs share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def owners_files() -> Iterator[None]:
    """Only their owner may change the files that tests write, even where a person's umask is 0002, as on Ubuntu."""
    before = os.umask(0o022)
    yield
    os.umask(before)
