"""The large view: keys, mouse, and the arithmetic of zoom and pan."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image
from textual import events

from looptop.engine.helpers.answers import AskReply
from looptop.engine.helpers.process import HelperState
from looptop.tui.app import LooptopApp
from looptop.tui.ask.picture.large_view import LargeView, PannedPicture
from looptop.tui.widgets.picture_pyramid import MAX_KEPT_PIXELS, Pyramid
from looptop.tui.widgets.picture_viewport import LARGEST_PIXEL, Viewport
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers, view_of
from tests.tui.conftest import shown, until

SIZE = (120, 40)


async def open_large(pilot: Any) -> PannedPicture:
    """Opens the large view of the first image, and waits until it is drawn."""
    await until(pilot, lambda: "0.png · the image" in shown(pilot.app))
    await pilot.press("z")
    await until(pilot, lambda: "64x64 pixels" in shown(pilot.app) and "▄" * 60 in shown(pilot.app))
    picture: PannedPicture = pilot.app.screen.query_one(PannedPicture)
    return picture


def _stands(app: LooptopApp, text: str) -> bool:
    return text in shown(app)


async def test_z_shows_the_image_over_the_whole_screen_and_esc_goes_back(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_large(pilot)
        # On all lines but the caption and the keys:
        await until(pilot, lambda: sum("▄" * 60 in line for line in shown(app).splitlines()) == 38)
        await pilot.press("escape")
        await until(pilot, lambda: "Earlier questions" in shown(app))
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, LargeView))
        await pilot.press("question_mark")
        await until(pilot, lambda: "In the large view of an image" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LargeView))
        await pilot.press("z")
        await until(pilot, lambda: not isinstance(app.screen, LargeView))


async def test_keys_zoom_and_move(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        picture = await open_large(pilot)
        await pilot.press("right")
        assert picture.viewport == Viewport(), "the whole image cannot be moved"
        await pilot.press("plus", "equals_sign")
        assert picture.viewport.zoom == pytest.approx(2.25)
        await pilot.press("right", "down")
        assert picture.viewport.x > 0.5 and picture.viewport.y > 0.5
        await pilot.press(*["left"] * 9, *["up"] * 9)
        corner = picture.viewport.visible((64, 64), picture.room).box[:2]
        assert corner == pytest.approx((0, 0))
        await pilot.press("minus")
        assert picture.viewport.zoom == pytest.approx(1.5)
        await pilot.press("0")
        assert picture.viewport == Viewport()


async def test_the_wheel_zooms_at_the_pointer_and_the_mouse_drags(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        picture = await open_large(pilot)

        def under(x: int, y: int) -> tuple[float, float]:
            """The point of the image under the middle of a cell."""
            visible = picture.viewport.visible((64, 64), picture.room)
            scale = visible.width / (visible.box[2] - visible.box[0])
            left, top = (picture.room[0] - visible.width) / 2, (picture.room[1] - visible.height) / 2
            return visible.box[0] + (x + 0.5 - left) / scale, visible.box[1] + (2 * y + 1 - top) / scale

        def wheel(kind: type[events.MouseEvent]) -> events.MouseEvent:
            return kind(picture, 50, 10, 0, 0, 0, False, False, False, 50, 10)

        await pilot.press("plus")  # it is wider than the room now
        before = under(50, 10)
        for _ in range(2):
            picture.post_message(wheel(events.MouseScrollUp))
        await until(pilot, lambda: picture.viewport.zoom == pytest.approx(1.5**3))
        assert under(50, 10) == pytest.approx(before)

        grasped = under(60, 20)
        await pilot.mouse_down(picture, offset=(60, 20))
        await pilot.hover(picture, offset=(55, 17))
        await pilot.mouse_up(picture, offset=(55, 17))
        assert under(55, 17) == pytest.approx(grasped)
        await pilot.hover(picture, offset=(40, 10))
        assert under(55, 17) == pytest.approx(grasped), "it is not dragged any more"

        for _ in range(9):
            picture.post_message(wheel(events.MouseScrollDown))
        await until(pilot, lambda: picture.viewport.zoom == 1)


async def test_all_views_are_in_the_large_view_too(answers: QuickAnswers) -> None:
    answers.view = lambda request: AskReply(id=request.id, view=view_of(request), state=HelperState.READY)
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "0.png · the image" in shown(app))
        await pilot.press("a", *"what", "enter")
        await until(pilot, lambda: "confidence" in shown(app))
        await pilot.press("escape", "z", "v")
        for key, text in (
            ("v", "attention, mean of 2 heads"),
            ("V", "head 1 of 2"),
            ("v", "cross-attention of “red”"),
            ("v", "occlusion of “red”"),
        ):
            await pilot.press(key)
            await until(pilot, partial(_stands, app, text))
        assert "12.5 %" in shown(app) and "Parts that only matter together" in " ".join(shown(app).split())
        await pilot.press("escape")
        await until(pilot, lambda: "occlusion of" in shown(app) and "Question" in shown(app))


async def test_a_damaged_image_is_a_sentence_in_the_large_view(answers: QuickAnswers, tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    Image.new("RGB", (8, 8)).save(path)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        app.screen.show_image(path)  # type: ignore[attr-defined]
        await until(pilot, lambda: "gone.png · the image" in shown(app))
        path.unlink()
        await pilot.press("z")
        await until(pilot, lambda: "there is no image" in shown(app))
        await pilot.press("plus", "left", "escape")


async def test_a_held_key_leaves_the_last_picture(answers: QuickAnswers, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    photo = Image.linear_gradient("L").resize((3000, 2000)).convert("RGB")
    photo.save(path)
    app = make_app(answers)
    async with app.run_test(size=(200, 60)) as pilot:
        app.screen.show_image(path)  # type: ignore[attr-defined]
        await until(pilot, lambda: "photo.png · the image" in shown(app))
        await pilot.press("z")
        await until(pilot, lambda: "3000x2000 pixels" in shown(app))
        picture = app.screen.query_one(PannedPicture)
        await pilot.press(*["plus"] * 4, *["up"] * 20)
        await until(pilot, lambda: picture._lines is not None and picture._lines[0].viewport == picture.viewport)
        assert picture.viewport.visible((3000, 2000), picture.room).box[1] == 0


# Arithmetic ---------------------------------------------------------------------------------------------------------

sizes = some.tuples(some.integers(1, 9000), some.integers(1, 9000))
rooms = some.tuples(some.floats(1, 400), some.floats(1, 200))
parts = some.floats(-0.5, 0.5)


@given(image=sizes, room=rooms, factor=some.floats(0.1, 100), x=some.floats(0, 1), y=some.floats(0, 1), at=parts)
def test_what_is_visible_lies_in_the_image_and_fits_into_the_room(
    image: tuple[int, int], room: tuple[float, float], factor: float, x: float, y: float, at: float
) -> None:
    viewport = Viewport(1.0, x, y).zoomed(factor, image, room, (at * room[0], at * room[1]))
    viewport = viewport.moved(at * 99, -at * 99, image, room)
    (left, top, right, bottom), width, height = viewport.visible(image, room)
    near = 1e-6 * max(image)
    assert -near <= left < right <= image[0] + near and -near <= top < bottom <= image[1] + near
    assert width <= room[0] * 1.000001 and height <= room[1] * 1.000001
    assert width / (right - left) == pytest.approx(height / (bottom - top), rel=1e-4), "squares stay squares"
    assert viewport.zoom >= 1 and (viewport.zoom == 1 or width / (right - left) <= LARGEST_PIXEL * 1.0001)


@given(image=some.tuples(some.integers(50, 9000), some.integers(50, 9000)), x=parts, y=parts)
def test_zooming_out_again_shows_the_whole_image(image: tuple[int, int], x: float, y: float) -> None:
    room = (120.0, 76.0)
    viewport = Viewport().zoomed(1.5, image, room, (x * 120, y * 76)).zoomed(0.1, image, room)
    assert viewport.visible(image, room).box == pytest.approx((0, 0, *image))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (500, 1), (301, 203)])
def test_any_part_of_any_image_can_be_drawn(width: int, height: int) -> None:
    pyramid = Pyramid(Image.new("RGB", (width, height), (9, 8, 7)))
    for box in ((0, 0, width, height), (0, 0, width / 7, height / 3), (width * 0.9, height * 0.9, width, height)):
        for size in ((1, 1), (3, 40), (200, 100)):
            part = pyramid.part(box, size)
            assert part.size == size and set(part.getdata()) == {(9, 8, 7)}


def test_a_part_is_that_part() -> None:
    image = Image.new("RGB", (400, 400), "white")
    image.paste("red", (300, 100, 400, 200))
    pyramid = Pyramid(image)
    part = pyramid.part((300, 100, 400, 200), (10, 10))
    assert {part.getpixel((x, y)) for x in range(3, 7) for y in range(3, 7)} == {(255, 0, 0)}
    assert pyramid.part((0, 0, 400, 400), (4, 4)).getpixel((3, 1)) == pytest.approx((255, 0, 0), abs=90)
    enlarged = pyramid.part((299, 100, 301, 102), (4, 4))
    assert [enlarged.getpixel((x, 0)) for x in range(4)] == [(255,) * 3] * 2 + [(255, 0, 0)] * 2


def test_a_huge_image_is_kept_at_half_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_KEPT_PIXELS >= 9000 * 9000
    monkeypatch.setattr("looptop.tui.widgets.picture_pyramid.MAX_KEPT_PIXELS", 10_000)
    image = Image.new("RGB", (300, 100), "white")
    image.paste("red", (200, 0, 300, 100))
    pyramid = Pyramid(image)
    assert pyramid.size == (300, 100)
    assert pyramid.part((200, 0, 300, 100), (9, 9)).getpixel((4, 4)) == (255, 0, 0)
