"""Keys of the page of training questions.

Each is an `Action`: what it calls, its keys, its label in the bottom line, and its sentence in the help.
"""

from __future__ import annotations

from looptop.tui.actions.action import HELP, Action
from looptop.tui.actions.run_controls import run_control

CURATION_ACTIONS = {
    "curation": (
        Action("relabel", "enter", "other answer", "Give the question another answer.", changes=True, key_text="⏎"),
        Action("drop", "x", "leave out", "Leave the question out of training.", changes=True),
        Action("restore", "u", "undo", "Undo your change to the question.", changes=True),
        run_control("pause", "space", palette=False),
        Action(
            "search", "slash", "filter", 'Filter: loss>2 confidence<30% answer:red edited -"some words".', key_text="/"
        ),
        Action("sort", "s", "sort", "Sort by the next column; clicking a column's title sorts by that column."),
        Action("reverse", "S", "reverse", "Sort the other way round.", footer=False),
        Action(
            "leave_or_close", "escape", "close", "Leave the filter; if it is not open, close the page.", always=True
        ),
        HELP,
    ),
}
