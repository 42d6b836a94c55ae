"""What a person says of a run: its title, a note, and the command that is told how it goes.

It lies in `about.toml` in the run's folder and is written by any process of the same user. The journal is not the place
for it: that is written by the run alone, and a run that is over writes no more.
"""

from __future__ import annotations

import secrets
import tomllib
from pathlib import Path

import msgspec
import tomli_w
from msgspec import Struct

from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.runs.private import read_regular, write_private
from looptop.engine.text import visible

LONGEST_TITLE = 200
LONGEST_NOTE = 10_000


class About(Struct, frozen=True):
    """What a person says of a run; empty where nothing was said."""

    title: str = ""
    """One line."""
    note: str = ""
    """May have several lines."""
    notify: str = ""
    """A shell command that the run starts when it ends, fails, or raises an alert; see `notify`."""


def read_about(folder: Path) -> About:
    """What is said of the run in this folder; nothing where the file is missing or damaged."""
    try:
        return _parse(folder)
    except (OSError, *UNREADABLE):
        return About()


def damage(folder: Path) -> str:
    """What is wrong with the file of the run in this folder, in a sentence; empty where nothing is."""
    try:
        _parse(folder)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{_file(folder).name} cannot be read: {error.strerror}"
    except UNREADABLE:
        return f"{_file(folder).name} is damaged: title, note and notify are not known; write them anew"
    return ""


def write_about(folder: Path, *, title: str | None = None, note: str | None = None, notify: str | None = None) -> About:
    """Changes what is said of the run in this folder; None leaves what was said.

    Raises:
        LooptopError: A text is too long, or the folder cannot be written.
    """
    given = {"title": title, "note": note, "notify": notify}
    about = msgspec.structs.replace(
        read_about(folder), **{key: text.strip() for key, text in given.items() if text is not None}
    )
    if len(about.title) > LONGEST_TITLE or "\n" in about.title:
        raise LooptopError(f"a title is one line of at most {LONGEST_TITLE} characters; put the rest into the note")
    if len(about.note) > LONGEST_NOTE:
        raise LooptopError(f"a note has at most {LONGEST_NOTE:,} characters; this one has {len(about.note):,}")
    said = {key: text for key, text in msgspec.to_builtins(about).items() if text}
    draft = folder / f".about-{secrets.token_hex(6)}"
    try:
        write_private(draft, tomli_w.dumps(said, multiline_strings=True).encode("utf-8", "backslashreplace"))
        draft.rename(_file(folder))
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LooptopError(f"cannot write to {visible(folder)}: {error.strerror}") from None
    return about


def _parse(folder: Path) -> About:
    return msgspec.convert(tomllib.loads(read_regular(_file(folder)).decode("utf-8")), About)


def _file(folder: Path) -> Path:
    return folder / "about.toml"
