"""`looptop logs`: what a run printed."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import safe_lines, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.files.private import UnsafeFileError, open_regular
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

EXAMPLES = """\
  looptop logs vqa-3
  looptop logs vqa-3 -f                 and what comes, until the run ends
"""

POLL_SECONDS = 0.2
CHUNK = 1 << 16


class Arguments(CommonArguments):
    """What was typed."""

    run: str
    follow: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until the run ends")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the log."""
    if arguments.json and arguments.follow:
        raise LooptopError("--follow and --json do not go together: a log that goes on is not one JSON object")
    folder = RunFolder.find(arguments.run)
    texts = _texts(folder, follow=arguments.follow)
    if arguments.json:
        say_json({"run": folder.id, "lines": "".join(texts).splitlines()})
        return 0
    for text in texts:
        sys.stdout.write(safe_lines(text))
        sys.stdout.flush()
    return 0


def _texts(folder: RunFolder, *, follow: bool) -> Iterator[str]:
    """The log, piece by piece; bytes that are not UTF-8 become replacement characters."""
    if not os.path.lexists(folder.log) and not follow:
        return
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while not os.path.lexists(folder.log):
        if not folder.is_live():
            return
        time.sleep(POLL_SECONDS)
    with _opened(folder.log) as file:
        while True:
            # Looked at before the rest is read, so that nothing printed before the end is missed.
            going_on = follow and folder.is_live()
            yield from (decode(chunk) for chunk in _chunks(file))
            if not going_on:
                break
            time.sleep(POLL_SECONDS)
    yield decode(b"", final=True)


def _opened(log: Path) -> BinaryIO:
    try:
        return os.fdopen(open_regular(log), "rb")
    except UnsafeFileError:
        raise
    except OSError as error:
        raise LooptopError(f"cannot read {visible(log)}: {error.strerror}") from None


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
