"""What the charts of every screen ask for beyond themselves: another run laid over them, and files of a chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from textual.content import Content

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible
from looptop.tui.background import in_thread, work
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.curves import ROLES
from looptop.tui.run_text import run_list_lines
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.curve_reader import OverlaidRuns

MOST_LISTED = 200
"""Runs in the list to choose from."""


class Watcher(Protocol):
    """Reads a run and those that are laid over it."""

    @property
    def run(self) -> RunFolder:
        """The run."""
        ...

    @property
    def overlaid(self) -> OverlaidRuns:
        """The runs that are laid over it."""
        ...


class ChartControls:
    """Carries out what a wall of charts asks for.

    Args:
        screen: The screen that the wall is on.
        wall: Gives the wall.
        runs: Gives the runs that are shown, the screen's own first; empty while there is none.
        toggle: Lays a run over the others, or takes it away.
    """

    def __init__(
        self,
        screen: MainScreen,
        wall: Callable[[], ChartWall],
        runs: Callable[[], Sequence[RunFolder]],
        toggle: Callable[[RunFolder], None],
    ) -> None:
        self._screen, self._wall, self._runs, self._toggle = screen, wall, runs, toggle

    @classmethod
    def of_one_run(
        cls,
        screen: MainScreen,
        wall: Callable[[], ChartWall],
        watcher: Callable[[], Watcher | None],
        read: Callable[[], None],
    ) -> ChartControls:
        """For a screen that shows one run.

        Args:
            screen: The screen that the wall is on.
            wall: Gives the wall.
            watcher: Gives what reads the run; None while there is none.
            read: Called after a run was laid over it or taken away, so that the screen reads now.
        """

        def runs() -> Sequence[RunFolder]:
            watched = watcher()
            return [] if watched is None else [watched.run, *watched.overlaid.runs]

        def toggle(run: RunFolder) -> None:
            if (watched := watcher()) is not None:
                watched.overlaid.toggle(run)
                read()

        return cls(screen, wall, runs, toggle)

    def carry_out(self, wanted: ChartWall.OverlayWanted | ChartWall.ExportWanted) -> None:
        """Does what a wall of charts asks for."""
        if isinstance(wanted, ChartWall.OverlayWanted):
            self.choose_overlay()
        else:
            self.export()

    def choose_overlay(self) -> None:
        """Lets the person choose a run to lay over the charts, or one to take away."""
        shown = self._runs()
        if not shown:
            return
        specs = self._wall().specs
        most = len(ROLES) - max((len(spec.lines) for spec in specs), default=1) + 1
        metrics = {metric for spec in specs for metric in spec.metrics}

        async def choose() -> None:
            from looptop.tui.screens.picker import Choice, Picker

            every = await in_thread(self._screen.services.summaries.all)
            summaries = [each for each in every if metrics & each.metrics.keys()][:MOST_LISTED]
            overlaid = {run.id for run in shown[1:]}
            own = {shown[0].id} if shown[0].is_in_home() else set()
            others = sorted(
                (each for each in summaries if each.id not in own), key=lambda each: each.id not in overlaid
            )
            choices = [
                Choice(each.id, Content("✓ " if each.id in overlaid else "  ") + line)
                for each, line in zip(others, run_list_lines(others), strict=True)
            ]
            picker = Picker(f"Lay over {shown[0].id}", choices, "There is no other run with these metrics.")
            self._screen.app.push_screen(picker, lambda chosen: self._chosen(chosen, overlaid, most))

        work(self._screen, choose(), "overlay", exclusive=True)

    def _chosen(self, run_id: str | None, overlaid: set[str], most: int) -> None:
        if run_id is None:
            return
        if run_id not in overlaid and len(overlaid) + 1 >= most:
            self._screen.services.show_notice(
                f"more than {most} runs cannot be told apart in these charts; remove one first", "warning"
            )
            return
        self._screen.services.fetch(lambda: RunFolder.find(run_id), self._toggle)

    def export(self) -> None:
        """Writes the chosen chart as CSV, SVG and PNG, and shows where."""
        from looptop.tui.screens.chart_export import export_chart

        wall, runs = self._wall(), list(self._runs())
        spec, view, axis_name = wall.chosen_spec, wall.view, wall.step_name
        if spec is None or not runs:
            return

        async def write() -> None:
            try:
                paths = await in_thread(lambda: export_chart(spec, runs, view, axis_name))
            except LooptopError as error:
                self._screen.services.show_notice(error, "error")
                return
            names = ", ".join(path.name for path in paths)
            self._screen.services.show_notice(f"the chart is in {visible(paths[0].parent)}: {names}")

        work(self._screen, write(), "export")
