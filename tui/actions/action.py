"""One thing that a person can do with a key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """What a key does, and how it is named."""

    name: str
    """Textual's name for it, with its arguments: `go('train')`. The method `action_go` does it."""
    keys: str
    """Comma-separated, Textual's names."""
    label: str
    """For the footer: a word or two."""
    help: str
    """What it does, in a sentence; empty where the action before says it too."""
    footer: bool = True
    """Whether the footer shows it; the help always does."""
    palette: bool = False
    """Whether the command palette offers it."""
    always: bool = False
    """Whether it goes before whatever has the focus."""
    shown: str = ""
    """How its keys are written; made from `keys` where empty."""

    @property
    def key_text(self) -> str:
        """Its keys, as a person would write them."""
        names = {"escape": "esc", "slash": "/", "question_mark": "?", "full_stop": ".", "ctrl+s": "^s"}
        return self.shown or " ".join(names.get(key, key) for key in self.keys.split(","))
