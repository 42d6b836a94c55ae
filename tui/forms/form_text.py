"""The form of a new run as text: a setting, the configuration as TOML, the run's estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from looptop.engine.config.catalogue import PRESET, Setting
from looptop.engine.errors import LooptopError
from looptop.engine.machine.free_memory import bytes_text
from looptop.engine.text import count_text, counted
from looptop.tui.forms.draft import Draft
from looptop.tui.text import safe

if TYPE_CHECKING:
    from looptop.engine.estimates.records import EstimateReply, MemoryEstimate, StepCount


def setting_text(draft: Draft, setting: Setting, wrong: str) -> Content:
    """A setting's key, its words, the preset's value, and its whole meaning, or what is wrong with its value."""
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


def about_text(draft: Draft, estimate: EstimateReply | None) -> Content:
    """What is known about the run before it starts.

    Args:
        draft: Its settings.
        estimate: What the estimating process has said so far; None before it has said anything.
    """
    count = sum(draft.differs(setting.key) for setting in draft.settings)
    differs = "nothing changed" if not count else f"{counted(count, 'setting')} changed"
    lines = [safe(f"{draft.text(PRESET)}: {differs}", "$text-muted")]
    if draft.config is None:
        return Content("\n").join([*lines, Content(""), safe("unknown while a value is invalid", "$text-muted")])
    if estimate is None:
        return Content("\n").join([*lines, Content(""), safe("…", "$text-muted")])
    if estimate.error is not None:
        return Content("\n").join([*lines, Content(""), safe(estimate.error, "$text-error")])
    lines += _data_lines(estimate)
    if estimate.steps is not None:
        lines += _step_lines(estimate.steps)
    if estimate.memory is not None:
        lines += _memory_lines(estimate.memory)
    elif estimate.unknown:
        lines += [_title("Memory"), safe(f"not known yet: {estimate.unknown}", "$text-muted")]
    else:
        lines += [Content(""), safe(f"{estimate.activity}…", "$text-muted")]
    return Content("\n").join(lines)


def _data_lines(estimate: EstimateReply) -> list[Content]:
    lines = [_title("Data")] if estimate.splits or estimate.left_out else []
    for split in estimate.splits:
        images = f" on {counted(split.images, 'image')}" if split.images else ""
        lines.append(_line(split.name, f"{split.rows:,}{images}"))
    lines += [safe(f"! {kind}: {text}", "$text-warning") for kind, text in estimate.left_out]
    return lines


def _step_lines(steps: StepCount) -> list[Content]:
    lines = [_title("Steps"), _line("in all", f"{steps.total:,}")]
    if steps.per_epoch:
        lines.append(_line("an epoch", f"{steps.per_epoch:,}"))
    lines.append(_line("samples", f"{steps.samples:,} each"))
    lines.append(safe("the time is known after ten steps", "$text-muted"))
    return lines


def _memory_lines(memory: MemoryEstimate) -> list[Content]:
    of = [("weights", memory.weights), ("gradients", memory.gradients), ("optimiser", memory.optimizer)]
    of += [("activations", memory.activations)]
    of_machine = [("features", memory.features)] if memory.features else []
    if memory.device == "cpu":
        of += [*of_machine, ("libraries", memory.program)]
    fits = memory.peak <= memory.free
    return [
        _title("Model"),
        _line("parameters", count_text(memory.parameters)),
        _line("trained", count_text(memory.trainable)),
        _title(f"Memory on {memory.device}, {memory.precision}"),
        *(_line(name, bytes_text(size)) for name, size in of),
        _line("together", bytes_text(memory.peak), "bold" if fits else "$text-error bold"),
        _line("free now", bytes_text(memory.free), "" if fits else "$text-error"),
        *([_title("Memory of the machine")] if of_machine and memory.device != "cpu" else []),
        *(_line(name, bytes_text(size)) for name, size in of_machine if memory.device != "cpu"),
    ]


def _title(text: str) -> Content:
    return safe(text, "$primary bold")


def _line(name: str, text: str, style: str = "") -> Content:
    return Content.assemble((f"{name:<12}", "$text-muted"), safe(text, style))
