"""The form of a new run: all settings, what the run will need, and the existing runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Input, Static

from looptop.engine import config as configuration
from looptop.engine.config import RunConfig
from looptop.engine.config.catalogue import PRESET
from looptop.engine.errors import LooptopError
from looptop.engine.text import counted
from looptop.tui.actions import bindings
from looptop.tui.forms import form_text
from looptop.tui.forms.draft import Draft
from looptop.tui.forms.estimator import Estimator
from looptop.tui.forms.external_editor import edit
from looptop.tui.forms.run_list import RunList
from looptop.tui.forms.settings_table import SettingsTable, ValueField
from looptop.tui.text import safe
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from looptop.engine.estimates.records import EstimateReply

ESTIMATE_SECONDS = 0.8
"""How long nothing must change before the run is estimated."""
ESTIMATOR_SECONDS = 30.0
"""How long the estimating process is kept for further changes; it holds torch in memory."""

PANES = ("about", "differences", "whole")
"""What the pane beside the settings can show."""
PANE_TITLES = {"about": "About this run", "differences": "TOML: what differs", "whole": "TOML: all of it"}


class NewRunForm(Vertical):
    """The settings of a new run; the text of the one under the cursor; the run that they would make; existing runs."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("form")]

    def __init__(self, kind: str = "vqa") -> None:
        """Makes a form for one kind of run.

        Args:
            kind: `vqa` or `ppo`.
        """
        super().__init__(id="new-run", classes=f"body -{kind}")
        self.kind = kind
        self.is_starting = False
        """Whether a run is being started."""
        self.on_start: Callable[[RunConfig], object] = lambda _config: None
        """Called when the person asks to start a run with this configuration."""
        self.runs = RunList()
        self.origin = ""
        """The folder of the run whose settings were filled in; empty if none was. A new run inherits its edits of
        training questions."""
        self.draft = Draft(kind)
        self.table = SettingsTable(self.draft)
        self._field = ValueField(id="value")
        self._field.display = False
        self._pane = ""
        """What the pane shows; empty before a person has chosen."""
        self._unsaved_text = ""
        """A configuration that came back from the editor and cannot be used yet."""
        self.estimator = Estimator(self._take_estimate, self._close_estimator_later)
        self._estimate: EstimateReply | None = None
        self._estimated_config: RunConfig | None = None
        """The configuration that the last estimate was asked for."""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """The settings and the pane; the text of a setting; the search; a message; the list of runs."""
        with Container(id="form-body"):
            with Container(id="form") as box:
                box.border_title = "New run"
                yield self.table
                yield self._field
            with VerticalScroll(id="form-pane"):
                yield Static(id="form-pane-text")
        yield Panel(id="form-setting")
        search = Field(placeholder="search the settings: words in names and descriptions", id="form-search")
        search.display = False
        yield search
        # Outside the scrolled part, so that it is always visible.
        yield Static(id="form-message")
        yield self.runs

    def on_mount(self) -> None:
        """Shows the preset's values."""
        self._show_all()

    def on_show(self) -> None:
        """Estimates the run, once the form is on the screen."""
        self._want_estimate()

    def on_unmount(self) -> None:
        """Ends the estimating process."""
        self.estimator.close()

    # What the screens use.

    @property
    def half_filled(self) -> bool:
        """Whether something was changed and no run was started with it."""
        return self.draft.is_changed or bool(self._unsaved_text)

    @property
    def is_typing(self) -> bool:
        """Whether a text field of the form has the focus."""
        return isinstance(self.screen.focused, Field)

    def take_focus(self) -> None:
        """Puts the focus on the settings, and clears the message of an earlier start."""
        self._show_message(Content(""))
        self.table.focus()

    def leave_field(self) -> None:
        """Leaves a field for the settings, where single keys work; outside of a field, ends the search."""
        search = self.query_one("#form-search", Field)
        if not self.is_typing or search.has_focus:
            search.value = ""
            search.display = False
        self.table.focus()

    def fill(self, run_id: str, config: RunConfig, origin: str = "") -> None:
        """Fills in the settings of another run.

        Args:
            run_id: The run's id.
            config: Its configuration.
            origin: Its folder.

        Raises:
            LooptopError: This version does not have its preset.
        """
        self.draft.take(config, config)
        self._show_filled(f"New run, like {run_id}", origin)

    def take_default(self) -> None:
        """Goes back to the preset's settings if those of a run were filled in and not changed."""
        if self.origin and not self.half_filled:
            self.draft.take_default()
            self._show_filled("New run", "")

    def _show_filled(self, title: str, origin: str) -> None:
        self._set_origin(title, origin)
        self._unsaved_text = ""
        self.table.start_errors = {}
        self.table.show_settings(PRESET)
        self._show_all()

    def _set_origin(self, title: str, origin: str) -> None:
        self.origin = origin
        self.query_one("#form").border_title = safe(title)

    def show_edits(self, run_id: str, origin: str, edits: int) -> None:
        """Says in the title how many edits of training questions go with a run's settings, if the form still has them.

        Args:
            run_id: The run's id.
            origin: Its folder.
            edits: The number of edits.
        """
        if edits and origin == self.origin:
            self._set_origin(f"New run, like {run_id}, with {counted(edits, 'edit')} of its questions", origin)

    def clear_after_start(self) -> None:
        """Clears the message of a run that has started. The settings stay for the next run, which has no origin."""
        self.draft.keep()
        self._set_origin("New run", "")
        self._show_message(Content(""))

    def fail(self, sentence: str, key: str = "") -> None:
        """Shows why the run does not start, at the setting if one is the cause.

        Args:
            sentence: The reason.
            key: The setting that is the cause; empty if none is.
        """
        if key in self.draft.keys:
            self.table.start_errors[key] = sentence
            self.table.go_to(key)
            self.table.focus()
        self._show_message(Content.styled("✗ ", "$text-error bold") + safe(sentence, "$text-error"))

    # Changing settings.

    @on(SettingsTable.Moved)
    def _moved(self) -> None:
        self._show_setting()

    @on(SettingsTable.Chosen)
    def _chosen(self) -> None:
        self.table.action_choose()

    @on(SettingsTable.Edited)
    def _edited(self) -> None:
        self.table.start_errors = {}
        self.table.show_settings()
        self._show_all()

    @on(SettingsTable.EditWanted)
    def _edit_wanted(self, event: SettingsTable.EditWanted) -> None:
        field = self._field
        with field.prevent(Input.Changed):
            field.value = self.draft.text(event.key)
        self._put_field()
        field.display = True
        field.focus()
        field.action_select_all()

    @on(Input.Changed, "#value")
    def _typed(self, event: Input.Changed) -> None:
        setting = self.table.setting
        if setting is not None and event.input.display:
            self.draft.put(setting.key, event.value)
            self._edited()

    @on(ValueField.Left)
    def _field_left(self, event: ValueField.Left) -> None:
        self._field.display = False
        if event.by_key:
            self.table.focus()
            if event.rows:
                self.table.action_move(event.rows)

    def on_resize(self, _event: Resize) -> None:
        """Keeps the field at its row."""
        self.call_after_refresh(self._put_field)

    def _put_field(self) -> None:
        spot, width = self.table.value_spot()
        styles = self._field.styles
        styles.offset = (spot.x, spot.y)
        styles.width = max(width, 1)

    # Searching.

    def action_search(self) -> None:
        """Opens the field of the search."""
        search = self.query_one("#form-search", Field)
        search.display = True
        search.focus()

    @on(Input.Changed, "#form-search")
    def _search(self, event: Input.Changed) -> None:
        self.table.search(event.value)

    @on(Input.Submitted, "#form-search")
    def _leave_search(self) -> None:
        self.table.focus()

    # The pane.

    def action_pane(self) -> None:
        """Shows the next of what the pane can show."""
        narrow = self.screen.has_class("-narrow")
        order = [*PANES, ""] if narrow else [*PANES]
        now = self._pane or ("" if narrow else PANES[0])
        self._pane = order[(order.index(now) + 1) % len(order)]
        self.set_class(bool(self._pane), "-pane-open")
        self._show_pane()

    def action_editor(self) -> None:
        """Opens the whole configuration in the editor, and takes over what comes back."""
        before = self._unsaved_text or self.draft.to_file()
        try:
            after = edit(self.app, before)
        except LooptopError as error:
            self.fail(str(error))
            return
        finally:
            self.app.refresh(layout=True)
        if after == before and not self._unsaved_text:
            return
        try:
            self.draft.take(configuration.loads(after, self.kind), unchanged=False)
        except LooptopError as error:
            self._unsaved_text = after
            self.fail(f"{error}; ^e opens your text again")
            return
        self._unsaved_text = ""
        self._show_message(Content(""))
        self._edited()

    # Starting.

    def action_start(self) -> None:
        """Checks all values, then asks the screen to start the run."""
        if self.is_starting:
            return
        draft = self.draft
        wrong = next((key for key in draft.keys if key in draft.errors), None)
        if wrong is not None:
            self.table.go_to(wrong)
            self.table.focus()
            self.fail(draft.errors[wrong])
        elif draft.config is None:
            self.fail(draft.problem)
        elif (estimate := self._estimate) is not None and estimate.error is not None:
            self.fail(estimate.error, estimate.key)
            self._estimated_config = None  # Whatever is wrong with the data may be mended meanwhile.
            self._want_estimate()
        else:
            self.on_start(draft.config)
            self._show_message(Content.styled("starting…", "$text-primary"))

    # What the run would need.

    def _want_estimate(self) -> None:
        """Asks for an estimate as soon as nothing changes for a moment."""
        if self._timer is not None:
            self._timer.stop()
        if self.draft.config != self._estimated_config:
            self._timer = self.set_timer(ESTIMATE_SECONDS, self._ask_estimate)

    def _ask_estimate(self) -> None:
        config = self.draft.config
        if config is None or config == self._estimated_config or not self.is_on_screen:
            return
        self._estimated_config = config
        try:
            self.estimator.ask(config)
        except LooptopError as error:
            self._show_message(Content.styled("! ", "$text-warning bold") + safe(error, "$text-warning"))

    def _take_estimate(self, reply: EstimateReply) -> None:
        if not self.is_attached or self.draft.config != self._estimated_config:
            return
        self._estimate = reply
        if reply.error is not None and reply.key in self.draft.keys:
            self.table.start_errors[reply.key] = reply.error
            self.table.show_settings()
        self._show_setting()
        self._show_pane()

    def _close_estimator_later(self) -> None:
        """Ends the estimating process once nothing has changed for a while."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(ESTIMATOR_SECONDS, self.estimator.close)

    # Drawing.

    def _show_all(self) -> None:
        draft = self.draft
        if draft.config != self._estimated_config:
            self._estimate = None
        self._want_estimate()
        self._show_setting()
        self._show_pane()
        if draft.problem:
            self._show_message(Content.styled("✗ ", "$text-error bold") + safe(draft.problem, "$text-error"))
        elif draft.warning:
            self._show_message(Content.styled("! ", "$text-warning bold") + safe(draft.warning, "$text-warning"))
        else:
            self._show_message(Content(""))

    def _show_setting(self) -> None:
        setting = self.table.setting
        if setting is not None:
            text = form_text.setting_text(self.draft, setting, self.table.wrong_with(setting.key))
            self.query_one("#form-setting", Panel).show(text)

    def _show_pane(self) -> None:
        pane = self._pane or PANES[0]
        self.query_one("#form-pane").border_title = PANE_TITLES[pane]
        if pane == "about":
            content = form_text.about_text(self.draft, self._estimate)
        else:
            content = form_text.toml_text(self.draft, whole=pane == "whole")
        self.query_one("#form-pane-text", Static).update(content)

    def _show_message(self, content: Content) -> None:
        self.query_one("#form-message", Static).update(content)
