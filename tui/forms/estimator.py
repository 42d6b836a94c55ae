"""Asks the estimating process what a new run would need, without waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from looptop.engine.config import RunConfig, to_dict
from looptop.engine.errors import LooptopError
from looptop.tui.helper_client import HelperClient, HelperProcess

if TYPE_CHECKING:
    from looptop.engine.estimates.records import EstimateReply, EstimateRequest

EstimateHelper: TypeAlias = "HelperProcess[EstimateRequest, EstimateReply]"
"""The estimating process, as the form uses it."""


def make_process() -> EstimateHelper:
    """Makes the engine's own process; tests replace this function."""
    from looptop.engine.estimates.records import EstimateProcess

    return EstimateProcess()


class Estimator:
    """Estimates one configuration at a time; a newer one replaces one that waits.

    Args:
        on_reply: Called in the event loop with what is known of the last configuration.
        on_idle: Called in the event loop when nothing is asked any more.
    """

    def __init__(self, on_reply: Callable[[EstimateReply], None], on_idle: Callable[[], None]) -> None:
        self._on_reply = on_reply
        self._on_idle = on_idle
        self._client: HelperClient[EstimateRequest, EstimateReply] | None = None
        self._asked = 0
        self._next: RunConfig | None = None

    def ask(self, config: RunConfig) -> None:
        """Asks about a configuration, once the current question is answered.

        Raises:
            LooptopError: The process cannot be started.
        """
        if self._asked:
            self._next = config
            return
        from looptop.engine.estimates.records import EstimateRequest

        if self._client is None:
            self._client = HelperClient(self._take, make_process)
        settings = to_dict(config)
        self._asked = self._client.send(lambda number: EstimateRequest(id=number, settings=settings))

    def close(self) -> None:
        """Ends the process; the next question starts another one."""
        if self._client is not None:
            self._client.close()
        self._client, self._asked, self._next = None, 0, None

    def _take(self, reply: EstimateReply) -> None:
        if reply.ended:
            self.close()
            return
        if reply.id != self._asked:
            return
        if self._next is None:
            self._on_reply(reply)
        if not reply.done:
            return
        self._asked = 0
        waiting, self._next = self._next, None
        if waiting is None:
            self._on_idle()
            return
        try:
            self.ask(waiting)
        except LooptopError:  # the next change tries again
            self.close()
