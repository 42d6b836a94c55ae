"""Responses of the reference that a run did not journal: a helper process makes them, one after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from looptop.tui.helper_client import HelperClient, HelperProcess

if TYPE_CHECKING:
    from looptop.engine.helpers.references import ReferenceReply, ReferenceRequest

ReferenceHelper: TypeAlias = "HelperProcess[ReferenceRequest, ReferenceReply]"
"""The process with the reference model, as the client uses it."""


class SampleKey(NamedTuple):
    """A sample of a run."""

    run: Path
    step: int
    row: int


class References:
    """Requests responses of the reference, and remembers them.

    Args:
        on_news: Called in the event loop when there is something new to show.
    """

    def __init__(self, on_news: Callable[[], None]) -> None:
        self._on_news = on_news
        self._known: dict[SampleKey, str] = {}
        self._asked: dict[int, SampleKey] = {}
        self._status: dict[SampleKey, str] = {}
        self._client: HelperClient[ReferenceRequest, ReferenceReply] = HelperClient(self._on_reply, _make_helper)

    def known(self, sample: SampleKey) -> str | None:
        """The reference's response, if it has come."""
        return self._known.get(sample)

    def status(self, sample: SampleKey) -> str:
        """The state of the request, or why it failed; empty if nothing was requested."""
        return self._status.get(sample, "")

    def ask(self, sample: SampleKey) -> None:
        """Requests a response, unless it is known or requested already.

        Raises:
            LooptopError: The process could not be started.
        """
        from looptop.engine.helpers.references import ReferenceRequest

        if sample in self._known or sample in self._asked.values():
            return

        def request(number: int) -> ReferenceRequest:
            self._asked[number] = sample
            return ReferenceRequest(id=number, run=str(sample.run), step=sample.step, row=sample.row)

        self._status[sample] = "asking the reference…"
        self._client.send(request)

    def close(self) -> None:
        """Ends the process."""
        self._client.close()

    def _on_reply(self, reply: ReferenceReply) -> None:
        sample = self._asked.get(reply.id)
        if sample is not None:
            if reply.response is not None:
                self._known[sample] = reply.response
            self._status[sample] = reply.error or f"{reply.activity}…"
            if reply.done:
                del self._asked[reply.id]
        elif reply.error:
            self._status |= dict.fromkeys(self._asked.values(), reply.error)
        self._on_news()


def _make_helper() -> ReferenceHelper:
    from looptop.engine.helpers.references import ReferenceProcess

    return ReferenceProcess()
