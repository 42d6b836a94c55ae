"""The program of the answering process: `python -m looptop.engine.helpers.answer_server`, started by `AnswerProcess`.

Its prints, and tracebacks of programming errors, go to `answers.log` in looptop's home.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from looptop.engine.helpers.answers import AskReply, WireRequest
from looptop.engine.helpers.server import HelperServer, run
from looptop.engine.text import visible

if TYPE_CHECKING:
    from looptop.engine.vqa.answering import Answerer

MAX_LOADED_MODELS = 2
"""How many models stay loaded: the one that is asked, and one to compare it with."""

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

    def answer(self, line: bytes) -> None:
        """Answers one question, or loads a model."""
        request = msgspec.json.decode(line, type=WireRequest)
        self.request_id = request.id
        answerer = self._answerer(request)
        answer = None
        if request.image:
            image = Path(os.fsdecode(request.image))
            answer = answerer.answer(image, request.question, request.top, request.view)
        self.reply(AskReply(id=request.id, answer=answer, status="ready"))

    def _answerer(self, request: WireRequest) -> Answerer:
        """The requested model, loaded if it is not yet. A folder that was rewritten since counts as another model."""
        from looptop.engine.vqa.answering import Answerer
        from looptop.engine.vqa.saved_models import folder_of

        folder = folder_of(request.model)
        written = max((file.stat().st_mtime_ns for file in folder.glob("*.safetensors")), default=0)
        key = (str(folder), request.device, written)
        if key not in self.loaded:
            self.report(f"loading {visible(request.model)}")
            while len(self.loaded) >= MAX_LOADED_MODELS:
                self.loaded.popitem(last=False)
            self.loaded[key] = Answerer.load(request.model, request.device)
        self.loaded.move_to_end(key)
        answerer = self.loaded[key]
        answerer.name = request.model
        return answerer


if __name__ == "__main__":
    run(Server, LOG, "looptop.engine.vqa.answering")
