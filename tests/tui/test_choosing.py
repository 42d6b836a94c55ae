"""Choosing an image on the Ask screen: the benchmark, folders, the data of runs, filters, the gallery."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from looptop.engine.config import preset
from looptop.engine.helpers.data_images import DataImagesReply, DataImagesRequest, WireEntry
from looptop.engine.helpers.process import HelperState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry
from looptop.engine.vqa.images.filtering import Outcome
from looptop.tui.app import LooptopApp
from looptop.tui.ask.images import outcomes, path_question
from looptop.tui.ask.images.gallery import Gallery
from looptop.tui.ask.images.panel import ImagePanel
from looptop.tui.ask.images.path_question import completion
from looptop.tui.ask.images.thumbnail_list import ImageList
from looptop.tui.ask.sources import run_data
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import resize, shown, until

SIZE = (120, 40)
KEYS = {" ": "space", ":": "colon", "/": "slash", "<": "less_than_sign", "%": "percent_sign", "_": "underscore"}


async def type_in(pilot: Any, text: str) -> None:
    await pilot.press(*(KEYS.get(char, char) for char in text))


def panel(app: LooptopApp) -> ImagePanel:
    return app.screen.query_one(ImagePanel)


def subtitle(app: LooptopApp) -> str:
    """How many images the list says that it has."""
    return str(panel(app).border_subtitle)


def paste(app: LooptopApp, *paths: Path) -> None:
    app.post_message(events.Paste("\n".join(f"'{path}'" for path in paths)))


@pytest.fixture
def folder(picture: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with an image and folders of images."""
    root = picture.parent / "root"
    for name in (
        "img_10.png",
        "img_2.png",
        "[b]odd.png",
        "closed/deep/Zebra.png",
        "closed/ant.png",
        ".hidden/zebra2.png",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture.read_bytes())
    (root / "notes.txt").write_text("no image")
    monkeypatch.chdir(root)
    return root


# Lists.


async def test_another_screen_gives_the_images_of_the_list(answers: QuickAnswers, picture: Path) -> None:
    second = picture.with_name("second.png")
    second.write_bytes(picture.read_bytes())
    asked = AskedQuestion("how many dogs?", ("2", "3", "2"), "how many", "number")
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: app.current_mode == "train")
        app.show_images("wrong: [b]dogs", [ImageEntry(picture, "validation", (asked,)), ImageEntry(second)])
        await until(pilot, lambda: "wrong: [b]dogs" in shown(app) and "my picture.png · the image" in shown(app))
        assert "· how many dogs?" in shown(app) and "2 images" in subtitle(app)
        await pilot.press("enter", "down", "enter")
        await until(pilot, lambda: "the data says: 2" in shown(app))
        assert answers.asked[-1].image == str(picture)
        await pilot.press("escape", "i", "down")
        await until(pilot, lambda: "second.png · the image" in shown(app))


async def test_a_folder_is_a_tree_in_natural_order_with_its_path_and_count(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: "img_10.png" in shown(app))
        text = shown(app)
        assert "/root ─" in text and "3 images" in subtitle(app)
        assert "notes.txt" not in text and ".hidden" not in text
        order = [text.index(name) for name in ("▸ closed", "[b]odd.png", "img_2.png", "img_10.png")]
        assert order == sorted(order)
        await pilot.press("right")
        await until(pilot, lambda: "▾ closed" in shown(app) and "1 image, 1 folder" in shown(app))
        await pilot.press("down", "enter")  # a folder in the folder
        await until(pilot, lambda: "Zebra.png" in shown(app) and "5 images" in subtitle(app))
        await pilot.press("down")
        await until(pilot, lambda: "Zebra.png · the image" in shown(app))
        await pilot.press("left", "left", "left", "left")  # to its folder, which closes; to the one above, which closes
        await until(pilot, lambda: "▸ closed" in shown(app) and "ant.png" not in shown(app).split("· the image")[0])
        await pilot.press("u")
        await until(pilot, lambda: "▸ root" in shown(app) and "my picture.png" in shown(app))
        await pilot.press("enter", "f")
        await until(pilot, lambda: "easy-VQA test images" in shown(app))
        await pilot.press("f")  # the folder that was shown last
        await until(pilot, lambda: "▸ root" in shown(app))


async def test_a_folder_of_ten_thousand_images_is_shown_whole(
    answers: QuickAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"img_{number}.png").touch()
    monkeypatch.chdir(folder)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: "10,000 images" in subtitle(app))
        assert "img_0.png" in shown(app) and "img_2.png" in shown(app)
        await pilot.press("end")
        await until(pilot, lambda: "img_9999.png" in shown(app))
        await pilot.press("slash")
        await type_in(pilot, "img_77")
        await until(pilot, lambda: "111 found" in subtitle(app) and "img_77.png" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "10,000 images" in subtitle(app) and "img_76.png" in shown(app))
        assert app.screen.query_one(ImageList).cursor == 77


async def test_a_folder_without_images_says_why(answers: QuickAnswers, tmp_path: Path) -> None:
    def words_of_list() -> str:
        return " ".join(line.split("│")[1].strip() for line in shown(app).splitlines() if line.startswith("│"))

    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        panel(app).show_folder(tmp_path / "gone")
        await until(pilot, lambda: "this folder cannot be read" in words_of_list())
        (tmp_path / "empty").mkdir()
        panel(app).show_folder(tmp_path / "empty")
        await until(pilot, lambda: "no images or folders in" in words_of_list())


async def test_folders_open_by_a_click(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: "▸ closed" in shown(app))
        await pilot.click(ImageList, offset=(5, 0))
        await until(pilot, lambda: "▾ closed" in shown(app) and "ant.png" in shown(app))
        await pilot.click(ImageList, offset=(5, 0))
        await until(pilot, lambda: "▸ closed" in shown(app))


# The filter.


async def test_the_filter_narrows_the_images(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("slash")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "image-filter")
        await until(pilot, lambda: "question:red" in shown(app))
        await type_in(pilot, "teal circle")
        await until(pilot, lambda: "\n│▌▄▄▄▄ 15.png" in shown(app) and "of 1,000" in subtitle(app))
        await pilot.press("down", "enter")
        assert app.focused is app.screen.query_one(ImageList)
        second = app.screen.query_one(ImageList).path
        await pilot.press("slash", "x", "y")
        await until(pilot, lambda: "no image matches" in shown(app) and "0 of 1,000" in subtitle(app))
        assert "question:teal" in shown(app)
        await pilot.press("backspace", "backspace", "escape")
        await until(
            pilot, lambda: "1,000 images" in subtitle(app) and not app.screen.query_one("#image-filter").display
        )
        assert app.focused is app.screen.query_one(ImageList)
        assert second is not None and app.screen.query_one(ImageList).path is not None


async def test_a_name_that_begins_as_typed_is_selected_first(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("slash")
        await type_in(pilot, "77")
        await until(pilot, lambda: "77.png · the image" in shown(app))
        await pilot.press("escape")  # the image keeps the cursor
        await until(pilot, lambda: "1,000 images" in subtitle(app))
        assert app.screen.query_one(ImageList).cursor == 77


async def test_a_filter_that_is_wrong_is_a_sentence_and_keeps_the_images(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=(200, 60)) as pilot:
        await pilot.press("slash")
        await type_in(pilot, "split:")
        await until(pilot, lambda: "ends too early" in shown(app))
        await type_in(pilot, "test")
        await until(pilot, lambda: "1,000 of 1,000" in subtitle(app))


async def test_the_search_looks_into_closed_folders_and_shows_the_image_in_its_folder(
    answers: QuickAnswers, folder: Path
) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: "▸ closed" in shown(app))
        await pilot.press("slash")
        await type_in(pilot, "zebra")
        await until(pilot, lambda: "1 found" in subtitle(app) and "in closed/deep" in shown(app))
        await until(pilot, lambda: "Zebra.png · the image" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "▾ closed" in shown(app) and "▾ deep" in shown(app))
        zebra = folder / "closed" / "deep" / "Zebra.png"
        await until(pilot, lambda: app.screen.query_one(ImageList).path == zebra)


async def test_the_bottom_line_has_the_keys_of_folders_and_of_a_filter_while_they_work(
    answers: QuickAnswers, folder: Path
) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        assert "parent folder" not in shown(app)
        await pilot.press("f")
        await until(pilot, lambda: "u parent folder" in shown(app))
        await pilot.press("slash", "o", "enter")
        await until(pilot, lambda: "esc close filter" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "esc close filter" not in shown(app))


async def test_right_and_wrong_are_those_of_the_model(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, dict[tuple[Path, str], Outcome]] = {}
    monkeypatch.setattr(outcomes, "outcomes_of", lambda model: known.get(model, {}))
    app = make_app(answers)
    async with app.run_test(size=(200, 60)) as pilot:
        image = panel(app).view.selected
        assert image is not None
        await pilot.press("slash")
        app.screen.query_one("#image-filter", Input).value = "wrong confidence>90%"
        await until(pilot, lambda: "bundled has not been evaluated" in " ".join(shown(app).split()))
        known["vqa-3"] = {(image.path, "what is the red shape?"): Outcome(right=False, confidence=0.95)}
        panel(app).use_model("vqa-3")
        await until(pilot, lambda: "1 of 1,000" in subtitle(app))
        await pilot.press("escape", "p")
        await until(pilot, lambda: "✗ 0.png" in shown(app) and "✗ 0 of 1 question answered right" in shown(app))


# Paths.


async def test_a_pasted_image_is_selected_in_its_folder(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    field = "closed/deep/Zebra.png"
    async with app.run_test(size=SIZE) as pilot:
        for text in (f"'{folder / field}'", str(folder / "img_2.png"), (folder / "[b]odd.png").as_uri()):
            question = app.screen.query_one("#question", Input)
            question.focus()
            question.post_message(events.Paste(text))
            name = next(
                each
                for each in ("Zebra.png", "img_2.png", "[b]odd.png")
                if each.replace("[b]", "") in text or ("odd" in each and "odd" in text)
            )
            await until(pilot, lambda name=name: f"{name} · the image" in shown(app))  # type: ignore[misc]
            await until(pilot, lambda name=name: getattr(app.screen.query_one(ImageList).path, "name", "") == name)  # type: ignore[misc]
            assert question.value == "" and app.focused is question


async def test_several_pasted_paths_become_the_list_and_others_are_named(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        for where, names in (
            ("question", ("img_2.png", "img_10.png")),
            ("images", ("img_10.png", "img_2.png", "[b]odd.png")),
            ("path", ("img_2.png", "img_10.png")),
        ):
            if where == "path":
                await pilot.press("escape", "o")
                await until(pilot, lambda: app.screen.query("#path"))
            else:
                app.screen.query_one(f"#{where}").focus()
            app.clear_notifications()
            paste(app, *[folder / name for name in names], Path("/not/here.png"), folder / "closed")
            title = f"{len(names)} opened images"
            await until(pilot, lambda: title in shown(app) and f"{names[0]} · the image" in shown(app))  # noqa: B023
            (toast,) = app._notifications
            assert toast.message == "not opened: here.png, closed"
            assert app.screen.query_one("#question", Input).value == ""


async def test_a_path_that_is_slow_to_read_holds_nothing_up_and_a_newer_one_replaces_it(
    answers: QuickAnswers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a network drive that does not answer."""
    answered, asked = threading.Event(), list[str]()
    exists = os.path.lexists

    def lexists(path: str) -> bool:
        asked.append(path)
        if "img_10" in path:
            answered.wait()
        return exists(path)

    monkeypatch.setattr(os.path, "lexists", lexists)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        paste(app, folder / "img_10.png")
        await until(pilot, lambda: any("img_10" in path for path in asked))
        await until(pilot, lambda: any("img_10.png' …" in each.message for each in app._notifications))
        paste(app, folder / "img_2.png")
        await until(pilot, lambda: "img_2.png · the image" in shown(app))
        answered.set()
        await until(pilot, lambda: not [each for each in threading.enumerate() if each.name == "looptop-work"])
        await pilot.pause()
        assert "img_2.png · the image" in shown(app)


async def test_what_only_begins_like_a_path_begins_a_question(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        question = app.screen.query_one("#question", Input)
        for where in ("images", "question"):
            app.screen.query_one(f"#{where}").focus()
            app.post_message(events.Paste("/ or not?"))
            await until(pilot, lambda: question.value == "/ or not?")
            await until(pilot, lambda: app.focused is question)
            await pilot.press("!")
            assert question.value == "/ or not?!"
            await pilot.press("ctrl+u")


async def test_a_folder_that_is_typed_or_dropped_becomes_the_list(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: app.screen.query("#path"))
        await type_in(pilot, "cl")
        await pilot.press("tab")
        await until(pilot, lambda: app.screen.query_one("#path", Input).value == "closed/")
        await pilot.press("enter")
        await until(pilot, lambda: "ant.png" in shown(app) and "/closed ─" in shown(app))
        assert app.focused is app.screen.query_one(ImageList)
        paste(app, folder)
        await until(pilot, lambda: "img_10.png" in shown(app) and "/root ─" in shown(app))
        paste(app, folder / "closed" / "deep")
        await until(pilot, lambda: "Zebra.png · the image" in shown(app))


async def test_an_error_about_a_path_is_not_replaced_by_its_completions(
    answers: QuickAnswers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = threading.Event(), threading.Event()

    def slow_completion(typed: str) -> tuple[str, list[str]]:
        asked.set()
        answered.wait()
        return completion(typed)

    monkeypatch.setattr(path_question, "completion", slow_completion)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: app.screen.query("#path"))
        await type_in(pilot, "file://elsewhere/img")
        await pilot.press("tab")
        await until(pilot, asked.is_set)
        await pilot.press("enter")
        await until(pilot, lambda: "the image is on another machine" in shown(app))
        answered.set()
        await until(pilot, lambda: not [each for each in threading.enumerate() if each.name == "looptop-work"])
        await pilot.pause()
        assert "the image is on another machine" in shown(app)


def test_a_path_is_completed_as_far_as_it_is_clear(folder: Path) -> None:
    assert completion("img") == ("img_", ["img_2.png", "img_10.png"])
    assert completion("img_1") == ("img_10.png", [])
    assert completion("CLO") == ("closed/", [])
    assert completion(str(folder / "closed") + "/") == (
        str(folder / "closed") + "/",
        ["ant.png", "deep/"],
    )
    assert completion("closed/deep/z") == ("closed/deep/Zebra.png", [])
    assert completion(".h") == (".hidden/", [])
    assert completion("notes") == ("notes", []) and completion("/not/here/x") == ("/not/here/x", [])


# Sources.


async def test_what_was_asked_about_lately_is_chosen_again(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        paste(app, folder / "img_2.png")
        await until(pilot, lambda: "img_2.png · the image" in shown(app))
        await type_in(pilot, "why")
        await pilot.press("enter")
        await until(pilot, lambda: "confidence" in shown(app))
        await pilot.press("escape", "s")
        await until(pilot, lambda: "recent images  1 that you asked about" in shown(app))
        await type_in(pilot, "recent images")
        await pilot.press("enter")
        await until(pilot, lambda: "Recent images" in shown(app) and "1 image" in subtitle(app))
        assert app.screen.query_one(ImageList).path == folder / "img_2.png"
        await pilot.press("s")
        await until(pilot, lambda: "the benchmark's 1,000 test images" in shown(app))
        await type_in(pilot, "easy")
        await pilot.press("enter")
        await until(pilot, lambda: "1,000 images" in subtitle(app))


class QuickImages:
    """Reads the images that a test chooses, instead of a run's data."""

    def __init__(self, splits: dict[str, list[Path]]) -> None:
        self.splits = splits
        self.asked: list[str] = []
        self.replies: queue.Queue[DataImagesReply] = queue.Queue()

    def start(self) -> None:
        pass

    def ask(self, request: DataImagesRequest) -> None:
        self.asked.append(request.split)
        question = AskedQuestion(f"which {request.split} image is it?", ("this",), "which", "other")
        images = tuple(WireEntry(os.fsencode(path), (question,)) for path in self.splits[request.split])
        known = tuple(self.splits)
        self.replies.put(DataImagesReply(id=request.id, activity="reading", done_rows=1000))
        self.replies.put(DataImagesReply(id=request.id, images=images, splits=known, activity="reading"))
        self.replies.put(DataImagesReply(id=request.id, splits=known, state=HelperState.READY))

    def read(self) -> DataImagesReply:
        return self.replies.get()

    def close(self) -> None:
        self.replies.put(DataImagesReply(state=HelperState.ENDED))


async def test_asking_a_run_offers_the_images_of_its_own_data(
    answers: QuickAnswers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = QuickImages({"train": [folder / "img_2.png"], "validation": [folder / "img_10.png"]})
    monkeypatch.setattr(run_data, "_make_process", lambda: images)
    run = RunFolder.create("vqa", {**preset_settings("tiny"), "data": {"source": str(folder)}})
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        app.ask_about(run.id)
        await until(pilot, lambda: f"data of {run.id}" in shown(app) and "img_10.png · the image" in shown(app))
        assert "split:validation" in shown(app) and "1 of 1" in subtitle(app) and images.asked == ["validation"]
        assert "· which validation image is it?" in shown(app)
        await pilot.press("escape")  # no filter: all splits
        await until(pilot, lambda: "2 images" in subtitle(app) and images.asked == ["validation", "train"])
        await pilot.press("slash")
        await type_in(pilot, "split:train")
        await until(pilot, lambda: "1 of 2" in subtitle(app) and "img_2.png · the image" in shown(app))
        await pilot.press("enter", "f")
        await until(pilot, lambda: "/root ─" in shown(app))
        await pilot.press("f")
        await until(pilot, lambda: f"data of {run.id}" in shown(app) and "1 of 2" in subtitle(app))


async def test_asking_a_run_of_the_benchmark_keeps_the_list(answers: QuickAnswers) -> None:
    run = RunFolder.create("vqa", preset("tiny"))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        app.ask_about(f"{run.id}:checkpoint-20")
        await until(pilot, lambda: f"model: {run.id}" in shown(app))
        await pilot.pause()
        assert "easy-VQA test images" in shown(app)


async def test_data_that_cannot_be_read_is_a_sentence(
    answers: QuickAnswers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = QuickImages({})
    images.ask = lambda request: images.replies.put(  # type: ignore[method-assign]
        DataImagesReply(id=request.id, error="there is no data '[b]x'", state=HelperState.READY)
    )
    monkeypatch.setattr(run_data, "_make_process", lambda: images)
    run = RunFolder.create("vqa", {**preset_settings("tiny"), "data": {"source": str(folder)}})
    app = make_app(answers)
    async with app.run_test(size=(200, 60)) as pilot:
        app.ask_about(run.id)
        await until(pilot, lambda: "there is no data '[b]x'" in shown(app))


def preset_settings(name: str) -> dict[str, Any]:
    from looptop.engine.config import to_dict

    return to_dict(preset(name))


# The gallery.


async def test_the_gallery_fills_the_screen_with_thumbnails(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        for size in ((80, 24), (120, 40), (200, 60)):
            await resize(pilot, *size)
            await pilot.press("p")
            await until(pilot, lambda: "·" not in "".join(shown(app).splitlines()[2:-3]) and "3.png" in shown(app))
            lines = shown(app).splitlines()
            assert "Question" not in "\n".join(lines) and "0.png · red triangle · 1 of 1,000" in lines[-3]
            columns = max(line.count("▄" * 12) for line in lines)
            captions = [line for line in lines if ".png" in line]
            assert columns >= (size[0] - 3) // 15 and len(captions) - 1 >= (size[1] - 5) // 8
            await pilot.press("plus")
            await until(pilot, lambda: any("▄" * 15 in line for line in shown(app).splitlines()))
            await pilot.press("minus", "escape")
            await until(pilot, lambda: "Question" in shown(app))
            assert app.focused is app.screen.query_one(ImageList)


async def test_keys_and_mouse_move_in_the_gallery(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("p", "right", "down")
        gallery = app.screen.query_one(Gallery)
        assert gallery.cursor == 9  # eight beside one another
        await pilot.press("left", "up", "h", "k", "l")
        assert gallery.cursor == 1
        await pilot.press("end")
        await until(pilot, lambda: "999.png" in shown(app))
        await pilot.press("down", "right")
        assert gallery.cursor == 999
        await pilot.press("home", "pagedown", "pageup")
        assert gallery.cursor == 0
        await pilot.click(Gallery, offset=(20, 2))
        assert gallery.cursor == 1
        await pilot.press("enter")
        await until(pilot, lambda: "1.png · the image" in shown(app))
        assert app.focused is app.screen.query_one("#question")
        await pilot.press("escape", "p")
        await pilot.click(Gallery, offset=(5, 2), times=2)
        await until(pilot, lambda: "0.png · the image" in shown(app))


async def test_a_broken_image_is_a_mark_with_its_reason(answers: QuickAnswers, folder: Path) -> None:
    (folder / "a broken.png").write_bytes(b"no image")
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: "✗" in shown(app))
        await pilot.press("p", "right", "right")
        await until(pilot, lambda: "✗ a broken.png is not an image that looptop can read" in shown(app))


async def test_folders_open_in_the_gallery(answers: QuickAnswers, folder: Path) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: "▸ closed" in shown(app))
        await pilot.press("p", "enter")
        await until(pilot, lambda: "▾ folder" in shown(app) and "ant.png" in shown(app))
        await pilot.press("slash")
        await type_in(pilot, "zebra")
        await until(pilot, lambda: "Zebra.png · in closed/deep · 1 of 1" in shown(app))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "Zebra.png · the image" in shown(app))
