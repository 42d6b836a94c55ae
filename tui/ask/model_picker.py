"""Chooses the model that answers, or several: space marks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread
from looptop.tui.screens.base import MainScreen, Overlay
from looptop.tui.text import cell, safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.options import Options

if TYPE_CHECKING:
    from looptop.engine.vqa.model.saved_models import ModelChoice

MAX_MODELS = 6
"""So many models can be asked at once; more would have no room beside each other."""

NO_MODELS = "There is no model yet: train one on screen 2."


class ListedModel(NamedTuple):
    """A model in the list."""

    name: str
    label: str
    accuracy: str
    """Its accuracy and on what; empty if it was never measured."""


async def choose_models(
    screen: MainScreen, current: Sequence[str], take: Callable[[Sequence[str]], object], fail: Callable[[str], object]
) -> None:
    """Lets the person choose one or several models; those that were asked last come first.

    Args:
        screen: The screen below.
        current: The models that are asked now.
        take: Called with the chosen models, unless the list is closed.
        fail: Called with a sentence if the models cannot be read.
    """
    try:
        choices = await in_thread(listed_models)
    except LooptopError as error:
        fail(str(error))
        return

    def chosen(names: list[str] | None) -> None:
        if names:
            take(names)

    recent = screen.services.kept.recent_models
    choices.sort(key=lambda each: recent.index(each.name) if each.name in recent else len(recent))
    screen.app.push_screen(ModelPicker(choices, current), chosen)


def listed_models() -> list[ListedModel]:
    """All models, with their accuracy from kept evaluations or from their runs. Reads files.

    Raises:
        LooptopError: The runs cannot be read.
    """
    from looptop.engine.vqa.model.saved_models import choices

    return [ListedModel(each.name, each.label, _accuracy(each)) for each in choices()]


def _accuracy(choice: ModelChoice) -> str:
    from looptop.engine.journal.reader import Journal
    from looptop.engine.vqa.evaluation.kept import latest
    from looptop.engine.vqa.evaluation.text import share
    from looptop.engine.vqa.model.saved_models import run_of, split_name

    evaluation = latest(choice.path)
    if evaluation is not None:
        return f"{share(evaluation.accuracy.value)} {evaluation.data}"
    run, checkpoint = run_of(choice.name), split_name(choice.name)[1]
    if run is None:
        return ""
    try:
        if not checkpoint:
            accuracy = run.summary().metrics.get("test_accuracy")
            return "" if accuracy is None else f"{share(accuracy)} test"
        step = int(checkpoint.removeprefix("checkpoint-"))
        point = next(iter(Journal(run.db).values("eval_accuracy", step - 1, 1)), None)
    except (LooptopError, ValueError):
        return ""
    return "" if point is None or point.step != step or point.value is None else f"{share(point.value)} validation"


class FilterField(Field):
    """The field of the filter; the space bar marks a model instead."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether the field takes a key as text."""
        return key != "space" and super().check_consume_key(key, character)


class ModelPicker(Overlay[list[str]]):
    """A list of models with a filter. Returns the marked ones, else the one under the cursor; None if closed.

    Args:
        choices: The models.
        current: The models that are asked now; marked if they are several.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("picker", "models")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("picker", "models")

    def __init__(self, choices: Sequence[ListedModel], current: Sequence[str]) -> None:
        super().__init__()
        self._choices = choices
        names = {each.name for each in choices}
        self._marked = [name for name in current if name in names] if len(current) > 1 else []
        self._current = current[0] if current else ""
        self._offered: list[ListedModel] = list(choices)

    def compose(self) -> Iterable[Widget]:
        """A field, the list, and what enter does."""
        box = Vertical(
            FilterField(placeholder="type to filter; space marks several", id="filter"),
            Options(*map(self._option, self._offered), id="choices"),
            Static(NO_MODELS, id="empty"),
            Static(self._hint, id="models-hint"),
            classes="box",
        )
        box.border_title = "Choose a model, or several"
        box.set_class(not self._choices, "-empty")
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Puts the cursor on the model that is asked now, before the first key moves it."""
        names = [each.name for each in self._offered]
        self._list.highlighted = names.index(self._current) if self._current in names else 0 if names else None
        self.call_after_refresh(self._list.scroll_to_highlight)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#choices", OptionList)

    def _option(self, choice: ListedModel) -> Option:
        number = self._marked.index(choice.name) + 1 if choice.name in self._marked else 0
        line = Content.assemble(
            (f"{number} " if number else "  ", "$primary bold"),
            cell(choice.name, 22, "bold"),
            " ",
            cell(choice.accuracy or "not measured", 28, "" if choice.accuracy else "$text-muted"),
            " ",
            safe(choice.label, "$text-muted"),
        )
        return Option(line)

    def _fill(self, highlighted: int | None) -> None:
        self._list.set_options(map(self._option, self._offered))
        self._list.highlighted = highlighted if self._offered else None
        self._show_hint()

    def _show_hint(self) -> None:
        self.query_one("#models-hint", Static).update(self._hint)

    @property
    def _hint(self) -> Content:
        if len(self._marked) == 1:
            hint = f"enter asks {self._marked[0]}; mark another to ask both at once"
        elif self._marked:
            hint = f"enter asks {counted(len(self._marked), 'model')} at once: {', '.join(self._marked)}"
        else:
            hint = "enter asks the model under the cursor" if self._offered else "no model matches"
        return safe(hint, "$text-muted")

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        words = event.value.lower().split()
        self._offered = [
            each for each in self._choices if all(word in f"{each.name} {each.label}".lower() for word in words)
        ]
        self._fill(0)

    @on(Input.Submitted, "#filter")
    def _take_chosen(self) -> None:
        if self._marked:
            self.dismiss(self._marked)
        else:
            self._list.action_select()

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._marked or [self._offered[event.option_index].name])

    def action_move(self, rows: int) -> None:
        """Moves in the list while the focus stays in the field."""
        (self._list.action_cursor_down if rows > 0 else self._list.action_cursor_up)()

    def action_mark(self) -> None:
        """Marks the model under the cursor, or takes its mark away; the cursor moves down."""
        row = self._list.highlighted
        if row is None:
            return
        name = self._offered[row].name
        if name in self._marked:
            self._marked.remove(name)
        elif len(self._marked) == MAX_MODELS:
            self.app.notify(f"at most {MAX_MODELS} models can be asked at once", severity="warning", markup=False)
            return
        else:
            self._marked.append(name)
        self._fill(min(row + 1, len(self._offered) - 1))
