"""The captions of the views of an image: sentences that say what each view shows, and its scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from looptop.tui.text import duration, number, safe

if TYPE_CHECKING:
    from looptop.engine.vqa.views.records import PreparationStep, Size

BRIGHTNESS_STEPS = 8

ENCODER_ATTENTION_CAPTION = (
    "The share of its attention that the image encoder's class token gives to each patch, in the last layer. It is the"
    " same for every question, so it cannot show what the answer depends on."
)
NO_ENCODER_ATTENTION = "This model's image encoder has no class token whose attention could be drawn."
NO_QUESTION = "Ask a question about this image first: this view depends on it."


def preparation_caption(steps: Sequence[PreparationStep], before: Size, after: Size) -> str:
    """Describes what was done to an image before the model saw it.

    Args:
        steps: What was done, in order.
        before: The size of the image in its file.
        after: The size of the model's input.
    """
    words = [_step(step) for step in steps]
    if before == after and not any(_changes_size(step) for step in steps):
        words.insert(0, f"size kept at {_size(before)}")
    return f"Left, the file; right, the model's input: {', '.join(words) or 'unchanged'}."


def cross_attention_caption(image_share: float) -> str:
    """Explains the cross-attention of one written token.

    Args:
        image_share: The share of the attention that went to the whole image, from 0 to 1.
    """
    return (
        "The share of its attention that the decoder gave to each patch when it wrote this token;"
        f" {image_share:.0%} went to the image. It cannot show whether the answer would differ without them."
    )


def occlusion_caption(probability: float) -> str:
    """Explains the occlusion map of an answer.

    Args:
        probability: The answer's raw probability with nothing greyed out, from 0 to 1.
    """
    return (
        f"The answer's raw probability ({percent_text(probability)}) with each square greyed out in turn. Bright"
        " squares matter most: without them it is lowest. Parts that only matter together do not show."
    )


def occlusion_progress(done: int, total: int, seconds: float) -> str:
    """Says how much of the occlusion map is computed, and about how long the rest will take.

    Args:
        done: Squares greyed out so far.
        total: All squares.
        seconds: How long it has taken so far.
    """
    sentence = f"greying out one square after another: {done} of {total}, for {duration(seconds)}"
    if not done or seconds < 1:
        return sentence
    return f"{sentence}, about {duration(seconds * (total - done) / done)} left"


def legend(dark: float, bright: float, strength: float) -> Content:
    """A scale from the darkest to the brightest patch, with the values of both in percent.

    Args:
        dark: The value of the darkest patch: a probability or a share of the attention, from 0 to 1.
        bright: The value of the brightest patch. In an occlusion map it is the lower one of the two.
        strength: How much of its brightness the darkest patch loses, from 0 to 1.
    """
    if dark == bright:
        return safe(f"all patches {percent_text(dark)}", "$text-muted")
    parts: list[tuple[str, str]] = [(f"{percent_text(dark)} ", "")]
    for step in range(BRIGHTNESS_STEPS):
        light = round(255 * (1 - strength * (1 - step / (BRIGHTNESS_STEPS - 1))))
        parts.append((" ", f"on rgb({light},{light},{light})"))
    return Content.assemble(*parts, f" {percent_text(bright)}")


def percent_text(value: float) -> str:
    """A probability or a share in percent, with enough digits to tell small ones from 0 % and large ones from 100 %."""
    percent = 100 * value
    if 0 < percent < 0.05 or 99.95 <= percent < 100:
        return f"{number(percent)} %" if percent < 1 else f"{percent:.3f} %"
    return f"{percent:.1f} %"


def _step(step: PreparationStep) -> str:
    from looptop.engine.vqa.views import records as views

    match step:
        case views.Resized(before, after, resampling):
            how = f" ({resampling})" if resampling else ""
            kept = abs(before[0] * after[1] - before[1] * after[0]) < max(before)
            return f"resized from {_size(before)} to {_size(after)}{how}" + ("" if kept else ", proportions changed")
        case views.Cropped(_, after):
            return f"cropped to the middle {_size(after)}"
        case views.Padded(_, after):
            return f"padded to {_size(after)}"
        case views.Rescaled(factor):
            if abs(255 * factor - 1) < 1e-6:
                return "values from 0 to 255 scaled to 0 to 1"
            return f"values multiplied by {number(factor)}"
        case views.Normalised(mean, std):
            return f"normalised with mean {_numbers(mean)} and standard deviation {_numbers(std)}"
        case views.OwnStep(processor, before, after):
            return f"changed from {_size(before)} to {_size(after)} by {processor} itself"


def _changes_size(step: PreparationStep) -> bool:
    return hasattr(step, "after")


def _size(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _numbers(values: Sequence[float]) -> str:
    if len(set(values)) == 1:
        return f"{values[0]:.3g}"
    return ", ".join(f"{value:.3g}" for value in values)
