"""Sends questions about images to the answering process, without waiting for replies (`helper_client.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from looptop.tui.helper_client import HelperClient, HelperProcess

if TYPE_CHECKING:
    from looptop.engine.helpers.answers import AskReply, AskRequest, BatchRequest
    from looptop.engine.vqa.views.records import ViewKind

AnswerHelper: TypeAlias = "HelperProcess[AskRequest | BatchRequest, AskReply]"
"""The answering process, as the client uses it."""


class AnswerClient(HelperClient["AskRequest | BatchRequest", "AskReply"]):
    """Sends questions, and calls `on_reply` in the event loop with what comes back."""

    def __init__(self, on_reply: Callable[[AskReply], None], make: Callable[[], AnswerHelper] | None = None) -> None:
        super().__init__(on_reply, make or _default_helper)

    def ask(self, model: str, image: str = "", question: str = "") -> int:
        """Sends a request; without an image the model is only loaded.

        Returns:
            The id that the reply will have.

        Raises:
            LooptopError: The process could not be started.
        """
        from looptop.engine.helpers.answers import AskRequest

        return self.send(lambda number: AskRequest(id=number, model=model, image=image, question=question, top=5))

    def ask_batch(self, model: str, questions: Sequence[tuple[str, str]]) -> int:
        """Sends several questions at once.

        Args:
            model: The model's name.
            questions: Path of the image, and question, of each.

        Returns:
            The id that the replies will have.

        Raises:
            LooptopError: The process could not be started.
        """
        from looptop.engine.helpers.answers import BatchRequest

        return self.send(lambda number: BatchRequest(id=number, model=model, questions=tuple(questions)))

    def view(self, model: str, image: str, question: str, view: ViewKind) -> int:
        """Sends a request for a view.

        Returns:
            The id that the replies will have.

        Raises:
            LooptopError: The process could not be started.
        """
        from looptop.engine.helpers.answers import AskRequest

        return self.send(lambda number: AskRequest(id=number, model=model, image=image, question=question, view=view))


def _default_helper() -> AnswerHelper:
    from looptop.engine.helpers.answers import AnswerProcess

    return AnswerProcess()
