"""What a run would start on this machine, and whether a person has to agree to it first.

To list, watch, show, export or ask a run starts nothing of it. To go on with it, to compare its models, or to train
another one like it starts the Python functions that it takes rewards from, and going on also its command that tells how
it goes. Of a run that this home has made that is what its person wants; of any other it is somebody else's code.
"""

from __future__ import annotations

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.origins import is_made_here, record_origin
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

    def __str__(self) -> str:
        return self.describe()

    def describe(self, longest: int = LONGEST) -> str:
        """What it is, its text and where that stands.

        Args:
            longest: Letters of the text that are shown.
        """
        text = visible(self.text)
        cut = f"{text[:longest]}… ({len(text) - longest:,} letters more)" if len(text) > longest else text
        return f"{self.what} `{cut}` ({visible(self.key)} in {visible(self.file)})"


def startables(folder: RunFolder, *, goes_on: bool) -> list[Startable]:
    """What a run names that would be started.

    Args:
        folder: The run.
        goes_on: It is resumed: its command counts, too.

    Raises:
        LooptopError: Its configuration cannot be read.
    """
    found = []
    if goes_on and (command := folder.about().notify):
        found.append(Startable("the shell command", command, "notify", str(folder.path / "about.toml")))
    rewards = folder.settings().get("rewards")
    for reward in rewards if isinstance(rewards, list) else ():
        if isinstance(reward, dict) and reward.get("function"):
            key = f"rewards.{reward.get('name', '?')}.function"
            found.append(Startable("the Python function", str(reward["function"]), key, str(folder.config_file)))
    return found


def untrusted(folder: RunFolder, *, goes_on: bool) -> list[Startable]:
    """What a run would start that this home has not made; empty where a person need not be asked.

    Args:
        folder: The run.
        goes_on: It is resumed.

    Raises:
        LooptopError: Its configuration cannot be read.
    """
    return [] if is_made_here(folder.path) else startables(folder, goes_on=goes_on)


def require_trust(folder: RunFolder, *, goes_on: bool = False, trust: bool = False) -> None:
    """Refuses to start what a run names, unless this home made the run or a person agrees.

    Args:
        folder: The run.
        goes_on: It is resumed.
        trust: A person has agreed. A run that lies in this home counts as its own from then on.

    Raises:
        LooptopError: Nobody has agreed; says what would be started.
    """
    found = untrusted(folder, goes_on=goes_on)
    if not found:
        return
    if trust:
        if folder.is_in_home():
            record_origin(folder.path)
        return
    would = "going on with it" if goes_on else "this"
    raise LooptopError(
        f"{folder.id} was not made in this home, and {would} would start {'; and '.join(map(str, found))}."
        " Read that; if you trust it, add --trust"
    )
