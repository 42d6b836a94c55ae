"""Reads paths as people type, paste and drop them: quoted, escaped, as URLs, or with `~`.

All but `may_be_paths` ask the file system, which may be slow: call them in a thread.
"""

from __future__ import annotations

import os
import re
import shlex
import string
from pathlib import Path
from urllib.parse import unquote, urlsplit

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

_LONGEST_PASTE = 1_000_000
_BEFORE = string.whitespace + "'\"\\"
"""What may stand before a path: quotes, and the backslash that escapes its first character."""
_ROOTED = re.compile(r"^(file:|~|/|\./|\.\./)")


def typed_path(text: str) -> Path:
    """The path that a person means.

    Accepts quotes, backslash-escaped spaces, `file://` URLs and `~`, as terminals and file managers write them. If a
    file has exactly the typed name, that file is meant.

    Raises:
        LooptopError: Nothing was typed, or the URL names another machine.
    """
    text = text.strip("\r\n\t \0")
    if not text:
        raise LooptopError("no path was typed; write for example ~/pictures/cat.png")
    if os.path.lexists(os.path.expanduser(text.replace("\0", ""))):  # noqa: PTH111 (a Path would fold `..` and `//`)
        return Path(text.replace("\0", "")).expanduser()
    if text[0] == text[-1] and text[0] in "'\"" and len(text) > 1:
        text = text[1:-1]
    elif "\\" in text:
        try:
            text = " ".join(shlex.split(text))
        except ValueError:
            text = re.sub(r"\\(.)", r"\1", text)
    if text.startswith("file:"):
        url = urlsplit(text)
        if url.netloc not in ("", "localhost"):
            raise LooptopError(f"the image is on another machine, {visible(url.netloc)}; copy it here first")
        text = unquote(url.path)
    elif re.match(r"^https?://", text):
        raise LooptopError("looptop opens no web addresses; save the image first and give its path")
    return Path(os.path.expanduser(text.replace("\0", "")))  # noqa: PTH111


def may_be_paths(text: str) -> bool:
    """Whether a pasted text begins like a path; only then can `pasted_paths` have any."""
    return bool(_ROOTED.match(text.strip().lstrip(_BEFORE)))


def is_path_text(text: str) -> bool:
    """Whether a pasted text is a path, not a question: one line that starts like a path and names a file or folder."""
    line = text.strip().strip("'\"")
    if len(line) < 2 or "\n" in line or len(line) > 4096 or not _ROOTED.match(line):
        return False
    try:
        return os.path.isfile(typed_path(text)) or os.path.isdir(typed_path(text))  # noqa: PTH112, PTH113
    except (LooptopError, OSError, ValueError):
        return False


def pasted_paths(text: str) -> list[Path]:
    """The paths in a pasted or dropped text, one in each line or separated as in a shell; empty for any other text.

    Several words count as paths if all of them start like paths and at least one exists.
    """
    if is_path_text(text):
        return [typed_path(text)]
    if len(text) > _LONGEST_PASTE:
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        try:
            lines = shlex.split(text)
        except ValueError:
            return []
    if len(lines) < 2 or not all(_ROOTED.match(line.strip().strip("'\"")) for line in lines):
        return []
    if not any(map(is_path_text, lines)):
        return []
    paths = []
    for line in lines:
        try:
            paths.append(typed_path(line))
        except LooptopError:
            paths.append(Path(line))
    return paths
