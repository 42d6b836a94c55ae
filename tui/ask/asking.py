"""Sends questions to the answering process and passes its replies on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from looptop.engine.errors import LooptopError
from looptop.engine.helpers.process import HelperState
from looptop.tui.ask.client import AnswerClient, AnswerHelper
from looptop.tui.ask.many.questions import ManyQuestions
from looptop.tui.ask.model_status import ModelState, ModelStatus
from looptop.tui.ask.picture.views import PictureViews, Wanted

if TYPE_CHECKING:
    from looptop.engine.helpers.answers import AskReply
    from looptop.engine.vqa.answers.records import Answer


class Asked(NamedTuple):
    """A question to one model."""

    path: Path
    question: str
    model: str


class AnswerListener(Protocol):
    """Receives replies; the screen implements it."""

    @property
    def is_mounted(self) -> bool:
        """Whether it has been drawn."""
        ...

    @property
    def is_attached(self) -> bool:
        """Whether it is still part of the app."""
        ...

    def take_answer(self, asked: Asked, answer: Answer) -> None:
        """An answer came."""

    def take_error(self, sentence: str, model: str) -> None:
        """A question has no answer, or the process ended; the model's name is empty if all models are meant."""

    def show_model_status(self) -> None:
        """The status text may have changed."""


class Asking:
    """Asks one model, or several at once, and keeps the state of the one process that answers for all of them.

    Args:
        listener: Receives replies.
        model_status: The state of the answering process; kept up to date here.
        make_process: Makes the answering process; the engine's own by default.
    """

    def __init__(
        self,
        listener: AnswerListener,
        model_status: ModelStatus,
        make_process: Callable[[], AnswerHelper] | None = None,
    ) -> None:
        self.models: tuple[str, ...] = ("bundled",)
        """The models that are asked."""
        self._listener = listener
        self._client = AnswerClient(self._on_reply, make_process)
        self._pending: dict[int, Asked] = {}
        self._loading: dict[int, str] = {}
        """The models that are being loaded, by the request's id."""
        self._model_status = model_status
        self.views = PictureViews(self.model, self._request_view)
        """What is shown of the chosen image."""
        self.many = ManyQuestions(self._client.ask_batch, listener.show_model_status)
        """The table of many answers."""

    @property
    def model(self) -> str:
        """The first of the models."""
        return self.models[0]

    def load(self) -> None:
        """Loads the models, so that the first answers come sooner."""
        for model in self.models:
            self._load(model)

    def _load(self, model: str) -> None:
        def request_model() -> None:
            self._loading[self._client.ask(model)] = model

        self._send(request_model, model)

    def use(self, models: Sequence[str]) -> None:
        """Asks these models from now on."""
        self.models = tuple(models)
        self._model_status.change(ModelState.LOADING, f"loading {self.model}")
        self.views.use(self.model)
        self.load()

    def ask(self, path: Path, question: str) -> bool:
        """Asks each model a question, unless the same question is already pending (for example, Enter held down).

        Returns:
            Whether it was sent to any model.
        """
        sent = [self._ask(Asked(path, question, model)) for model in self.models]
        return any(sent)

    def _ask(self, asked: Asked) -> bool:
        if asked in self._pending.values():
            return False

        def request_answer() -> None:
            self._pending[self._client.ask(asked.model, str(asked.path), asked.question)] = asked

        return self._send(request_answer, asked.model)

    def close(self) -> None:
        """Ends the answering process."""
        self._client.close()

    @property
    def is_loading(self) -> bool:
        """Whether the model is being started or loaded."""
        return self._model_status.is_loading

    @property
    def has_changing_status(self) -> bool:
        """Whether the status text changes with time: it shows seconds or progress."""
        return self.is_loading or bool(self.many.status)

    @property
    def pending_question(self) -> str:
        """A question without an answer yet, the latest that was asked or heard of; empty if there is none."""
        return next((asked.question for asked in reversed(self._pending.values())), "")

    @property
    def pending_models(self) -> list[str]:
        """The models that have not answered a question with the words of `pending_question` yet."""
        return [asked.model for asked in self._pending.values() if asked.question == self.pending_question]

    @property
    def status_text(self) -> str:
        """What the models are doing, in words."""
        return " · ".join(filter(None, [self._model_status.text(len(self._pending)), self.many.status]))

    def _request_view(self, wanted: Wanted) -> int:
        path, question = wanted.subject.path, wanted.subject.question
        return self._client.view(wanted.subject.model, str(path), question, wanted.kind)

    def _send(self, request: Callable[[], object], model: str) -> bool:
        try:
            request()
        except LooptopError as error:
            self._model_status.change(ModelState.FAILED)
            self._listener.take_error(str(error), model)
            return False
        finally:
            self._listener.show_model_status()
        return True

    def _on_reply(self, reply: AskReply) -> None:
        if not self._listener.is_mounted or not self._listener.is_attached:  # not drawn yet, or the app quits
            return
        says_state = reply.state is not HelperState.WORKING or reply.activity
        if says_state and (reply.id == 0 or (reply.answer is None and reply.error is None)):
            self._model_status.take(reply)
        is_other = self.views.take(reply) or self.many.take(reply)
        asked = self._pending.pop(reply.id, None)
        loaded = self._loading.pop(reply.id, "") if reply.done else ""
        if reply.answer is not None and asked is not None:
            self._model_status.change(ModelState.READY)
            self._listener.take_answer(asked, reply.answer)
        elif reply.error is not None:
            if reply.state is HelperState.ENDED:
                self._model_status.change(ModelState.ENDED)
            elif reply.id and self._model_status.state is not ModelState.READY:
                # The model was being loaded, which has failed.
                self._model_status.change(ModelState.FAILED)
            if not is_other:
                self._listener.take_error(reply.error, loaded if asked is None else asked.model)
        elif asked is not None:  # Not the last reply: the question waits for the model.
            self._pending[reply.id] = asked
        self._listener.show_model_status()
