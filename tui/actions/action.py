"""One thing that a person can do with a key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """What a key does, and how it is named."""

    name: str
    """The action as Textual names it, with arguments: `go('train')` calls `action_go`."""
    keys: str
    """Textual's names of the keys, separated by commas."""
    label: str
    """A word or two for the footer."""
    help: str
    """What it does, in a sentence; empty if the previous action's sentence covers both."""
    footer: bool = True
    """Whether the footer shows it; the help always does."""
    palette: bool = False
    """Whether the command palette offers it."""
    always: bool = False
    """Whether the key acts before the widget that has the focus sees it."""
    changes: bool = False
    """Whether it changes a run or starts one; an app that was opened with `--readonly` refuses it."""
    shown: str = ""
    """How the keys are displayed; if empty, made from `keys`."""

    @property
    def key_text(self) -> str:
        """The keys as a person would write them."""
        names = {"escape": "esc", "slash": "/", "question_mark": "?", "full_stop": ".", "ctrl+s": "^s"}
        return self.shown or " ".join(names.get(key, key) for key in self.keys.split(","))


HELP = Action("app.help", "question_mark,f1", "help", "Explain this pane, and show its keys.", shown="?")
"""The key of the help in an overlay, where the app's own keys do not work."""
