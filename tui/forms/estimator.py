"""Asks the estimating process what a new run would need, without waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from looptop.engine.config import RunConfig, to_dict
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
    """Estimates configurations; what is known of an older one is not passed on.

    Args:
        on_reply: Called in the event loop with what is known of the last configuration.
        on_idle: Called in the event loop when everything is known.
    """

    def __init__(self, on_reply: Callable[[EstimateReply], None], on_idle: Callable[[], None]) -> None:
        self._on_reply = on_reply
        self._on_idle = on_idle
        self._client: HelperClient[EstimateRequest, EstimateReply] | None = None
        self._last_request_id = 0

    def ask(self, config: RunConfig) -> None:
        """Asks about a configuration.

        Raises:
            LooptopError: The process cannot be started.
        """
        from looptop.engine.estimates.records import EstimateRequest

        if self._client is None:
            self._client = HelperClient(self._take, make_process)
        settings = to_dict(config)
        self._last_request_id = self._client.send(lambda number: EstimateRequest(id=number, settings=settings))

    def close(self) -> None:
        """Ends the process; the next question starts another one."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _take(self, reply: EstimateReply) -> None:
        if reply.ended:
            self.close()
        elif reply.id == self._last_request_id:
            self._on_reply(reply)
            if reply.done:
                self._on_idle()
