"""What a run would start on this machine, and whether a person has to agree to it first.

To list, watch, show, export or ask a run starts nothing of it. To go on with it, to compare its models, or to train
another one like it starts the Python functions that it takes rewards from, and going on also its command that tells how
it goes. Of a run that this home has made that is what its person wants; of any other it is somebody else's code.
"""

from __future__ import annotations

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import read_regular
from looptop.engine.paths import path_of
from looptop.engine.runs.folder import RunFolder, functions_of
from looptop.engine.runs.origins import is_allowed, record_origin
from looptop.engine.text import visible

LONGEST = 2000
"""Letters of a command that are shown."""


class Startable(Struct, frozen=True):
    """Something that a run would start."""

    what: str
    """`the shell command` or `the Python function`."""
    text: str
    key: str
    """Where in its file."""
    file: str
    code: str = ""
    """All of a function's file, where it stands in one that can be read."""

    def __str__(self) -> str:
        return self.describe()

    def describe(self, longest: int = LONGEST) -> str:
        """What it is, its text and where that stands.

        Args:
            longest: Letters of the text that are shown.
        """
        code = f", whose file holds `{_cut(self.code, longest)}`" if self.code else ""
        return f"{self.what} `{_cut(self.text, longest)}`{code} ({visible(self.key)} in {visible(self.file)})"


def _cut(text: str, longest: int) -> str:
    text = visible(text)
    return f"{text[:longest]}… ({len(text) - longest:,} letters more)" if len(text) > longest else text


def _code_of(function: str) -> str:
    """What stands in the file of a function that is named by a file."""
    path = path_of(function.rpartition(":")[0])
    if path.suffix != ".py":
        return ""
    try:
        return read_regular(path, follow_links=True).decode("utf-8", "replace").strip()
    except (OSError, ValueError, LooptopError):  # of a name that no file can have, too
        return ""


def startables(folder: RunFolder, *, resuming: bool) -> list[Startable]:
    """What a run names that would be started.

    Args:
        folder: The run.
        resuming: It is resumed: its command counts, too.

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
    """What a run would start that this home has not made; empty where a person need not be asked.

    Args:
        folder: The run.
        resuming: It is resumed.

    Raises:
        LooptopError: Its configuration cannot be read.
    """
    return [each for each in startables(folder, resuming=resuming) if not is_allowed(folder.path, each.text)]


def require_trust(folder: RunFolder, *, resuming: bool = False, trust: bool = False) -> None:
    """Refuses to start what a run names, unless this home made the run or a person agrees.

    Args:
        folder: The run.
        resuming: It is resumed.
        trust: A person has agreed. A run that lies in this home counts as its own from then on.

    Raises:
        LooptopError: Nobody has agreed; says what would be started.
    """
    strange = untrusted(folder, resuming=resuming)
    if not strange:
        return
    if trust:
        if folder.is_in_home():
            record_origin(folder.path, [each.text for each in startables(folder, resuming=True)])
        return
    would, commands = "going on with it" if resuming else "this", "; and ".join(map(str, strange))
    raise LooptopError(
        f"{folder.id} was not made in this home, or was changed since, and {would} would start {commands}. Read that;"
        " if you trust it, add --trust"
    )
