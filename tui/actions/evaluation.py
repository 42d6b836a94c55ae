"""Actions of the evaluation of a model."""

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
            shown="] tab",
        ),
        Action(
            "page(-1)",
            "left_square_bracket,shift+tab",
            "page before",
            "The page before.",
            footer=False,
            palette=True,
            shown="[",
        ),
        Action(
            "evaluate",
            "r",
            "evaluate",
            "Evaluate the model, again if it is evaluated already. Esc cancels; the app goes on meanwhile.",
            palette=True,
        ),
        Action("compare", "c", "compare", "Choose another model, which is asked the same questions.", palette=True),
    ),
    "cells": (
        Action("choose", "enter", "images", "Show the images of the cell on Ask."),
        Action("move(0, -1)", "left,h", "left", "The cell to the left.", footer=False, shown="← h"),
        Action("move(0, 1)", "right,l", "right", "The cell to the right.", footer=False, shown="→ l"),
        Action("move(-1, 0)", "up,k", "up", "The cell above.", footer=False, shown="↑ k"),
        Action("move(1, 0)", "down,j", "down", "The cell below.", footer=False, shown="↓ j"),
    ),
    "evaluation-rows": (Action("choose", "enter", "images", "Show the image on Ask, or all images of the row."),),
}
