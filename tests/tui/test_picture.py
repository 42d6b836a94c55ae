"""The picture on Ask: its views, what they say, and how they are asked for."""

from __future__ import annotations

from typing import Any

import pytest
from textual.widgets import Input

from looptop.engine.helpers.answers import AskReply
from looptop.engine.helpers.process import HelperState
from looptop.engine.vqa.views.records import (
    Cropped,
    ImageView,
    Normalised,
    OwnStep,
    Padded,
    PreparationStep,
    Progress,
    Rescaled,
    Resized,
)
from looptop.tui.ask.picture import captions
from looptop.tui.ask.picture.drawing import scaled, shaded, side_by_side
from looptop.tui.widgets.picture import Picture
from tests.factories.apps import make_app
from tests.factories.quick_answers import PIXELS, QuickAnswers, view_of
from tests.tui.conftest import shown, until

SIZE = (160, 50)


async def ask(pilot: Any, question: str) -> None:
    await until(pilot, lambda: "0.png · the image" in shown(pilot.app))
    field = pilot.app.screen.query_one("#question", Input)
    field.focus()
    field.value = question
    await pilot.press("enter")
    await until(pilot, lambda: "confidence" in shown(pilot.app))
    await pilot.press("escape")


async def see(pilot: Any, key: str, *texts: str) -> None:
    await pilot.press(key)
    await until(pilot, lambda: all(text in joined(pilot.app) for text in texts))


def joined(app: Any) -> str:
    """The picture's panel, its lines joined."""
    panel = app.screen.query_one("#picture-panel").region
    lines = shown(app).splitlines()[panel.y : panel.bottom]
    return " ".join(" ".join(line[panel.x + 1 : panel.right - 1] for line in lines).split())


async def test_each_view_says_what_it_is(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what?")
        await see(pilot, "v", "before and after", "resized from 64x48 to 4x4 (bilinear), proportions changed")
        await see(pilot, "v", "attention, mean of 2 heads", "10.0 %", "30.0 %", "same for every question")
        await see(pilot, "V", "attention, head 1 of 2", "0.0 %", "40.0 %")
        await see(pilot, "V", "attention, head 2 of 2")
        await see(pilot, "V", "attention, mean of 2 heads")
        await see(pilot, "v", "cross-attention of “red” (1 of 2)", "60% went to the image")
        await see(pilot, "V", "cross-attention of “<end>” (2 of 2)")
        await see(pilot, "v", "occlusion of “red”", "12.5 %", "raw probability (75.0 %) with each")
        await see(pilot, "v", "0.png · the image")
        kinds = [request.view for request in answers.asked if request.view]
        assert kinds == ["image", "tokens", "occlusion"], "each is made once"


async def test_before_and_after_needs_no_question_and_occlusion_does(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "v", "before and after", "normalised with mean 0.5 and standard deviation 0.5")
        await pilot.press("v", "v")
        await see(pilot, "v", "occlusion", "Ask a question about this image first")
        assert [request.question for request in answers.asked if request.view] == [""]


async def test_a_model_with_mean_fusion_has_no_cross_attention(answers: QuickAnswers) -> None:
    answers.view = lambda request: AskReply(id=request.id, view=view_of(request, "mean"), state=HelperState.READY)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what?")
        await see(pilot, "v", "before and after", "resized")
        await see(pilot, "v", "attention, mean")
        await see(pilot, "v", "occlusion of “red”")


async def test_the_strength_changes_how_dark_the_darkest_patch_is(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("v", "v")
        await until(pilot, lambda: "attention, mean" in shown(app))

        def darkest() -> int:
            source = app.screen.query_one(Picture).source
            assert source is not None
            return min(source.part((0, 0, 4, 4), (4, 4)).convert("RGB").tobytes()[::3])

        assert darkest() == 80  # of 200, at a strength of 0.6
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: darkest() == 40)
        await pilot.press(*["left_square_bracket"] * 9)
        await until(pilot, lambda: darkest() == 160)


async def test_occlusion_says_how_far_it_is_and_another_image_is_asked_for_next(answers: QuickAnswers) -> None:
    answers.view = lambda request: AskReply(id=request.id, progress=Progress(3, 16))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what?")
        await pilot.press("v", "v", "v")
        await until(pilot, lambda: "greying out one square after another: 3 of 16" in joined(app))


async def test_a_view_that_fails_is_a_sentence_and_is_tried_again(answers: QuickAnswers) -> None:
    answers.view = lambda request: AskReply(id=request.id, error="no [/b] \x1b memory", state=HelperState.READY)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "v", "no [/b] ␛ memory")
        answers.view = lambda request: AskReply(id=request.id, view=view_of(request), state=HelperState.READY)
        await pilot.press("v")
        await until(pilot, lambda: "attention, mean of 2 heads" in joined(app))


async def test_a_view_of_another_image_is_asked_for_when_it_is_chosen(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "v", "0.png · before and after", "resized")
        app.screen.query_one("#images").focus()
        await see(pilot, "down", "1.png · before and after", "resized")
        images = [request.image.rpartition("/")[2] for request in answers.asked if request.view]
        assert images == ["0.png", "1.png"]


async def test_an_encoder_without_a_class_token_has_no_attention(answers: QuickAnswers) -> None:
    view = ImageView((4, 4), PIXELS, [], None, "mean")
    answers.view = lambda request: AskReply(id=request.id, view=view, state=HelperState.READY)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "v", "size kept at 4x4")
        await see(pilot, "v", "no class token")


async def test_a_picture_fills_the_widget(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "0.png · the image" in shown(app))
        picture = app.screen.query_one(Picture)
        width, height = picture.content_size
        drawn = [line for line in shown(app).splitlines() if "▄" * 8 in line[picture.region.x :]]
        assert len(drawn) == min(height, width // 2)


# In words -----------------------------------------------------------------------------------------------------------


def test_the_preparation_in_words() -> None:
    mean = [0.48145466, 0.4578275, 0.40821073]
    steps: list[PreparationStep] = [
        Resized((640, 480), (298, 224), "bicubic"),
        Cropped((298, 224), (224, 224)),
        Padded((224, 224), (256, 256)),
        OwnStep("OwnProcessor", (256, 256), (128, 128)),
        Rescaled(1 / 255),
        Normalised(mean, [0.25] * 3),
    ]
    assert captions.preparation_caption(steps, (640, 480), (128, 128)) == (
        "Left, the file; right, the model's input: resized from 640x480 to 298x224 (bicubic), cropped to"
        " the middle"
        " 224x224, padded to 256x256, changed from 256x256 to 128x128 by OwnProcessor itself, values from 0 to 255"
        " scaled to 0 to 1, normalised with mean 0.481, 0.458, 0.408 and standard deviation 0.25."
    )
    assert captions.preparation_caption([], (9, 9), (9, 9)) == (
        "Left, the file; right, the model's input: size kept at 9x9."
    )


def test_the_time_that_is_left_is_shown_once_it_can_be_known() -> None:
    assert captions.occlusion_progress(0, 196, 3.0).endswith("0 of 196, for 3 s")
    assert captions.occlusion_progress(49, 196, 10.0).endswith("49 of 196, for 10 s, about 30 s left")


@pytest.mark.parametrize(("value", "text"), [(0.0, "0.0 %"), (0.25, "25.0 %"), (1.0, "100.0 %"), (0.00012, "0.0120 %")])
def test_shares(value: float, text: str) -> None:
    assert captions.percent_text(value) == text


# Drawing ------------------------------------------------------------------------------------------------------------


def test_the_brightest_patch_stays_as_it_is() -> None:
    from PIL import Image

    brightness, low, high = scaled([[0.1, 0.3], [0.2, 0.1]])
    assert (low, high) == (0.1, 0.3)
    image = shaded(Image.new("RGB", (4, 4), (200, 100, 50)), brightness, 0.5)
    assert image.getpixel((3, 0)) == (200, 100, 50)
    assert image.getpixel((0, 0)) == (100, 50, 25)
    assert scaled([[0.2, 0.2]]) == ([[1.0, 1.0]], 0.2, 0.2), "nothing is darkened if all is the same"


def test_two_images_stand_side_by_side_at_one_height() -> None:
    from PIL import Image

    both = side_by_side(Image.new("RGB", (64, 32), "red"), Image.new("RGB", (4, 4), "blue"), (1, 2, 3))
    assert both.size == (64 + 2 + 32, 32)
    assert [both.getpixel((x, 9)) for x in (0, 64, 97)] == [(255, 0, 0), (1, 2, 3), (0, 0, 255)]
