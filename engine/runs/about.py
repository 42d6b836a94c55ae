"""What a person adds to a run: a title, a note, and a notify command.

It is in `about.toml` in the run's folder, and any process of the same user may write it. It cannot be in the journal,
which only the run itself writes, and only while it is live.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from looptop.engine.encoding import dump_toml, parse_toml
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import read_regular
from looptop.engine.files.replacing import replace_private
from looptop.engine.runs.origins import allow
from looptop.engine.text import visible

LONGEST_TITLE = 200
LONGEST_NOTE = 10_000


class About(Struct, frozen=True):
    """What a person added to a run; empty texts if nothing."""

    title: str = ""
    """One line."""
    note: str = ""
    """May have several lines."""
    notify: str = ""
    """A shell command that the run starts when it ends, fails, or raises an alert; see `notify`."""


def read_about(folder: Path) -> About:
    """Reads the title, note and command of the run in this folder; empty if the file is missing or damaged."""
    try:
        return load_about(folder)
    except LooptopError:
        return About()


def load_about(folder: Path) -> About:
    """Reads the title, note and command of the run in this folder; empty if the file is missing.

    Raises:
        LooptopError: The file is damaged or cannot be read.
    """
    return _parse(folder)[0]


def damage(folder: Path) -> str:
    """What is wrong with the run's `about.toml`, in a sentence; empty if nothing is."""
    try:
        load_about(folder)
    except LooptopError as error:
        return str(error)
    return ""


def write_about(folder: Path, *, title: str | None = None, note: str | None = None, notify: str | None = None) -> About:
    """Changes the title, note or command of the run in this folder; None leaves a text unchanged.

    Raises:
        LooptopError: A text is too long, the file cannot be read (it is left unchanged), or the folder cannot be
            written to.
    """
    before, data = _parse(folder)
    given = {"title": title, "note": note, "notify": notify}
    about = msgspec.structs.replace(before, **{key: text.strip() for key, text in given.items() if text is not None})
    if len(about.title) > LONGEST_TITLE or "\n" in about.title:
        raise LooptopError(f"a title is one line of at most {LONGEST_TITLE} characters; put the rest into the note")
    if len(about.note) > LONGEST_NOTE:
        raise LooptopError(f"a note has at most {LONGEST_NOTE:,} characters; this one has {len(about.note):,}")
    if notify is not None:
        allow(folder, about.notify)
    data |= msgspec.to_builtins(about)
    content = dump_toml({key: value for key, value in data.items() if value != ""})
    try:
        replace_private(_file(folder), content, make_folder=False)
    except OSError as error:
        raise LooptopError(f"cannot write to {visible(folder)}: {error.strerror}") from None
    return about


def _parse(folder: Path) -> tuple[About, dict[str, Any]]:
    """The texts, and the whole content of the file, which may hold keys of a newer looptop."""
    try:
        data = parse_toml(read_regular(_file(folder)))
        return msgspec.convert(data, About), data
    except FileNotFoundError:
        return About(), {}
    except OSError as error:
        raise LooptopError(f"cannot read {visible(_file(folder))}: {error.strerror}; nothing was changed") from None
    except UNREADABLE as error:
        raise LooptopError(
            f"cannot read {visible(_file(folder))}: {visible(error)}; correct or remove the file; nothing was changed"
        ) from None


def _file(folder: Path) -> Path:
    return folder / "about.toml"
