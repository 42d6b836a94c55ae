"""The draft of a new run: a whole configuration and a person's changes to it, checked as they are typed."""

from __future__ import annotations

from typing import Any

import msgspec

from looptop.engine import config as configuration
from looptop.engine.config import RunConfig
from looptop.engine.config.catalogue import PRESET, settings_of, values_of
from looptop.engine.config.differences import only_changes, value_text
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.startup.effects import settings_without_effect
from looptop.engine.startup.limits import impossible_values


class Draft:
    """A new run's settings, valid or not yet.

    Args:
        kind: `vqa`, `ppo` or `reward`.

    Attributes:
        settings: Everything that can be set, group by group.
        config: The configuration that would be started; None while a value is wrong.
        errors: What is wrong with a setting, by its key.
        problem: What is wrong, if no single setting is the cause; empty if nothing is.
        warning: Settings of the run that this one is like which have no effect, as a sentence.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.take_default()

    def take_default(self) -> None:
        """Takes over the first preset; nothing typed remains."""
        self.take(configuration.preset(configuration.presets(self.kind)[0], self.kind))

    def take(self, config: RunConfig, like: RunConfig | None = None, *, unchanged: bool = True) -> None:
        """Takes over a whole configuration; nothing typed remains.

        Args:
            config: The configuration.
            like: An older run's configuration that it comes from, whose settings without effect are not refused.
            unchanged: Count it as unchanged, as `keep` does.

        Raises:
            LooptopError: This version does not have its preset.
        """
        self._of_preset = configuration.preset(config.preset, self.kind)
        self._base, self._like = config, like
        self._typed: dict[str, str] = {}
        self._read_base()
        if unchanged:
            self.keep()

    def keep(self) -> None:
        """Counts as unchanged from now on."""
        self._kept = (self._base, dict(self._typed))

    @property
    def is_changed(self) -> bool:
        """Whether something was changed since `take` or `keep`."""
        return (self._base, self._typed) != self._kept

    @property
    def keys(self) -> list[str]:
        """The keys of all settings, in their order."""
        return list(self._by_key)

    def text(self, key: str) -> str:
        """A setting's value as text: what was typed, or else the value that it has."""
        return self._typed.get(key, self._texts.get(key, ""))

    def preset_text(self, key: str) -> str:
        """The preset's value as text; empty if it has none."""
        return self._preset_texts.get(key, "")

    def differs(self, key: str) -> bool:
        """Whether a setting differs from the preset."""
        return key != PRESET and self._now.get(key, self.text(key)) != self.preset_text(key)

    def put(self, key: str, text: str) -> None:
        """Sets a value as it was typed; an empty text means the preset's value where nothing cannot be a value."""
        setting = self._by_key[key]
        if key == PRESET:
            self._choose_preset(text)
            return
        if not text.strip() and not (setting.text or setting.optional or setting.several):
            text = self.preset_text(key)
        if text.strip() == self._texts[key]:
            self._typed.pop(key, None)
        else:
            self._typed[key] = text.strip()
        self._check()

    def reset(self, key: str) -> None:
        """Gives a setting the preset's value."""
        if key in self._preset_texts and key != PRESET:
            self.put(key, self.preset_text(key))

    def turn(self, key: str, by: int) -> bool:
        """Goes to the next or previous of a setting's words.

        Returns:
            Whether it has words to choose from.
        """
        words = self._by_key[key].words
        if not words:
            return False
        now = self.text(key)
        index = words.index(now) + by if now in words else (0 if by > 0 else -1)
        self.put(key, words[index % len(words)])
        return True

    def to_toml(self, *, whole: bool) -> str:
        """The configuration as TOML: all of it, or only what differs from the preset.

        Raises:
            LooptopError: A value is wrong, so there is none.
        """
        import tomli_w

        if self.config is None:
            wrong = next(iter(self.errors.values()), self.problem)
            raise LooptopError(f"there is no configuration yet: {wrong}")
        data = configuration.to_dict(self.config)
        short = data if whole else only_changes(configuration.to_dict(self._of_preset), data)
        return tomli_w.dumps(short)

    def to_file(self) -> str:
        """The configuration as a text to edit, with the meaning of each setting. Wrong values are comments in it."""
        wrong = [f"# not allowed: {key} = {text}" for key, text in self._typed.items() if key in self.errors]
        config = self.config
        if config is None:
            valid = {key: text for key, text in self._typed.items() if key not in self.errors}
            try:
                config = configuration.override(self._base, _assignments(valid))
            except LooptopError:
                config = self._base
        return "\n".join([*wrong, configuration.dump(config)])

    def _choose_preset(self, name: str) -> None:
        """Changes the preset, and keeps all that differs from the old one."""
        try:
            preset = configuration.preset(name, self.kind)
        except LooptopError as error:
            self._check()
            self.errors[PRESET] = str(error)
            return
        wanted = {setting.key: self.text(setting.key) for setting in self.settings if self.differs(setting.key)}
        base: RunConfig = preset
        if isinstance(base, PpoRunConfig) and isinstance(self._base, PpoRunConfig):
            before = self._of_preset
            assert isinstance(before, PpoRunConfig)
            if [part.name for part in self._base.rewards] != [part.name for part in before.rewards]:
                base = msgspec.structs.replace(base, rewards=self._base.rewards)
        self._of_preset, self._base = preset, base
        self._typed = {}
        self._read_base()
        self._typed = {key: text for key, text in wanted.items() if self._texts.get(key, text) != text}
        self._typed = {key: text for key, text in self._typed.items() if key in self._texts}
        self._check()

    def _read_base(self) -> None:
        self.settings = settings_of(self._base)
        self._by_key = {setting.key: setting for setting in self.settings}
        self._texts = _texts(self._base)
        self._preset_texts = _texts(self._of_preset)
        self._check()

    def _check(self) -> None:
        self.errors: dict[str, str] = {}
        self.problem = self.warning = ""
        self.config: RunConfig | None = None
        self._now = self._texts | self._typed
        try:
            config: RunConfig = configuration.override(self._base, _assignments(self._typed))
        except LooptopError as error:
            for key, text in self._typed.items():
                try:
                    configuration.override(self._base, _assignments({key: text}))
                except LooptopError as own:
                    self.errors[key] = str(own)
            cause = error.key if isinstance(error, SettingError) else ""
            if not self.errors and cause in self._by_key:
                self.errors[cause] = str(error)
            elif not self.errors:
                self.problem = str(error)
            return
        wrong = settings_without_effect(config, self._like) | impossible_values(config)
        self.errors = {key: text for key, text in wrong.items() if key in self._by_key}
        if self._like is not None:
            known = [text for key, text in settings_without_effect(config).items() if key not in self.errors]
            self.warning = "; ".join(known)
        self.config, self._now = config, _texts(config)


def _texts(config: RunConfig) -> dict[str, str]:
    values: dict[str, Any] = values_of(config)
    return {key: value_text(value) for key, value in values.items()}


def _assignments(typed: dict[str, str]) -> list[str]:
    return [f"{key}={text}" for key, text in typed.items()]
