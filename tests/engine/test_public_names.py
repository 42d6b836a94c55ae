"""`import looptop.engine` gives every public name, whatever else is imported."""

from __future__ import annotations

import pkgutil

import looptop.engine


def test_no_room_hides_a_public_name() -> None:
    # A package that is imported becomes an attribute of its parent, and would replace a function of the same name.
    rooms = {module.name for module in pkgutil.iter_modules(looptop.engine.__path__)}
    assert rooms.isdisjoint(looptop.engine.__all__)
    for name in looptop.engine.__all__:
        assert getattr(looptop.engine, name) is not None
