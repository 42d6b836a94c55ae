"""The form of a new run: the settings that people change most, checked as they are typed; and the existing runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from looptop.engine import config as configuration
from looptop.engine.config import RunConfig
from looptop.engine.config.differences import changes
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunSummary
from looptop.engine.startup.effects import without_effect
from looptop.tui.actions import bindings
from looptop.tui.forms.form_row import VQA_V2, FormRow, rows_of
from looptop.tui.run_text import run_line
from looptop.tui.text import safe
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.options import Options

if TYPE_CHECKING:
    from textual.app import ComposeResult


class NewRunForm(Vertical):
    """The settings of a new run. An empty field means the preset's value."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("form")]

    @dataclass
    class Wanted(Message):
        """The person asks to start a run with this configuration."""

        config: RunConfig

    def __init__(self, kind: str = "vqa") -> None:
        """Makes a form for one kind of run.

        Args:
            kind: `vqa` or `ppo`.
        """
        super().__init__(id="new-run", classes=f"body -{kind}")
        self.kind = kind
        self.busy = False
        """Whether a run is being started."""
        self._like: RunConfig | None = None
        """The run that the form was filled from: its settings without effect cause a warning, not an error."""
        self._kept: list[str] = []

    def compose(self) -> ComposeResult:
        """Rows, a start button, the list of runs."""
        with VerticalScroll(id="form", can_focus=False) as form:
            form.border_title = "New run"
            for spec in rows_of(self.kind):
                yield FormRow(spec, self.kind)
            yield Button("Start the run", id="start", compact=True)
        # Outside the scrolled part, so that it is always visible.
        yield Static(id="form-message")
        runs = Options(id="runs")
        runs.border_title = "Runs"
        yield runs

    def on_mount(self) -> None:
        """Shows the preset's values."""
        self._kept = self._values()
        self._show_preset()

    @property
    def half_filled(self) -> bool:
        """Whether something was typed and no run was started with it."""
        return self._values() != self._kept

    def _values(self) -> list[str]:
        return [row.value for row in self._rows.values()]

    def take_focus(self) -> None:
        """Puts the focus on the first field, and clears the message of an earlier start."""
        self._show_message(Content(""))
        self.query(Field).first().focus()

    def leave_field(self) -> None:
        """Moves the focus to the list of runs, where single keys work."""
        self.screen.set_focus(None)
        self.query_one("#runs", OptionList).focus()

    def list_runs(self, summaries: Iterable[RunSummary]) -> None:
        """Lists the existing runs."""
        runs = self.query_one("#runs", OptionList)
        options = [Option(run_line(each), id=each.id) for each in summaries]
        none = Option(Content.styled("no runs yet: ^s starts the first", "$text-muted"), disabled=True)
        runs.set_options(options or [none])

    def fill(self, run_id: str, config: RunConfig) -> None:
        """Fills in the settings of another run."""
        rows = self._rows
        base = configuration.to_dict(configuration.preset(config.preset, self.kind))
        wanted = changes(base, configuration.to_dict(config))
        for key, row in rows.items():
            row.field.value = config.preset if key == "preset" else wanted.pop(key, "")
        rows["more"].field.value = shlex.join(f"{key}={value}" for key, value in wanted.items())
        self._like = config
        self._kept = self._values()
        self._show_preset()
        self._check_all()
        self.query_one("#form").border_title = safe(f"New run, like {run_id}")

    def started(self) -> None:
        """Clears the message: the run has started."""
        self._kept = self._values()
        self._show_message(Content(""))

    def fail(self, sentence: str, key: str = "") -> None:
        """Shows why the run does not start, beside the field if one setting is the cause.

        Args:
            sentence: The reason.
            key: The setting that is the cause; empty if none is.
        """
        row = next((row for row in self._rows.values() if key and row.sets(key)), None)
        row = row or (self._rows.get(key) if key else None)
        if row is not None:
            row.refuse(sentence)
            row.field.focus()
        self._show_message(Content.styled("✗ ", "$text-error bold") + safe(sentence, "$text-error"))

    # Checking.

    @property
    def _rows(self) -> dict[str, FormRow]:
        return {row.spec.key: row for row in self.query(FormRow)}

    def _preset(self) -> RunConfig:
        return configuration.preset(self._rows["preset"].value or "tiny", self.kind)

    def _show_preset(self) -> None:
        try:
            preset = self._preset()
        except LooptopError:
            return
        for row in self._rows.values():
            row.show_preset(preset)
        self._show_vqa()

    def _show_vqa(self) -> None:
        source = self._rows["data.source"].value or self._rows["data.source"].of_preset
        for key, row in self._rows.items():
            if key in VQA_V2:
                row.display = source == "vqa-v2"

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        row = next(row for row in self.query(FormRow) if row.field is event.input)
        if row.spec.key == "preset":
            # Whether another value is valid may depend on the preset.
            self._check_all()
            if not row.wrong:
                self._show_preset()
        else:
            self._check(row)
            self._check_together()
        self._show_vqa()

    def _check_all(self) -> None:
        for row in self._rows.values():
            self._check(row)
        self._check_together()

    def _check_together(self) -> None:
        """Shows which settings have no effect because of others, once each is valid by itself."""
        self._show_message(Content(""))
        rows = [row for row in self._rows.values() if row.display]
        if any(row.wrong and not row.idle for row in rows):
            return
        try:
            config = configuration.override(self._preset(), [each for row in rows for each in row.settings()])
        except LooptopError:
            return
        refused = without_effect(config, self._like)
        for row in rows:
            sentence = next((sentence for key, sentence in refused.items() if row.sets(key)), "")
            row.refuse(sentence, idle=True) if sentence else row.accept()
        warned = [sentence for key, sentence in without_effect(config).items() if key not in refused]
        if warned:
            self._show_message(Content.styled("! ", "$text-warning bold") + safe("; ".join(warned), "$text-warning"))

    def _check(self, row: FormRow) -> None:
        """Shows the error of a value beside its field, if it has one."""
        try:
            preset = self._preset()
        except LooptopError as error:
            # Shown once: without a preset no other value can be checked.
            if row.spec.key == "preset":
                row.refuse(str(error))
            else:
                row.accept()
            return
        try:
            configuration.override(preset, row.settings())
            row.accept()
        except LooptopError as error:
            row.refuse(str(error).removeprefix("--set: "))

    def action_start(self) -> None:
        """Checks all values, then asks the screen to start the run."""
        if self.busy:
            return
        self._check_all()
        wrong = next((row for row in self._rows.values() if row.wrong), None)
        if wrong is not None:
            wrong.field.focus()
            self.fail(f"{wrong.spec.label}: {wrong.wrong}")
            return
        settings = [each for row in self._rows.values() if row.display for each in row.settings()]
        try:
            config = configuration.override(self._preset(), settings)
        except LooptopError as error:
            self.fail(str(error).removeprefix("--set: "))
            return
        self.post_message(self.Wanted(config))
        self._show_message(Content.styled("starting…", "$text-primary"))

    @on(Button.Pressed, "#start")
    def _start_pressed(self) -> None:
        self.action_start()

    @on(Input.Submitted)
    def _next(self) -> None:
        self.screen.focus_next()

    def _show_message(self, content: Content) -> None:
        self.query_one("#form-message", Static).update(content)
