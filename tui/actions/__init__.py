"""The table of all actions of the app: their keys, names and meanings, by the context in which the keys work.

Key bindings, the footer, the help and the command palette are all made from these tables, so they cannot disagree. A
key context is a part of the app whose keys work while it has the focus: a screen, a list, a field.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from textual.binding import Binding

from looptop.tui.actions.action import Action as Action
from looptop.tui.actions.ask import ASK_ACTIONS
from looptop.tui.actions.curation import CURATION_ACTIONS
from looptop.tui.actions.evaluation import EVALUATION_ACTIONS
from looptop.tui.actions.plots import PLOT_ACTIONS
from looptop.tui.actions.ppo import PPO_ACTIONS
from looptop.tui.actions.runs import RUN_ACTIONS
from looptop.tui.actions.shared import SHARED_ACTIONS

KEY_CONTEXTS = {
    "app": "Everywhere",
    "field": "In a text field",
    "ask": "Ask",
    "viewer": "In the large view of an image",
    "question": "In the question field",
    "answer": "In the answer",
    "images": "In the images",
    "image-filter": "In the filter of the images",
    "history-filter": "In the filter of the earlier questions",
    "gallery": "In the gallery",
    "path": "In the field for a path",
    "history": "In the earlier questions",
    "card": "In the card of a model",
    "models": "In the list of models",
    "many": "In a table of answers",
    "answers": "In the rows of a table of answers",
    "train": "Train",
    "form": "In the form of a new run",
    "settings": "In the settings of a new run",
    "value": "While you type a value",
    "run": "In the view of a run",
    "curation": "The training questions of a run",
    "runs": "Runs",
    "runs-list": "In the list of runs",
    "charts": "In the charts of runs",
    "wall": "In charts",
    "evaluation": "In the evaluation of a model",
    "timeline": "In the evaluations of a run",
    "cards": "In the sample answers of an evaluation",
    "types": "In the accuracy by type",
    "cells": "In the confusion table",
    "evaluation-rows": "In the questions or groups of an evaluation",
    "ppo": "In a PPO run",
    "ppo-run": "In the batches and charts of a PPO run",
    "ppo-batch": "In a batch",
    "ppo-sample": "In a sample",
    "ppo-tokens": "In the tokens of a sample",
    "ppo-compare": "In before and after",
    "breakpoints": "In the breakpoints",
    "health": "In the health marks",
    "tree": "In the files",
    "rows": "In lists and tables",
    "columns": "In tables with a column cursor",
    "bars": "In a histogram",
    "tokens": "In the tokens",
    "picker": "In a list to choose from",
    "help": "In the help",
    "events": "In the last events",
    "entries": "In the log, or in all events",
    "configurations": "In the configurations",
    "completions": "In the completions",
    "dialog": "In a dialog",
}
"""The title of each key context in the help, in the help's order."""


class ScreenKeys(NamedTuple):
    """A screen's name in the palette, and the key contexts of all that it can show."""

    title: str
    contexts: tuple[str, ...]


SCREENS = {
    "ask": ScreenKeys(
        "Ask", ("ask", "question", "images", "image-filter", "gallery", "rows", "tree", "history", "history-filter")
    ),
    "train": ScreenKeys("Train", ("train", "form", "settings", "value", "rows", "run", "wall")),
    "ppo": ScreenKeys(
        "PPO",
        ("ppo-run", "ppo-batch", "ppo-sample", "ppo-tokens", "ppo-compare", "ppo", "wall", "form", "settings", "value"),
    ),
    "runs": ScreenKeys("Runs", ("runs", "runs-list", "rows")),
    "charts": ScreenKeys("Charts", ("charts", "wall")),
    "evaluation": ScreenKeys("Evaluation", ("evaluation", "cells", "evaluation-rows", "rows")),
    "timeline": ScreenKeys("Timeline", ("timeline", "cards", "types", "cells")),
}
"""The screens, by their names in the app."""

ACTIONS: dict[str, tuple[Action, ...]] = {
    **SHARED_ACTIONS,
    **ASK_ACTIONS,
    **RUN_ACTIONS,
    **CURATION_ACTIONS,
    **EVALUATION_ACTIONS,
    **PLOT_ACTIONS,
    **PPO_ACTIONS,
}
"""All actions, by key context."""


def bindings(*contexts: str) -> list[Binding]:
    """The key bindings of these contexts."""
    return [
        Binding(
            action.keys,
            action.name,
            action.label,
            show=action.footer,
            key_display=action.displayed_keys,
            priority=action.always,
            tooltip=action.help,
        )
        for action in actions_of(contexts)
    ]


def actions_of(contexts: Iterable[str]) -> list[Action]:
    """The actions of these contexts, in the order of the tables."""
    wanted = set(contexts)
    return [action for context, actions in ACTIONS.items() if context in wanted for action in actions]


CHANGING = frozenset(action.name for actions in ACTIONS.values() for action in actions if action.changes)
"""The names, with their arguments, of the actions that change a run or start one."""
