"""One line of the form: a name, a field, and beside it what the value means or what is wrong with it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from textual.containers import Horizontal
from textual.suggester import SuggestFromList
from textual.widgets import Static

from looptop.engine.config import RunConfig, presets
from looptop.tui.text import safe
from looptop.tui.widgets.field import Field

if TYPE_CHECKING:
    from textual.app import ComposeResult


@dataclass(frozen=True)
class RowSpec:
    """What a line of the form is for."""

    key: str
    """Of the configuration; `preset` and `more` stand for themselves."""
    label: str
    hint: str
    words: tuple[str, ...] = ()
    """What it may be, where that is a few words."""


FREEZE = ("nothing", "text_encoder", "image_encoder", "encoders", "decoder", "all")
VQA_V2 = ("data.annotations", "data.questions", "data.images")
"""Rows that only the VQA v2 format needs."""

ROWS = (
    RowSpec("preset", "preset", "tiny: minutes on two cores; book: the chapter's models", ("tiny", "book")),
    RowSpec("data.source", "data", "easy-vqa, vqa-v2, or a folder of images with a table", ("easy-vqa", "vqa-v2")),
    RowSpec("data.annotations", "  annotations", "VQA v2: the annotations' JSON file"),
    RowSpec("data.questions", "  questions", "VQA v2: the questions' JSON file"),
    RowSpec("data.images", "  images", "VQA v2: the folder of images"),
    RowSpec("model.fusion", "fusion", "mean: the book's; tokens: every token and patch", ("mean", "tokens")),
    RowSpec("model.freeze", "freeze", "nothing, text_encoder, image_encoder, encoders, decoder, all", FREEZE),
    RowSpec("training.num_train_epochs", "epochs", "how often all of the data is seen"),
    RowSpec("training.per_device_train_batch_size", "batch", "samples a step"),
    RowSpec("training.gradient_accumulation_steps", "accumulation", "batches whose gradients make one step"),
    RowSpec("training.learning_rate", "learning rate", "for example 1e-3"),
    RowSpec("more", "more", "key=value, several with spaces: seed=7 max_steps=200"),
)


class FormRow(Horizontal):
    """A line of the form."""

    def __init__(self, spec: RowSpec) -> None:
        super().__init__(classes="form-row")
        self.spec = spec
        self.wrong = ""
        """What is wrong with the value; empty where nothing is."""
        self.of_preset = ""
        """What an empty field means."""
        self.field = Field()
        words = presets() if spec.key == "preset" else list(spec.words)
        if words:
            self.field.suggester = SuggestFromList(words)
        self._said = Static(safe(spec.hint), classes="form-hint")

    def compose(self) -> ComposeResult:
        """Name, field, hint."""
        yield Static(self.spec.label, classes="form-label")
        yield self.field
        yield self._said

    @property
    def value(self) -> str:
        """What was typed."""
        return self.field.value.strip()

    def settings(self) -> list[str]:
        """As `override` takes it: nothing where nothing was typed."""
        if not self.value or self.spec.key == "preset":
            return []
        if self.spec.key != "more":
            return [f"{self.spec.key}={self.value}"]
        try:
            return shlex.split(self.value)
        except ValueError:
            return [self.value]

    def show_preset(self, preset: RunConfig) -> None:
        """Shows in the empty field what the preset says."""
        table, _, name = self.spec.key.partition(".")
        value = getattr(getattr(preset, table), name) if name else {"preset": preset.preset}.get(table, "")
        plain = msgspec.to_builtins(value)
        if isinstance(plain, list | tuple):
            self.of_preset = ", ".join(plain)
        else:
            self.of_preset = f"{plain:g}" if isinstance(plain, float) else str(plain)
        self.field.placeholder = self.of_preset

    def accept(self) -> None:
        """The value is good."""
        if self.wrong:
            self.wrong = ""
            self._said.update(safe(self.spec.hint))
            self.remove_class("-wrong")

    def refuse(self, sentence: str) -> None:
        """Says what is wrong with the value."""
        if sentence != self.wrong:
            self.wrong = sentence
            self._said.update(safe(sentence))
            self.add_class("-wrong")
