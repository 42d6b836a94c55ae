"""Runs: the list of all runs, to open, compare, rename, resume, export and delete them; and the machine's load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Input, Static

from looptop.engine.errors import LooptopError
from looptop.engine.home import home
from looptop.engine.journal.records import RunSummary
from looptop.engine.runs import run_filter
from looptop.engine.runs.about import write_about
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.listing import COLUMNS, ordered
from looptop.engine.text import counted
from looptop.tui.actions import SCREENS, bindings
from looptop.tui.actions.run_controls import does_nothing
from looptop.tui.background import for_threads, in_thread, work
from looptop.tui.runs.machine import MachinePanel
from looptop.tui.runs.run_table import RunTable
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.controls import RunControls
from looptop.tui.screens.watch import RUNS_INTERVAL, RUNS_LOAD, WatchLoop
from looptop.tui.text import safe, size
from looptop.tui.widgets.bars import KeyBar, TopBar
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.table import Table

if TYPE_CHECKING:
    from looptop.engine.machine.usage import Machine

MACHINE_INTERVAL = 2.0
"""Seconds between two readings of the machine."""

MOST_COMPARED = 6


class RunsScreen(MainScreen):
    """The Runs screen, on key 4."""

    CSS_PATH = ["../styles/lists.tcss", "../styles/runs.tcss"]  # noqa: RUF012
    KEY_CONTEXTS = SCREENS["runs"].contexts
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs")]

    def __init__(self) -> None:
        super().__init__()
        self._all: list[RunSummary] = []
        self._read_once = False
        self._run_filter = run_filter.parse("")
        self._unknown = ""
        """The filter's error that depends on the runs: an unknown metric; empty if there is none."""
        self._wrong = ""
        self._sort = ("created", True)
        self._live_in_keys: bool | None = None
        """Whether the run under the cursor was live when the bottom line was last drawn."""
        self._loop = WatchLoop(self, self._read, self.show_error, RUNS_INTERVAL, RUNS_LOAD)
        self._machine: Machine | None = None
        self._machine_loop = WatchLoop(self, self._read_machine, self.show_error, MACHINE_INTERVAL)
        self._controls = RunControls(self, self._loop.poke)

    def compose(self) -> Iterable[Widget]:
        """The filter, its error, the list, the machine."""
        yield TopBar("runs")
        with Horizontal(id="runs-bar"):
            yield Field(placeholder='/ filters:  kind:vqa state:running loss<0.5 "some words"', id="runs-filter")
            yield Static(id="runs-status")
        yield RunTable()
        yield MachinePanel()
        yield KeyBar()

    def on_mount(self) -> None:
        """Starts reading."""
        self.query_one(RunTable).focus()
        self._loop.start()
        self._machine_loop.start()

    def on_screen_resume(self) -> None:
        """Reads immediately when the screen comes back."""
        self._loop.poke()

    def on_resize(self, event: Resize) -> None:
        """Fits the machine's panel to the new size."""
        super().on_resize(event)
        self._show()

    async def _read(self) -> bool:
        summaries, show_part = self.services.summaries, for_threads(self._take)
        self._take(await in_thread(lambda: summaries.all(show_part)))
        return True

    def _take(self, summaries: list[RunSummary]) -> None:
        self._all, self._read_once = summaries, True
        self._show()

    def _show(self) -> None:
        table = self.query_one(RunTable)
        by, backwards = self._sort
        rows = ordered(filter(self._run_filter.holds, self._all), by, reverse=backwards)
        self._unknown = ""
        try:
            run_filter.check_metrics(self._run_filter, self._all)
        except LooptopError as error:
            self._unknown = str(error)
        empty = "no run matches" if self._all else "no runs yet: screen 2 starts one"
        table.show(rows, self._sort, empty if self._read_once else "reading…")
        self._say_count()
        self._refresh_keys()

    def _say_count(self) -> None:
        status, table = self.query_one("#runs-status", Static), self.query_one(RunTable)
        if wrong := self._wrong or self._unknown:
            status.update(safe(wrong, "$text-error"))
            return
        live = sum(bool(each.live) for each in self._all)
        words = [f"{len(table.runs):,} of {counted(len(self._all), 'run')}", f"{live} live"]
        if table.selected:
            words.append(f"{len(table.selected)} selected")
        status.update(Content.styled(" · ".join(words), "$text-muted"))

    async def _read_machine(self) -> bool:
        from looptop.engine.machine.usage import Machine

        panel = self.query_one(MachinePanel)
        if not panel.size.height:
            return False
        if self._machine is None:
            self._machine = await in_thread(lambda: Machine(home()))
        try:
            usage = await in_thread(self._machine.read)
        except OSError:
            return False
        panel.styles.height = 5 + 4 * len(usage.gpus)
        panel.show_usage(usage)
        return True

    def hides_key(self, action: str) -> bool:
        """Hides keys that do nothing with the run under the cursor, since it is live, or is not."""
        return does_nothing(action, self._run_is_live)

    @property
    def _run_is_live(self) -> bool | None:
        run = self.query_one(RunTable).run
        return None if run is None else bool(run.live)

    def _refresh_keys(self) -> None:
        if self._run_is_live != self._live_in_keys:
            self._live_in_keys = self._run_is_live
            self.refresh_bindings()

    # Filtering and sorting.

    def action_filter(self) -> None:
        """Goes to the filter."""
        self.query_one("#runs-filter", Field).focus()

    @on(Input.Changed, "#runs-filter")
    def _filter(self, event: Input.Changed) -> None:
        try:
            self._run_filter, self._wrong = run_filter.parse(event.value), ""
        except LooptopError as error:
            self._wrong = str(error)
        self._show()

    @on(Input.Submitted, "#runs-filter")
    def _filtered(self) -> None:
        self.leave_field()

    def leave_field(self) -> None:
        """Moves the focus to the list, where single keys work."""
        self.query_one(RunTable).focus()

    def back(self) -> None:
        """Esc: leaves the filter; in the list, clears the selection and the filter."""
        table = self.query_one(RunTable)
        if isinstance(self.focused, Field):
            self.leave_field()
        elif table.selected:
            table.selected.clear()
            table.refresh()
            self._say_count()
        else:
            self.query_one("#runs-filter", Field).value = ""

    def action_sort(self) -> None:
        """Sorts by the next column."""
        by = self._sort[0]
        self._sort_by(COLUMNS[(COLUMNS.index(by) + 1) % len(COLUMNS)] if by in COLUMNS else COLUMNS[0])

    def action_reverse(self) -> None:
        """Sorts the other way round."""
        self._sort = (self._sort[0], not self._sort[1])
        self._show()

    @on(Table.TitleClicked)
    def _title_clicked(self, event: Table.TitleClicked) -> None:
        if event.key == self._sort[0]:
            self.action_reverse()
        else:
            self._sort_by(event.key)

    def _sort_by(self, key: str) -> None:
        # The newest and the longest first; names from a to z.
        self._sort = (key, key in ("created", "started", "took", "progress", "headline"))
        self._show()

    @on(Table.Moved)
    def _moved(self) -> None:
        self._say_count()
        self._refresh_keys()

    # What can be done with a run.

    @on(Table.Chosen)
    def _run_chosen(self) -> None:
        self._with_run(self.services.open_run)

    def action_charts(self) -> None:
        """Opens the charts of the run, or of the selected runs."""
        chosen = self._chosen_ids()
        if len(chosen) > MOST_COMPARED:
            self.services.show_notice(
                f"at most {MOST_COMPARED} runs can be told apart; {len(chosen)} are selected", "warning"
            )
            return
        if chosen:
            self.fetch_here(lambda: [RunFolder.find(each) for each in chosen], self.services.open_charts)

    def action_evaluation(self) -> None:
        """Shows the evaluation of the run's model."""
        run = self._run()
        if run is not None and run.kind != "vqa":
            self.services.show_notice(f"{run.id} does not answer questions about images", "warning")
        elif run is not None:
            self.services.open_evaluation(run.id)

    def action_rename(self) -> None:
        """Asks for a title."""
        self._ask("Title", "title")

    def action_note(self) -> None:
        """Asks for a note."""
        self._ask("Note", "note")

    def _ask(self, title: str, key: str) -> None:
        from looptop.tui.screens.dialog import TextQuestion

        def ask(chosen: tuple[RunFolder, str]) -> None:
            run, before = chosen

            def answered(text: str | None) -> None:
                if text is not None:
                    self.services.fetch(lambda: write_about(run.path, **{key: text}), lambda _none: self._loop.poke())

            question = TextQuestion(f"{title} of {run.id}", before, several_lines=key == "note")
            self.app.push_screen(question, answered)

        def read(run_id: str) -> tuple[RunFolder, str]:
            run = RunFolder.find(run_id)
            return run, getattr(run.about(), key)

        if (summary := self._run()) is not None:
            self.fetch_here(partial(read, summary.id), ask)

    def action_duplicate(self) -> None:
        """Shows the form of a new run, filled in with this one's configuration."""
        self._with_run(self.services.duplicate)

    def action_command(self, command: str) -> None:
        """Sends a command to the run under the cursor."""
        run = self._run()
        if run is not None:
            self._with_run(lambda folder: self._controls.perform(folder, command, run.state))

    def action_export(self) -> None:
        """Asks for the format, and exports into the folder where the app was started."""
        from looptop.engine.interchange.export import FORMATS
        from looptop.tui.screens.picker import Choice, Picker

        run = self._run()
        if run is None:
            return
        choices = [Choice(name, safe(name)) for name in FORMATS]

        def chosen(file_format: str | None) -> None:
            if file_format is not None:
                work(self, self._export(run.id, file_format), "export")

        self.app.push_screen(Picker(f"Export {run.id} as", choices, ""), chosen)

    async def _export(self, run_id: str, file_format: str) -> None:
        from looptop.engine.interchange.export import export

        out = Path.cwd() / f"{run_id}-{file_format}"
        self.show_status(f"exporting {run_id}…", "$text-primary")
        try:
            files = await in_thread(lambda: export(RunFolder.find(run_id), file_format, out))
        except LooptopError as error:
            self.services.show_notice(error, "error")
            return
        finally:
            self.show_status("")
        self.services.show_notice(f"{run_id}: {counted(len(files), 'file')} in {out}")

    def action_delete(self) -> None:
        """Asks, then deletes the selected runs, or the one under the cursor."""
        chosen = self._chosen_ids()
        if chosen:
            self.fetch_here(lambda: _deletable(chosen), lambda measured: self._ask_delete(*measured))

    def _ask_delete(self, runs: Sequence[RunFolder], room: int) -> None:
        from looptop.tui.screens.dialog import Question

        names = ", ".join(run.id for run in runs)
        text = Content.assemble(
            (names, "bold"), f" with all that belongs to it, {size(room)}: checkpoints, model, journal, log."
        )
        question = Question("Delete", text, [("escape", "no", "keep it"), ("D", "yes", f"delete {names}")])
        self.app.push_screen(question, lambda answer: self._delete(runs) if answer == "yes" else None)

    def _delete(self, runs: Sequence[RunFolder]) -> None:
        work(self, self._delete_all(runs), "delete", exclusive=True)

    async def _delete_all(self, runs: Sequence[RunFolder]) -> None:
        from looptop.engine.runs.delete import delete

        for run in runs:
            try:
                await in_thread(lambda r=run: delete(r))  # type: ignore[misc]
            except LooptopError as error:
                self.services.show_notice(error, "error")
                break
            self.query_one(RunTable).selected.pop(run.id, None)
        self._loop.poke()

    def _run(self) -> RunSummary | None:
        """The run under the cursor; a notice if there is none.

        Raises:
            SkipAction: The runs are not read yet.
        """
        run = self.query_one(RunTable).run
        if run is None:
            if not self._read_once:
                raise SkipAction
            self.services.show_notice("there is no run to do this with", "warning")
        return run

    def _chosen_ids(self) -> list[str]:
        """The ids of the selected runs; if none is selected, that of the run under the cursor."""
        if selected := list(self.query_one(RunTable).selected):
            return selected
        run = self._run()
        return [] if run is None else [run.id]

    def _with_run(self, call: Callable[[RunFolder], object]) -> None:
        run = self._run()
        if run is not None:
            self.fetch_here(partial(RunFolder.find, run.id), call)


def _deletable(run_ids: Sequence[str]) -> tuple[list[RunFolder], int]:
    """The runs, none of which is live, and how many bytes they take.

    Raises:
        LooptopError: One does not exist, or is live.
    """
    from looptop.engine.runs.delete import size_of

    runs = [RunFolder.find(each) for each in run_ids]
    if live := [run.id for run in runs if run.is_live()]:
        raise LooptopError(f"{', '.join(live)} is live; x stops it first")
    return runs, sum(size_of(run) for run in runs)
