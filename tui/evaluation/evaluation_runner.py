"""Evaluates a model in a process of its own, which ends with the evaluation and so frees the model's memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from looptop.engine.runs.progress import Progress
from looptop.tui.helper_client import HelperClient, HelperProcess

if TYPE_CHECKING:
    from looptop.engine.helpers.evaluations import EvaluationReply, EvaluationRequest
    from looptop.engine.vqa.evaluation.records import Evaluation

EvaluationHelper: TypeAlias = "HelperProcess[EvaluationRequest, EvaluationReply]"
"""The evaluating process, as the client uses it."""


class EvaluationEnd(NamedTuple):
    """How an evaluation ended."""

    model: str
    error: str = ""
    """Empty if its results are kept."""
    notes: tuple[str, ...] = ()


class EvaluationRunner:
    """Runs at most one evaluation at a time.

    Args:
        on_progress: Called when there is more to show.
        on_end: Called at the end, unless it was cancelled.
        make_process: Makes the process; the engine's own by default.
    """

    def __init__(
        self,
        on_progress: Callable[[], object],
        on_end: Callable[[EvaluationEnd], object],
        make_process: Callable[[], EvaluationHelper] | None = None,
    ) -> None:
        self.model = ""
        """The model that is being evaluated; empty if none is."""
        self.progress: Progress | None = None
        self._on_progress = on_progress
        self._on_end = on_end
        self._make_process = make_process or _default_helper
        self._client: HelperClient[EvaluationRequest, EvaluationReply] | None = None

    def start(self, model: str, questions_of: Evaluation | None = None) -> None:
        """Evaluates a model, in place of one that is being evaluated.

        Args:
            model: The model's name.
            questions_of: The evaluation whose questions are asked; None for the model's own data.

        Raises:
            LooptopError: The process could not be started.
        """
        from looptop.engine.helpers.evaluations import EvaluationRequest

        self.cancel()
        client: HelperClient[EvaluationRequest, EvaluationReply] = HelperClient(
            lambda reply: self._on_reply(client, reply), self._make_process
        )
        client.send(
            lambda number: (
                EvaluationRequest(id=number, model=model)
                if questions_of is None
                else EvaluationRequest(
                    id=number,
                    model=model,
                    data=questions_of.data,
                    data_of=questions_of.model,
                    settings=questions_of.settings,
                    limit=questions_of.limit,
                )
            )
        )
        self._client, self.model = client, model
        self.progress = Progress("starting PyTorch", began=time.time())

    def cancel(self) -> bool:
        """Ends the evaluation and its process; nothing of it is kept but the images' features.

        Returns:
            Whether there was one.
        """
        client, self._client, self.model, self.progress = self._client, None, "", None
        if client is not None:
            client.close()
        return client is not None

    def _on_reply(self, client: object, reply: EvaluationReply) -> None:
        if client is not self._client:
            return
        if reply.error is not None or reply.done or reply.ended:
            error = reply.error or ("" if reply.done else "the evaluation process ended")
            ended = EvaluationEnd(self.model, error, tuple(reply.notes))
            self.cancel()
            self._on_end(ended)
            return
        self.progress = reply.progress or self.progress
        self._on_progress()


def _default_helper() -> EvaluationHelper:
    from looptop.engine.helpers.evaluations import EvaluationProcess

    return EvaluationProcess()
