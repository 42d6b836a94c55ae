"""Keys of the screens Evaluation (of a model) and Timeline (of a run's evaluations), by key context."""

from __future__ import annotations

from looptop.tui.actions.action import Action

EVALUATION_ACTIONS = {
    "evaluation": (
        Action(
            "page(1)",
            "right_square_bracket,tab",
            "next page",
            "The next page: figures, reliability, confusion, hardest, mislabelled, compare.",
            palette=True,
            key_text="] tab",
        ),
        Action(
            "page(-1)",
            "left_square_bracket,shift+tab",
            "previous page",
            "The previous page.",
            footer=False,
            palette=True,
            key_text="[ shift+tab",
        ),
        Action(
            "evaluate",
            "r",
            "evaluate",
            "Evaluate the model, or evaluate it again. Esc cancels; you can use the app meanwhile.",
            palette=True,
        ),
        Action("compare", "c", "compare", "Choose another model to compare with, on the same questions.", palette=True),
    ),
    "timeline": (
        Action(
            "step(-1)",
            "left_square_bracket",
            "earlier",
            "The previous evaluation; a live run is no longer followed.",
            palette=True,
            key_text="[",
        ),
        Action("step(1)", "right_square_bracket", "later", "The next evaluation.", palette=True, key_text="]"),
        Action("jump('first')", "home", "first", "The first evaluation.", always=True, key_text="Home"),
        Action(
            "jump('last')",
            "end",
            "newest",
            "The newest evaluation; new ones are then shown as they come.",
            always=True,
            key_text="End",
        ),
        Action("page(1)", "tab", "next page", "The next page: samples, types, confusion.", palette=True),
        Action("page(-1)", "shift+tab", "previous page", "The previous page.", footer=False),
    ),
    "cards": (
        Action("choose", "enter", "image", "Show the image on Ask, with those of the other samples."),
        Action("move(-1)", "left,h", "left", "The card to the left.", footer=False, key_text="← h"),
        Action("move(1)", "right,l", "right", "The card to the right.", footer=False, key_text="→ l"),
        Action("line(-1)", "up,k", "up", "The card above.", footer=False, key_text="↑ k"),
        Action("line(1)", "down,j", "down", "The card below.", footer=False, key_text="↓ j"),
    ),
    "types": (
        Action("move(-1)", "up,k", "up", "The type above.", footer=False, key_text="↑ k"),
        Action("move(1)", "down,j", "down", "The type below.", footer=False, key_text="↓ j"),
        Action("page(-1)", "pageup", "page up", "A page up.", footer=False, key_text="PgUp"),
        Action("page(1)", "pagedown", "page down", "A page down.", footer=False, key_text="PgDn"),
    ),
    "cells": (
        Action("choose", "enter", "images", "Show the cell's images on Ask; on Timeline, those of its samples."),
        Action("column(-1)", "left,h", "left", "The cell to the left.", footer=False, key_text="← h"),
        Action("column(1)", "right,l", "right", "The cell to the right.", footer=False, key_text="→ l"),
        Action("move(-1)", "up,k", "up", "The cell above.", footer=False, key_text="↑ k"),
        Action("move(1)", "down,j", "down", "The cell below.", footer=False, key_text="↓ j"),
    ),
    "evaluation-rows": (
        Action(
            "choose",
            "enter",
            "images",
            "Show the question's image on Ask, with those of the other rows; of a group, all its images.",
        ),
    ),
}
