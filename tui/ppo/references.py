"""The reference's responses that a run did not journal: asked for one by one, from a helper process, and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from looptop.tui.helper_client import Helped, Helping

if TYPE_CHECKING:
    from looptop.engine.helpers.references import ReferenceReply, ReferenceRequest

Referring: TypeAlias = "Helping[ReferenceRequest, ReferenceReply]"
"""What is needed of the reference's process."""


class Which(NamedTuple):
    """A sample of a run."""

    run: Path
    step: int
    row: int


class References:
    """Asks, and remembers.

    Args:
        on_news: Called in the event loop when there is something new to show.
        make: Makes the process; the engine's own by default.
    """

    def __init__(self, on_news: Callable[[], None], make: Callable[[], Referring] | None = None) -> None:
        self._on_news = on_news
        self._known: dict[Which, str] = {}
        self._asked: dict[int, Which] = {}
        self._doing: dict[Which, str] = {}
        self._helped: Helped[ReferenceRequest, ReferenceReply] = Helped(self._on_reply, make or _engines_own)

    def known(self, which: Which) -> str | None:
        """The reference's response, where it has come."""
        return self._known.get(which)

    def doing(self, which: Which) -> str:
        """What is being done to get it, or why there is none; empty where it was not asked for."""
        return self._doing.get(which, "")

    def ask(self, which: Which) -> None:
        """Asks for a response, unless it is known or on its way.

        Raises:
            LooptopError: The process could not be started.
        """
        from looptop.engine.helpers.references import ReferenceRequest

        if which in self._known or which in self._asked.values():
            return

        def request(number: int) -> ReferenceRequest:
            self._asked[number] = which
            return ReferenceRequest(id=number, run=str(which.run), step=which.step, row=which.row)

        self._doing[which] = "asking the reference…"
        self._helped.send(request)

    def close(self) -> None:
        """Ends the process."""
        self._helped.close()

    def _on_reply(self, reply: ReferenceReply) -> None:
        which = self._asked.get(reply.id)
        if which is not None:
            if reply.response is not None:
                self._known[which] = reply.response
            self._doing[which] = reply.error or f"{reply.status}…"
            if reply.done:
                del self._asked[reply.id]
        elif reply.error:
            self._doing |= dict.fromkeys(self._asked.values(), reply.error)
        self._on_news()


def _engines_own() -> Referring:
    from looptop.engine.helpers.references import ReferenceProcess

    return ReferenceProcess()
