"""What runs in a helper process: reads requests, one JSON object a line, from its standard input and writes replies to
what was its standard output.

Before anything else runs, descriptors 0, 1 and 2 are pointed elsewhere, so that no library's print can get among the
replies. What is printed, and tracebacks of programming errors, are in a log in looptop's home.
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
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Generic

from msgspec import json

from looptop.engine.compute.out_of_memory import is_out_of_memory, out_of_memory_text
from looptop.engine.errors import LooptopError
from looptop.engine.helpers.process import R
from looptop.engine.runs.folder import home
from looptop.engine.text import visible

MAX_LOG = 1_000_000
"""Bytes; a longer log is begun anew."""


class HelperServer(Generic[R]):
    """Answers requests one after another.

    Args:
        reply: The type of its replies.
        replies: Where they are written.
        log: Where tracebacks are written; errors name it.
    """

    def __init__(self, reply: type[R], replies: IO[bytes], log: Path) -> None:
        self.reply_type = reply
        self.replies = replies
        self.log = log
        self.request_id = 0
        """Of the request that is being answered, as soon as it is known."""

    def answer(self, line: bytes) -> None:
        """Answers one request, whose last reply has the status `ready`.

        Raises:
            LooptopError: What a person can put right; becomes the reply.
        """
        raise NotImplementedError

    def serve(self, line: bytes) -> None:
        """Answers one request; whatever goes wrong is a reply."""
        self.request_id = 0
        try:
            self.answer(line)
        except LooptopError as error:
            self.reply(self.reply_type(id=self.request_id, error=str(error), status="ready"))
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            if is_out_of_memory(error):
                reason = out_of_memory_text(error, "while it answered")
                message = f"{reason}; end other programs, or use a smaller model"
            else:
                message = f"looptop made a mistake ({visible(type(error).__name__)}); {visible(self.log)} says where"
            self.reply(self.reply_type(id=self.request_id, error=message, status="ready"))

    def say(self, status: str) -> None:
        """Says what is being done for the request."""
        self.reply(self.reply_type(id=self.request_id, status=status))

    def reply(self, reply: R) -> None:
        """Writes one line. Nobody reads it any more: the process ends."""
        try:
            self.replies.write(json.encode(reply) + b"\n")
            self.replies.flush()
        except OSError:
            os._exit(0)


def run(make: Callable[[IO[bytes], Path], HelperServer[R]], log_name: str, module: str) -> None:
    """Serves until standard input closes.

    Args:
        make: Makes the server, given where its replies and its log go.
        log_name: The log's, in looptop's home.
        module: What takes seconds to import; the first request need not wait for it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    log = redirect(log_name)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()
    server = make(replies, log)
    server.say("starting")
    try:
        import_module(module)
    except Exception as error:
        traceback.print_exc()
        message = f"torch cannot be loaded ({visible(error)}); {visible(log)} says more"
        server.reply(server.reply_type(status="starting", error=message))
        sys.exit(1)
    server.say("ready")
    while True:
        server.serve(lines.get())


def redirect(log_name: str) -> Path:
    """Points descriptor 0 at nothing, 1 and 2 at the log. Where there can be none, what is printed is lost."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        log = home() / log_name
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
