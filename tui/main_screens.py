"""Makes the app's main screens, each when it is shown first: until then, its code is not imported either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder
    from looptop.tui.ask.client import AnswerHelper
    from looptop.tui.evaluation.evaluation_runner import EvaluationHelper


@dataclass(frozen=True)
class MainScreens:
    """The main screens, by their names in the app."""

    attach: RunFolder | None
    """The run that the app opens on."""
    first: str
    """The name of the screen that the app opens with."""
    make_process: Callable[[], AnswerHelper] | None
    """Makes the answering process; None for the engine's own."""
    make_evaluator: Callable[[], EvaluationHelper] | None
    """Makes the evaluating process; None for the engine's own."""

    @property
    def makers(self) -> Mapping[str, Callable[[], Screen[Any]]]:
        """Makes the screen of each name."""
        return {
            "ask": self._ask,
            "train": self._train,
            "ppo": self._ppo,
            "runs": self._runs,
            "charts": self._charts,
            "evaluation": self._evaluation,
            "timeline": self._timeline,
        }

    def _ask(self) -> Screen[Any]:
        from looptop.tui.ask.screen import AskScreen

        return AskScreen(self.make_process)

    def _train(self) -> Screen[Any]:
        from looptop.tui.train.screen import TrainScreen

        return TrainScreen(attach=self.attach if self.first == "train" else None)

    def _ppo(self) -> Screen[Any]:
        from looptop.tui.ppo.screen import PpoScreen

        return PpoScreen(attach=self.attach if self.first == "ppo" else None)

    def _runs(self) -> Screen[Any]:
        from looptop.tui.runs.screen import RunsScreen

        return RunsScreen()

    def _charts(self) -> Screen[Any]:
        from looptop.tui.charts.screen import ChartsScreen

        return ChartsScreen([self.attach] if self.attach is not None else [])

    def _evaluation(self) -> Screen[Any]:
        from looptop.tui.evaluation.screen import EvaluationScreen

        return EvaluationScreen(self.make_evaluator)

    def _timeline(self) -> Screen[Any]:
        from looptop.tui.evaluation.timeline import TimelineScreen

        return TimelineScreen()
