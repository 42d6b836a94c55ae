"""The form of a new run as text: a setting, the configuration as TOML, what is known about the run."""

from __future__ import annotations

from textual.content import Content

from looptop.engine.config.catalogue import PRESET, Setting
from looptop.engine.errors import LooptopError
from looptop.tui.forms.draft import Draft
from looptop.tui.text import safe


def setting_text(draft: Draft, setting: Setting, wrong: str) -> Content:
    """A setting's key, its words, the preset's value, its whole meaning, and what is wrong with it."""
    parts = [Content.styled(setting.key, "$primary bold")]
    if setting.words:
        now = draft.text(setting.key)
        words = [
            Content.styled(f"[{word or 'none'}]", "bold") if word == now else safe(word or "none", "$text-muted")
            for word in setting.words
        ]
        more = [Content.styled("or type another", "$text-muted")] if setting.other_words else []
        parts.append(Content(" ").join([*words, *more]))
    elif setting.optional:
        parts.append(Content.styled("may be empty", "$text-muted"))
    if draft.differs(setting.key):
        parts.append(safe(f"in the preset: {draft.preset_text(setting.key) or 'none'}", "$text-muted"))
    first = Content("  ").join(parts)
    below = safe(wrong, "$text-error") if wrong else safe(setting.meaning)
    return Content("\n").join([first, below])


def toml_text(draft: Draft, *, whole: bool) -> Content:
    """The configuration as TOML, or why there is none."""
    try:
        text = draft.to_toml(whole=whole)
    except LooptopError as error:
        return safe(error, "$text-error")
    lines = []
    for line in text.rstrip().splitlines():
        style = "$primary bold" if line.startswith("[") and "=" not in line else ""
        lines.append(safe(line, style))
    return Content("\n").join(lines)


def about_text(draft: Draft) -> Content:
    """What is known about the run before it starts."""
    count = sum(draft.differs(setting.key) for setting in draft.settings if setting.key != PRESET)
    differs = "nothing" if not count else f"{count} setting" + ("s" if count > 1 else "")
    return safe(f"{differs} differs from {draft.text(PRESET)}", "$text-muted")
