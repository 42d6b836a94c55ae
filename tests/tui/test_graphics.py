"""Images on terminals that draw them: what is asked, what is sent, and that it goes away."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from looptop.tui.app import LooptopApp
from looptop.tui.terminal.compact_output import CompactOutput
from looptop.tui.terminal.graphics import Graphics, GraphicsReplies, Protocol
from looptop.tui.terminal.graphics_encoding import encode
from looptop.tui.terminal.graphics_kitty import kitty_image
from looptop.tui.terminal.graphics_sixel import sixel_image
from looptop.tui.widgets.picture import Picture
from tests.factories.apps import make_app
from tests.factories.image_terminal import ImageTerminal, decode_sixel
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import resize, shown, until

SIZE = (120, 40)
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
GRAPHICS = {each: Graphics(each, (10, 20), 2_000_000) for each in Protocol}

# What the terminal says ---------------------------------------------------------------------------------------------

KITTY = "\x1bP>|kitty(0.35.2)\x1b\\\x1b_Gi=31;OK\x1b\\\x1b[6;18;9t\x1b[?62;c"
XTERM = "\x1bP>|XTerm(390)\x1b\\\x1b[6;20;10t\x1b[?2;0;1000;800S\x1b[?64;1;2;4;6;22c"


@pytest.mark.parametrize(
    ("replies", "graphics"),
    [
        (KITTY, Graphics(Protocol.KITTY, (9, 18), 2_000_000)),
        (XTERM, Graphics(Protocol.SIXEL, (10, 20), 2_000_000, (1000, 800))),
        ("\x1bP>|iTerm2 3.5.4\x1b\\\x1b[6;16;8t\x1b[?64;4c", Graphics(Protocol.ITERM2, (8, 16), 2_000_000)),
        ("\x1bP>|iTerm2 3.5.4\x1b\\\x1b[?64;4c", Graphics(Protocol.ITERM2, (10, 20), 2_000_000)),
        ("\x1bP>|WezTerm 2024\x1b\\\x1b_Gi=31;OK\x1b\\\x1b[?65;4;6c", Graphics(Protocol.KITTY, (10, 20), 2_000_000)),
        ("\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\\x1b[?62;22c", None),
        ("\x1b[?62;22c", None),
        ("\x1b[?64;4c", None),  # a sixel image of unknown size in cells could cover text
        ("\x1bP>|tmux 3.4\x1b\\\x1b[6;20;10t\x1b[?1;2;4c", None),
    ],
)
def test_what_the_terminal_says_decides(replies: str, graphics: Graphics | None) -> None:
    asked = GraphicsReplies(environment={"TERM": "xterm-kitty"})
    assert asked.hear(replies) == graphics and asked.complete
    assert asked.hear(KITTY) is None, "it is asked once"


@given(cuts=some.lists(some.integers(0, len(XTERM)), max_size=6), typed=some.text(max_size=5))
def test_answers_may_come_in_pieces_and_among_keys(cuts: list[int], typed: str) -> None:
    asked = GraphicsReplies(environment={})
    edges = [0, *sorted(cuts), len(XTERM)]
    heard = [asked.hear(typed), *(asked.hear(XTERM[a:b]) for a, b in pairwise(edges))]
    assert [each for each in heard if each is not None] == [Graphics(Protocol.SIXEL, (10, 20), 2_000_000, (1000, 800))]


@pytest.mark.parametrize("variable", ["TMUX", "STY"])
def test_multiplexers_get_no_images(variable: str) -> None:
    assert GraphicsReplies(environment={variable: "1"}).hear(KITTY) is None


def test_the_cell_that_the_system_knows_will_do_and_ssh_gets_less() -> None:
    asked = GraphicsReplies((7, 14), {"SSH_CONNECTION": "1 2 3 4"})
    assert asked.hear("\x1b[?64;4c") == Graphics(Protocol.SIXEL, (7, 14), 300_000)


# What is sent -------------------------------------------------------------------------------------------------------


def photo(size: tuple[int, int]) -> Image.Image:
    return PHOTO.resize(size)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_an_image_arrives_in_its_cells(protocol: Protocol) -> None:
    graphic = encode(GRAPHICS[protocol], photo, 30, 10)
    assert graphic is not None
    terminal = ImageTerminal()
    terminal.write(CompactOutput(can_erase=True).compress(f"\x1b7\x1b[5;9H{graphic.draw}\x1b8"))
    (image,) = terminal.drawn
    assert (image.row, image.column) == (4, 8)
    assert terminal.unread == "\x1b7\x1b8"
    if protocol is Protocol.SIXEL:
        assert image.image.size == (300, 198), "whole bands: no cell below is touched"
        assert image.image.getchannel("A").getextrema() == (255, 255)
        difference = np.asarray(image.image)[..., :3].astype(float) - np.asarray(PHOTO)[:198]
        assert abs(difference).mean() < 25, "256 colours for 60,000"
    else:
        assert (image.columns, image.rows) == (30, 10)
        assert np.array_equal(np.asarray(image.image), np.asarray(PHOTO))
    terminal.write(graphic.remove)
    assert not terminal.images


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_picture_costs_at_most_what_it_may(protocol: Protocol) -> None:
    graphics = GRAPHICS[protocol]._replace(most_bytes=60_000)
    graphic = encode(graphics, photo, 30, 10)
    if protocol is Protocol.SIXEL:
        assert graphic is None, "noise cannot be drawn in so few bytes; half blocks are"
        return
    assert graphic is not None and len(graphic.draw) < 66_000
    terminal = ImageTerminal()
    terminal.write(graphic.draw)
    assert (terminal.drawn[0].columns, terminal.drawn[0].rows) == (30, 10)


def test_a_sixel_that_the_terminal_would_cut_is_not_sent() -> None:
    assert encode(GRAPHICS[Protocol.SIXEL]._replace(largest=(299, 900)), photo, 30, 10) is None


@given(size=some.integers(1, 20_000))
def test_kitty_chunks_are_small_and_whole(size: int) -> None:
    file = bytes(size)
    draw, _ = kitty_image(file, 3, 4)
    chunks = [part.partition(";") for part in draw.removesuffix("\x1b\\").split("\x1b\\")]
    assert all(len(data) <= 4096 for _, _, data in chunks)
    assert [keys[-1] for keys, _, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]


@given(
    width=some.integers(1, 40),
    bands=some.integers(1, 3),
    colours=some.lists(some.tuples(*[some.sampled_from([0, 51, 102, 153, 204, 255])] * 3), min_size=1, max_size=9),
    seed=some.integers(0, 99),
)
def test_sixels_are_the_image(width: int, bands: int, colours: list[tuple[int, int, int]], seed: int) -> None:
    chosen = np.random.default_rng(seed).integers(0, len(colours), (6 * bands, width))
    pixels = np.asarray(colours, dtype=np.uint8)[chosen]
    text = sixel_image(Image.fromarray(pixels))
    assert text.startswith("\x1bP") and text.endswith("\x1b\\") and "\x1b" not in text[1:-2]
    assert np.array_equal(np.asarray(decode_sixel(text[2:-2]))[..., :3], pixels)


# On the screen ------------------------------------------------------------------------------------------------------


def on_terminal(answers: QuickAnswers) -> tuple[LooptopApp, ImageTerminal]:
    """The app, and the terminal that gets its images."""
    app, terminal = make_app(answers), ImageTerminal()
    app.graphics.write = terminal.write  # type: ignore[method-assign]
    return app, terminal


async def show_graphics(pilot: Any, protocol: Protocol) -> Picture:
    await until(pilot, lambda: "0.png · the image" in shown(pilot.app))
    pilot.app.graphics.use(GRAPHICS[protocol])
    picture: Picture = pilot.app.screen.query_one(Picture)
    await until(pilot, lambda: pilot.app.graphics.is_drawn(picture))
    return picture


async def test_an_image_lies_on_the_picture(answers: QuickAnswers) -> None:
    app, terminal = on_terminal(answers)
    async with app.run_test(size=SIZE) as pilot:
        picture = await show_graphics(pilot, Protocol.KITTY)
        (image,) = terminal.images.values()
        content = picture.content_region
        assert image.columns == content.width and image.rows == round(content.width / 2) <= content.height
        assert image.row == content.y + (content.height - image.rows) // 2
        assert image.column == content.x + (content.width - image.columns) // 2
        assert image.image.size == (image.columns * 10, image.rows * 20)
        line = shown(app).splitlines()[image.row + 3]
        assert line[image.column :].startswith("▄" * image.columns), "half blocks stay below it"
        await pilot.press("down")
        await until(pilot, lambda: "1.png · the image" in shown(app) and len(terminal.drawn) > 1)
        await until(pilot, lambda: len(terminal.images) == 1)


async def test_an_image_goes_when_something_lies_over_it_and_comes_back_or_a_sentence_replaces_it(
    answers: QuickAnswers,
) -> None:
    app, terminal = on_terminal(answers)
    async with app.run_test(size=SIZE) as pilot:
        picture = await show_graphics(pilot, Protocol.KITTY)
        for key in ("question_mark", "2", "ctrl+p"):
            await pilot.press(key)
            await until(pilot, lambda: not terminal.images)
            await pilot.press("escape")
            await pilot.press("alt+1")
            await until(pilot, lambda: len(terminal.images) == 1)
        picture.show_sentence("there is no image")
        await until(pilot, lambda: not terminal.images)


async def test_a_notice_over_the_image_is_not_covered(answers: QuickAnswers) -> None:
    app, terminal = on_terminal(answers)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        picture = await show_graphics(pilot, Protocol.KITTY)
        for row in range(12):
            app.notify(f"notice {row}", timeout=60)
        await until(pilot, lambda: not terminal.images)
        assert not app.graphics.is_drawn(picture)
        app.clear_notifications()
        await until(pilot, lambda: len(terminal.images) == 1)


@pytest.mark.parametrize("protocol", [Protocol.SIXEL, Protocol.ITERM2])
async def test_where_text_was_written_over_an_image_it_is_drawn_again(
    answers: QuickAnswers, protocol: Protocol
) -> None:
    app, terminal = on_terminal(answers)
    async with app.run_test(size=SIZE) as pilot:
        picture = await show_graphics(pilot, protocol)
        count = len(terminal.drawn)
        app.screen.query_one("#answer").refresh()
        await pilot.pause(0.1)
        assert len(terminal.drawn) == count, "nothing was written over it"
        picture.refresh()
        await until(pilot, lambda: len(terminal.drawn) == count + 1)
        await pilot.press("question_mark")
        await until(pilot, lambda: not app.graphics.is_drawn(picture))
        count = len(terminal.drawn)
        await pilot.press("escape")
        await until(pilot, lambda: len(terminal.drawn) > count)


async def test_an_image_follows_a_change_of_size_and_leaves_with_its_widget(answers: QuickAnswers) -> None:
    app, terminal = on_terminal(answers)
    async with app.run_test(size=SIZE) as pilot:
        picture = await show_graphics(pilot, Protocol.KITTY)
        await resize(pilot, 100, 30)
        await until(pilot, lambda: [each.rows for each in terminal.images.values()] == [picture.content_region.height])
        await pilot.press("v")
        await until(pilot, lambda: len(terminal.images) == 1 and "before and after" in shown(app))
        await pilot.press("z")
        await until(pilot, lambda: len(terminal.images) == 1 and next(iter(terminal.images.values())).columns > 90)
        app.graphics.remove()
        assert not terminal.images


async def test_a_terminal_that_did_not_say_that_it_draws_gets_nothing(answers: QuickAnswers) -> None:
    app, terminal = on_terminal(answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "0.png · the image" in shown(app))
        await pilot.press("z")
        await until(pilot, lambda: "64x64 pixels" in shown(app))
        await pilot.press("escape")
        assert not terminal.drawn and not terminal.unread


async def test_an_image_waits_while_much_waits_for_the_terminal(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, terminal = on_terminal(answers)
    waits = 10_000_000
    monkeypatch.setattr(type(app.graphics), "backlog", property(lambda layer: waits))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "0.png · the image" in shown(app))
        app.graphics.use(GRAPHICS[Protocol.KITTY])
        picture = app.screen.query_one(Picture)
        await until(pilot, lambda: picture._encoded is not None)
        await pilot.pause(0.3)
        assert not terminal.drawn
        waits = 0
        await until(pilot, lambda: len(terminal.drawn) == 1)
