"""What a run would start on this machine, and whether a person must agree to it first.

Listing, watching, showing, exporting or asking a run starts nothing. Resuming it, comparing its models, or training a
similar run starts its Python reward functions; resuming also starts its notify command. In a run that this home made,
they are the person's own. In any other run, they are somebody else's code.
"""

from __future__ import annotations

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import read_regular
from looptop.engine.paths import path_of
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.origins import functions_of, is_allowed, record_origin
from looptop.engine.text import counted, visible

SHOWN_LENGTH = 2000
"""How many characters of a command are shown."""


class Startable(Struct, frozen=True):
    """Something that a run would start."""

    kind: str
    """`the shell command` or `the Python function`."""
    text: str
    key: str
    """Its key in the file."""
    file: str
    code: str = ""
    """The code of a function's file; empty if it cannot be read."""

    def __str__(self) -> str:
        return self.describe()

    def describe(self, longest: int = SHOWN_LENGTH) -> str:
        """Describes it: its kind, text, key and file.

        Args:
            longest: How many characters of the text to show.
        """
        code = f", whose file holds `{_cut(self.code, longest)}`" if self.code else ""
        return f"{self.kind} `{_cut(self.text, longest)}`{code} ({visible(self.key)} in {visible(self.file)})"


def _cut(text: str, longest: int) -> str:
    text = visible(text)
    return f"{text[:longest]}… ({counted(len(text) - longest, 'character')} more)" if len(text) > longest else text


def _code_of(function: str) -> str:
    """The code of a function that is named by a file; empty if there is none."""
    path = path_of(function.rpartition(":")[0])
    if path.suffix != ".py":
        return ""
    try:
        return read_regular(path, follow_links=True).decode("utf-8", "replace").strip()
    except (OSError, ValueError, LooptopError):  # includes names that no file can have
        return ""


def startables(folder: RunFolder, *, resuming: bool) -> list[Startable]:
    """Everything in a run that would be started.

    Args:
        folder: The run.
        resuming: Whether the run is resumed, which starts its command, too.

    Raises:
        LooptopError: Its configuration cannot be read.
    """
    named = []
    if resuming and (command := folder.about().notify):
        named.append(Startable("the shell command", command, "notify", str(folder.path / "about.toml")))
    for reward, function in functions_of(folder.settings()):
        key, file = f"rewards.{reward}.function", str(folder.config_file)
        named.append(Startable("the Python function", function, key, file, _code_of(function)))
    return named


def untrusted(folder: RunFolder, *, resuming: bool) -> list[Startable]:
    """Everything in a run that would be started and does not come from this home; a person must agree to it.

    Args:
        folder: The run.
        resuming: Whether the run is resumed.

    Raises:
        LooptopError: Its configuration cannot be read.
    """
    return [each for each in startables(folder, resuming=resuming) if not is_allowed(folder.path, each.text)]


def require_trust(folder: RunFolder, *, resuming: bool = False, trust: bool = False) -> None:
    """Refuses to start commands and functions of a run, unless this home made the run or a person agrees.

    Args:
        folder: The run.
        resuming: Whether the run is resumed.
        trust: Whether a person agrees. A run in this home then counts as made by it.

    Raises:
        LooptopError: Nobody agreed; the message says what would be started.
    """
    strange = untrusted(folder, resuming=resuming)
    if not strange:
        return
    if trust:
        if folder.is_in_home():
            record_origin(folder.path, [each.text for each in startables(folder, resuming=True)])
        return
    action, commands = "resuming it" if resuming else "this", "; and ".join(map(str, strange))
    raise LooptopError(
        f"{folder.id} was not made in this home, or was changed since, and {action} would start {commands}. Read that;"
        " if you trust it, add --trust"
    )
