"""Garbage is collected while the keys rest."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from looptop.tui import gc_policy as collecting


@pytest.fixture
def collected() -> Iterator[list[int]]:
    """The generations that are collected; afterwards Python collects as before."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    before = gc.get_threshold()
    collecting.wait()
    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)
    gc.set_threshold(*before)
    gc.unfreeze()
    gc.enable()


def test_everything_is_looked_through_when_it_is_due_and_no_key_has_come_for_a_while(
    collected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("looptop.tui.gc_policy.time.monotonic", lambda: now)
    assert not gc.isenabled()
    keys = collecting.Collecting()
    assert gc.isenabled()
    gc.collect()
    now += 2 * collecting.REST
    keys.look()
    assert collected.count(2) == 1, "it was not due"
    for _ in range(collecting.DUE):
        gc.collect(1)
    keys.key()
    keys.look()
    assert collected.count(2) == 1, "a key has just come"
    now += 2 * collecting.REST
    keys.look()
    assert collected.count(2) == 2
