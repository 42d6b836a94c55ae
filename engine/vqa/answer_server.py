"""The answering process: `python -m looptop.engine.vqa.answer_server`, started by `answer_process.AnswerProcess`.

Reads requests, one JSON object a line, from its standard input and writes replies to what was its standard output;
before anything else runs, descriptors 0, 1 and 2 are pointed elsewhere, so that no library's print can get among them.
What is printed, and tracebacks of programming errors, are in `answers.log` in looptop's home.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from collections import OrderedDict
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import home
from looptop.engine.text import visible
from looptop.engine.vqa.answer_process import AskReply, WireRequest

if TYPE_CHECKING:
    from looptop.engine.vqa.answering import Answerer

KEPT = 2
"""Models that stay loaded: the one that is asked, and the one it is compared with."""

MAX_LOG = 1_000_000
"""Bytes; a longer log is begun anew."""


class Server:
    """Answers requests one after another.

    Args:
        replies: Where replies are written.
        log: Where tracebacks are written; errors name it.
    """

    def __init__(self, replies: IO[bytes], log: Path) -> None:
        self.replies = replies
        self.log = log
        self.loaded: OrderedDict[tuple[str, str, int], Answerer] = OrderedDict()

    def serve(self, line: bytes) -> None:
        """Answers one request; whatever goes wrong is a reply."""
        request_id = 0
        try:
            request = msgspec.json.decode(line, type=WireRequest)
            request_id = request.id
            self._answer(request)
        except LooptopError as error:
            self.reply(AskReply(id=request_id, error=str(error), status="ready"))
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            self.reply(
                AskReply(
                    id=request_id,
                    error=f"looptop made a mistake ({visible(type(error).__name__)}); {visible(self.log)} says where",
                    status="ready",
                )
            )

    def _answer(self, request: WireRequest) -> None:
        answerer = self._answerer(request)
        answer = None
        if request.image:
            image = Path(os.fsdecode(request.image))
            answer = answerer.answer(image, request.question, request.top, request.view)
        self.reply(AskReply(id=request.id, answer=answer, status="ready"))

    def _answerer(self, request: WireRequest) -> Answerer:
        """The model asked for, loaded unless it is: a folder that was written anew is another model."""
        from looptop.engine.vqa.answering import Answerer
        from looptop.engine.vqa.models import folder_of

        folder = folder_of(request.model)
        written = max((file.stat().st_mtime_ns for file in folder.glob("*.safetensors")), default=0)
        key = (str(folder), request.device, written)
        if key not in self.loaded:
            self.reply(AskReply(id=request.id, status=f"loading {visible(request.model)}"))
            while len(self.loaded) >= KEPT:
                self.loaded.popitem(last=False)
            self.loaded[key] = Answerer.load(request.model, request.device)
        self.loaded.move_to_end(key)
        answerer = self.loaded[key]
        answerer.name = request.model
        return answerer

    def reply(self, reply: AskReply) -> None:
        """Writes one line. Nobody reads it any more: the process ends."""
        try:
            self.replies.write(msgspec.json.encode(reply) + b"\n")
            self.replies.flush()
        except OSError:
            os._exit(0)


def main() -> None:
    """Serves until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    log = _redirect()
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()
    server = Server(replies, log)
    server.reply(AskReply(status="starting"))
    try:
        import looptop.engine.vqa.answering  # noqa: F401  # Takes seconds; the first request need not wait for it.
    except Exception as error:
        traceback.print_exc()
        server.reply(
            AskReply(status="starting", error=f"torch cannot be loaded ({visible(error)}); {visible(log)} says more")
        )
        sys.exit(1)
    server.reply(AskReply(status="ready"))
    while True:
        server.serve(lines.get())


def _redirect() -> Path:
    """Points descriptor 0 at nothing, 1 and 2 at the log. Where there can be none, what is printed is lost."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        log = home() / "answers.log"
        anew = os.O_TRUNC if log.exists() and log.stat().st_size > MAX_LOG else 0
        printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | anew, 0o600)
    except (LooptopError, OSError):
        log, printed = Path(os.devnull), os.dup(nothing)
    os.dup2(nothing, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(nothing)
    os.close(printed)
    faulthandler.enable()
    return log


def _listen(requests: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Passes lines on; when the asker is gone there is nobody to answer, whatever is being done."""
    for line in requests:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
