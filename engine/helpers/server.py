"""The base of the programs that helper processes run. It reads requests from standard input, one JSON object a line,
and writes replies to the original standard output.

First of all, descriptors 0, 1 and 2 are redirected, so that no library's print can get between the replies. Prints and
tracebacks of programming errors go to a log in looptop's home.
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
from looptop.engine.files.private import open_regular
from looptop.engine.helpers.process import HelperState, ReplyType
from looptop.engine.runs.folder import home
from looptop.engine.text import visible

MAX_LOG = 1_000_000
"""Bytes; a longer log is emptied when a process starts."""


class HelperServer(Generic[ReplyType]):
    """Answers requests one after another.

    Args:
        reply: The type of the replies.
        replies: Where replies are written.
        log: The file for tracebacks; error messages name it.
    """

    def __init__(self, reply: type[ReplyType], replies: IO[bytes], log: Path) -> None:
        self.reply_type = reply
        self.replies = replies
        self.log = log
        self.request_id = 0
        """The id of the request that is being answered, as soon as it is known."""

    def answer(self, line: bytes) -> None:
        """Answers one request; its last reply has the state `READY`.

        Raises:
            LooptopError: An error that a person can correct; it becomes the reply.
        """
        raise NotImplementedError

    @property
    def has_work(self) -> bool:
        """Whether there is work that is done while no request waits."""
        return False

    def work(self) -> None:
        """Does a part of that work, for at most a few seconds.

        Raises:
            LooptopError: An error that a person can correct; it becomes the reply.
        """

    def serve(self, line: bytes | None) -> None:
        """Answers one request, or without one does a part of the waiting work; any error becomes the reply."""
        try:
            if line is None:
                self.work()
            else:
                self.request_id = 0
                self.answer(line)
        except LooptopError as error:
            self.reply(self.reply_type(id=self.request_id, error=str(error), state=HelperState.READY))
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            if is_out_of_memory(error):
                reason = out_of_memory_text(error, "while it answered")
                message = f"{reason}; close other programs, or use a smaller model"
            else:
                message = f"an error in looptop itself ({visible(type(error).__name__)}); see {visible(self.log)}"
            self.reply(self.reply_type(id=self.request_id, error=message, state=HelperState.READY))

    def report(self, activity: str) -> None:
        """Sends what is being done for the request, in words."""
        self.reply(self.reply_type(id=self.request_id, activity=activity))

    def reply(self, reply: ReplyType) -> None:
        """Writes one line; ends the process if nobody reads it any more."""
        try:
            self.replies.write(json.encode(reply) + b"\n")
            self.replies.flush()
        except OSError:
            os._exit(0)


def run(make: Callable[[IO[bytes], Path], HelperServer[ReplyType]], log_name: str, module: str) -> None:
    """Serves until standard input closes.

    Args:
        make: Makes the server from the stream for its replies and the path of its log.
        log_name: The name of the log in looptop's home.
        module: A module that takes seconds to import; it is imported before the first request comes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    log = redirect(log_name)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()
    server = make(replies, log)
    server.reply(server.reply_type(state=HelperState.STARTING))
    try:
        import_module(module)
    except Exception as error:
        traceback.print_exc()
        message = f"torch cannot be loaded ({visible(error)}); see {visible(log)}"
        server.reply(server.reply_type(state=HelperState.STARTING, error=message))
        sys.exit(1)
    server.reply(server.reply_type(state=HelperState.READY))
    while True:
        server.serve(None if server.has_work and lines.empty() else lines.get())


def redirect(log_name: str) -> Path:
    """Redirects descriptor 0 to nothing, 1 and 2 to the log. If the log cannot be opened, prints are lost."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        log = home() / log_name
        anew = os.O_TRUNC if log.exists() and log.stat().st_size > MAX_LOG else 0
        printed = open_regular(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | anew)
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
    """Passes lines on. When the caller is gone, ends the process, whatever it is doing."""
    for line in requests:
        lines.put(line)
    os._exit(0)
