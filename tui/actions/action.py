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
    """Whether it changes or starts a run, or writes a file; an app that was opened with `--readonly` refuses it."""
    key_text: str = ""
    """The keys as the screen shows them, such as `← →`; if empty, `displayed_keys` makes it from `keys`."""

    @property
    def displayed_keys(self) -> str:
        """The keys as the screen shows them."""
        names = {"escape": "esc", "slash": "/", "question_mark": "?", "full_stop": ".", "ctrl+s": "^s"}
        return self.key_text or " ".join(names.get(key, key) for key in self.keys.split(","))


HELP = Action("app.help", "question_mark,f1", "help", "Explain this pane, and show its keys.", key_text="?")
"""The key of the help in an overlay, where the app's own keys do not work."""
