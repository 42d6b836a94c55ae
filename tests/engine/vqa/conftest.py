"""Runs compute on one thread."""

from tests.factories.threads import one_thread

__all__ = ["one_thread"]
