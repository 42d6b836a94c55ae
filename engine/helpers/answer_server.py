"""The program of the answering process: `python -m looptop.engine.helpers.answer_server`, started by `AnswerProcess`.

Its prints, and tracebacks of programming errors, go to `answers.log` in looptop's home.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from looptop.engine.errors import LooptopError
from looptop.engine.helpers.answers import AskReply, BatchAnswer, WireRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.helpers.server import HelperServer, run
from looptop.engine.text import visible
from looptop.engine.vqa.confidence.training_notes import CONFIDENCE

if TYPE_CHECKING:
    from looptop.engine.vqa.answers.answerer import Answerer
    from looptop.engine.vqa.views.records import OcclusionMap, Progress, View

MIN_LOADED_MODELS = 2
"""So many models stay loaded, however large they are: the one that is asked, and one to compare it with."""

MAX_LOADED_MODELS = 8
MAX_LOADED_BYTES = 2**30
"""More than two models stay loaded as long as the files of their weights are no larger than this together."""

LOG = "answers.log"


class Server(HelperServer[AskReply]):
    """Answers questions about images.

    Args:
        replies: Where replies are written.
        log: The file for tracebacks; error messages name it.
    """

    def __init__(self, replies: IO[bytes], log: Path) -> None:
        super().__init__(AskReply, replies, log)
        self.loaded: OrderedDict[tuple[str, str, int], Answerer] = OrderedDict()
        self._map_id = 0
        self._map: Iterator[Progress | OcclusionMap] | None = None
        """The occlusion map that is being made, for the request `_map_id`."""

    def answer(self, line: bytes) -> None:
        """Answers one question or a batch, makes a view, or loads a model."""
        request = msgspec.json.decode(line, type=WireRequest)
        self.request_id = request.id
        answerer = self._answerer(request)
        image = Path(os.fsdecode(request.image))
        if request.batch:
            self._answer_batch(answerer, request)
        elif request.image and request.view == "occlusion":
            self._begin_map(answerer, image, request.question)
        elif request.image and request.view is not None:
            self.reply(AskReply(id=request.id, view=self._view(answerer, image, request), state=HelperState.READY))
        elif request.image:
            answer = answerer.answer(image, request.question, request.top)
            self.reply(AskReply(id=request.id, answer=answer, state=HelperState.READY))
        else:
            self.reply(AskReply(id=request.id, state=HelperState.READY))

    def _answer_batch(self, answerer: Answerer, request: WireRequest) -> None:
        from looptop.engine.vqa.answers.many_questions import answer_many

        outcomes = answer_many(answerer, [(os.fsdecode(image), question) for image, question in request.batch])
        answers = [
            BatchAnswer(error=str(each)) if isinstance(each, LooptopError) else BatchAnswer(answer=each)
            for each in outcomes
        ]
        self.reply(AskReply(id=request.id, batch=answers, state=HelperState.READY))

    @property
    def has_work(self) -> bool:
        """Whether an occlusion map is being made."""
        return self._map is not None

    def work(self) -> None:
        """Makes the next part of the occlusion map."""
        from looptop.engine.vqa.views.records import Progress

        assert self._map is not None
        self.request_id = self._map_id
        try:
            part = next(self._map)
        except BaseException:
            self._map = None
            raise
        if isinstance(part, Progress):
            self.reply(AskReply(id=self.request_id, progress=part))
        else:
            self._map = None
            self.reply(AskReply(id=self.request_id, view=part, state=HelperState.READY))

    def _begin_map(self, answerer: Answerer, image: Path, question: str) -> None:
        from looptop.engine.vqa.views.making import occlusion_map

        if self._map is not None:
            self.reply(AskReply(id=self._map_id, state=HelperState.READY))
        self._map_id, self._map = self.request_id, occlusion_map(answerer, image, question)

    def _view(self, answerer: Answerer, image: Path, request: WireRequest) -> View:
        from looptop.engine.vqa.views.making import image_view, token_view

        return (
            token_view(answerer, image, request.question) if request.view == "tokens" else image_view(answerer, image)
        )

    def _answerer(self, request: WireRequest) -> Answerer:
        """The requested model, loaded if it is not yet. A folder that was rewritten since counts as another model."""
        from looptop.engine.vqa.answers.answerer import Answerer
        from looptop.engine.vqa.model.saved_models import folder_of

        folder = folder_of(request.model)
        files = (*folder.glob("*.safetensors"), *folder.glob(CONFIDENCE))
        written = max((file.stat().st_mtime_ns for file in files), default=0)
        key = (str(folder), request.device, written)
        if key not in self.loaded:
            self.report(f"loading {visible(request.model)}")
            self._make_room(folder)
            self.loaded[key] = Answerer.load(request.model, request.device)
        self.loaded.move_to_end(key)
        answerer = self.loaded[key]
        answerer.name = request.model
        return answerer

    def _make_room(self, folder: Path) -> None:
        """Drops the models that were asked longest ago, if another one would be too many or too large."""
        total = _weight_bytes(folder) + sum(_weight_bytes(Path(loaded)) for loaded, _, _ in self.loaded)
        while len(self.loaded) >= MAX_LOADED_MODELS or (
            len(self.loaded) >= MIN_LOADED_MODELS and total > MAX_LOADED_BYTES
        ):
            (dropped, _, _), _ = self.loaded.popitem(last=False)
            total -= _weight_bytes(Path(dropped))


def _weight_bytes(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    except OSError:  # It was deleted.
        return 0


if __name__ == "__main__":
    run(Server, LOG, "looptop.engine.vqa.answers.answerer")
