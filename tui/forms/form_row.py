"""One line of the form: a name, a field, and a hint with the value's meaning or its error."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal
from textual.suggester import SuggestFromList
from textual.widgets import Static

from looptop.engine import config as configuration
from looptop.engine.config import RunConfig
from looptop.engine.config.ppo import PpoRunConfig
from looptop.tui.text import safe
from looptop.tui.widgets.field import Field

if TYPE_CHECKING:
    from textual.app import ComposeResult


@dataclass(frozen=True)
class RowSpec:
    """The setting of one line of the form."""

    key: str
    """A key of the configuration, or `preset` or `more`."""
    label: str
    hint: str
    words: tuple[str, ...] = ()
    """The allowed words, if there are only a few."""


FREEZE = ("nothing", "text_encoder", "image_encoder", "encoders", "decoder", "all")
VQA_V2 = ("data.annotations", "data.questions", "data.images")
"""Rows that only the VQA v2 format needs."""

_ROWS: dict[str, tuple[RowSpec, ...]] = {
    "vqa": (
        RowSpec("preset", "preset", "tiny: minutes on two cores; book: the chapter's models"),
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
    ),
    "ppo": (
        RowSpec("preset", "preset", "tiny: takes minutes"),
        RowSpec("model.policy", "policy", "a T5 or GPT-2 model"),
        RowSpec("data.source", "data", "newsroom, file, hub", ("newsroom",)),
        RowSpec("data.text_column", "text_column", "of a file or data set"),
        RowSpec("data.prefix", "prefix", "put before every text"),
        RowSpec("generation.max_new_tokens", "max_new_tokens", "a response's longest"),
        RowSpec("generation.cut_penalty", "cut_penalty", "off a cut response"),
        RowSpec("ppo.batch_size", "batch_size", "samples of a PPO batch"),
        RowSpec("ppo.mini_batch_size", "mini_batch_size", "samples of one pass"),
        RowSpec("ppo.gradient_accumulation_steps", "gradient_accumulation_steps", "mini-batches of a step"),
        RowSpec("ppo.ppo_epochs", "ppo_epochs", "passes over each batch"),
        RowSpec("ppo.kl_penalty", "kl_penalty", "kl, abs, mse, full", ("kl", "abs", "mse", "full")),
        RowSpec("ppo.init_kl_coef", "init_kl_coef", "beta at first"),
        RowSpec("ppo.adap_kl_ctrl", "adap_kl_ctrl", "beta moves to target", ("true", "false")),
        RowSpec("ppo.target", "target", "of the KL, in nats"),
        RowSpec("ppo.cliprange", "cliprange", "of the ratio"),
        RowSpec("ppo.vf_coef", "vf_coef", "weight of value loss"),
        RowSpec("training.learning_rate", "learning_rate", "for example 2e-5"),
        RowSpec("training.max_steps", "max_steps", "batches; -1: by epochs"),
        RowSpec("more", "more", "key=value seed=7"),
    ),
}


def rows_of(kind: str) -> list[RowSpec]:
    """The lines of the form for a kind of run; each part of a reward has two, below the data."""
    rows = list(_ROWS[kind])
    if kind == "ppo":
        preset = configuration.preset("tiny", kind)
        assert isinstance(preset, PpoRunConfig)
        at = next(index for index, row in enumerate(rows) if row.key == "generation.max_new_tokens")
        rows[at:at] = [
            row
            for part in preset.rewards
            for row in (
                RowSpec(f"rewards.{part.name}.model", f"reward {part.name}", "a classifier"),
                RowSpec(f"rewards.{part.name}.weight", f"  weight of {part.name}", "in the sum"),
            )
        ]
    return rows


class FormRow(Horizontal):
    """A line of the form."""

    def __init__(self, spec: RowSpec, kind: str) -> None:
        super().__init__(classes="form-row")
        self.spec = spec
        self.wrong = ""
        """What is wrong with the value; empty if nothing is."""
        self.idle = False
        """Whether the value is valid but has no effect."""
        self.of_preset = ""
        """The preset's value, which an empty field means."""
        self.field = Field()
        words = configuration.presets(kind) if spec.key == "preset" else list(spec.words)
        if words:
            self.field.suggester = SuggestFromList(words)
        self._hint = Static(safe(spec.hint), classes="form-hint")

    def compose(self) -> ComposeResult:
        """The name, the field and the hint."""
        yield Static(self.spec.label, classes="form-label")
        yield self.field
        yield self._hint

    @property
    def value(self) -> str:
        """The text that was typed."""
        return self.field.value.strip()

    def settings(self) -> list[str]:
        """The setting as `override` takes it; empty if nothing was typed."""
        if not self.value or self.spec.key == "preset":
            return []
        if self.spec.key != "more":
            return [f"{self.spec.key}={self.value}"]
        try:
            return shlex.split(self.value)
        except ValueError:
            return [self.value]

    def sets(self, key: str) -> bool:
        """Whether a setting was typed here.

        Args:
            key: The setting, as `table.name`.
        """
        names = {key, key.partition(".")[2]} if not key.startswith("rewards.") else {key}
        return any(each.partition("=")[0].strip() in names for each in self.settings())

    def show_preset(self, preset: RunConfig) -> None:
        """Shows the preset's value in the empty field; hides the row if the preset has no such setting."""
        value = _value_of(configuration.to_dict(preset), self.spec.key)
        self.display = value is not None or self.spec.key == "more"
        if isinstance(value, list | tuple):
            self.of_preset = ", ".join(map(str, value))
        elif isinstance(value, bool):
            self.of_preset = str(value).lower()
        else:
            self.of_preset = f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
        self.field.placeholder = self.of_preset

    def accept(self) -> None:
        """Shows that the value is valid."""
        if self.wrong:
            self.wrong = ""
            self._hint.update(safe(self.spec.hint))
            self.remove_class("-wrong")

    def refuse(self, sentence: str, *, idle: bool = False) -> None:
        """Shows what is wrong with the value.

        Args:
            sentence: What is wrong.
            idle: Whether the value is valid but has no effect.
        """
        self.idle = idle
        if sentence != self.wrong:
            self.wrong = sentence
            self._hint.update(safe(sentence))
            self.add_class("-wrong")


def _value_of(data: Any, key: str) -> Any:
    """The value of a key in a configuration's plain data; None if it has no such key."""
    for part in key.split("."):
        if isinstance(data, list | tuple):
            data = {item["name"]: item for item in data}
        data = data.get(part)
        if data is None:
            return None
    return data
