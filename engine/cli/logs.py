"""`looptop logs`: prints a run's log."""

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
  looptop logs vqa-3 -f                 also new lines, until the run ends
"""

POLL_SECONDS = 0.2
CHUNK_BYTES = 1 << 16


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    follow: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3")
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines until the run ends")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the log."""
    if arguments.json and arguments.follow:
        raise LooptopError("--follow cannot be combined with --json: a growing log is not one JSON object")
    folder = RunFolder.find(arguments.run)
    pieces = _pieces(folder, follow=arguments.follow)
    if arguments.json:
        say_json({"run": folder.id, "lines": "".join(pieces).splitlines()})
        return 0
    for text in pieces:
        sys.stdout.write(safe_lines(text))
        sys.stdout.flush()
    return 0


def _pieces(folder: RunFolder, *, follow: bool) -> Iterator[str]:
    """The log, piece by piece; bytes that are not UTF-8 become replacement characters."""
    if not os.path.lexists(folder.log) and not follow:
        return
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while not os.path.lexists(folder.log):
        if not folder.is_live():
            return
        time.sleep(POLL_SECONDS)
    with _open_log(folder.log) as file:
        while True:
            # Checked before the rest is read, so that nothing printed before the end is missed.
            more_may_come = follow and folder.is_live()
            yield from (decode(chunk) for chunk in _chunks(file))
            if not more_may_come:
                break
            time.sleep(POLL_SECONDS)
    yield decode(b"", final=True)


def _open_log(log: Path) -> BinaryIO:
    try:
        return os.fdopen(open_regular(log), "rb")
    except UnsafeFileError:
        raise
    except OSError as error:
        raise LooptopError(f"cannot read {visible(log)}: {error.strerror}") from None


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
