"""The app with an answering process that needs no model."""

from __future__ import annotations

from looptop.engine.runs.folder import RunFolder
from looptop.tui.app import LooptopApp
from tests.factories.quick_answers import QuickAnswers


def make_app(answers: QuickAnswers, attach: RunFolder | None = None) -> LooptopApp:
    return LooptopApp(make_process=lambda: answers, attach=attach)
