from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest
from textual import events
from textual.widgets import Input, Static

from looptop.engine.helpers.answers import AskReply, AskRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.vqa.answers.records import Candidate, OtherToken, TokenProbability
from looptop.engine.vqa.confidence.doubts import Check, Doubt, UnfamiliarImage, UnknownWords
from looptop.tui.app import LooptopApp
from looptop.tui.ask.answers.answer_view import AnswerView
from looptop.tui.ask.images.thumbnail_list import ImageList
from looptop.tui.ask.screen import AskScreen
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers, answer_of
from tests.tui.ask_helpers import ask, reply_with, until_shown
from tests.tui.conftest import resize, shown, until

SIZE = (120, 40)


async def test_it_opens_on_ask_with_the_first_image_what_may_be_asked_and_a_loaded_model(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "0.png · the image" in shown(app))
        text = shown(app)
        assert "▄▄▄▄" in text
        assert "what is the red shape?" in text
        assert app.screen.focused is not None and app.screen.focused.id == "images"
        await until(pilot, lambda: "model: bundled · ready" in shown(app))
        assert [(request.model, request.image) for request in answers.asked] == [("bundled", "")]


async def test_an_answer_comes_with_confidence_candidates_tokens_and_the_truth(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what is the color of the shape?")
        await until(pilot, lambda: "confidence" in shown(app))
        text = shown(app)
        assert "red  75.0% confidence" in text
        assert "the data says: red" in text
        assert "blue" in text and "20.0%" in text
        assert "<end> 94.0%" in text
        assert app.focused is app.screen.query_one("#question")
        assert answers.asked[-1].image.endswith("0.png")


async def test_other_tokens_stand_beside_those_of_the_answer(answers: QuickAnswers) -> None:
    red = TokenProbability(
        " red", 0.5, [OtherToken(" crimson", 0.25), OtherToken("[b]", 0.125), OtherToken("<end>", 0.01)]
    )
    answer = msgspec.structs.replace(answer_of("red"), tokens=[red, TokenProbability("<end>", 0.94)])
    reply_with(answers, answer)
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await ask(pilot, "what is the color of the shape?")
        for size in ((80, 24), (120, 40)):
            await resize(pilot, *size)
            await until(pilot, lambda: "or crimson" in shown(app))
            lines = str(app.screen.query_one("#answer-text", Static).render()).splitlines()
            first = next(index for index, line in enumerate(lines) if line.startswith("red 50.0%"))
            assert "  ".join(lines[first:]).startswith(
                "red 50.0%  or crimson 25.0%  or [b] 12.5%  or <end> 1.0%  <end> 94.0%"
            )
            assert len(lines) > first + 1 and "<end> 94.0%" in lines


async def test_earlier_questions_stay_and_are_shown_again_with_their_image(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first?")
        await until(pilot, lambda: "confidence" in shown(app))
        app.screen.query_one(ImageList).focus()
        await pilot.press("down")
        await until(pilot, lambda: "1.png · the image" in shown(app))
        reply_with(answers, answer_of("teal"))
        await ask(pilot, "second?")
        await until(pilot, lambda: "teal  75.0%" in shown(app))
        assert "first?" in shown(app)
        app.screen.query_one("HistoryTable").focus()
        await pilot.press("down", "enter")
        await until(pilot, lambda: "red  75.0%" in shown(app) and "0.png · the image" in shown(app))


async def test_printable_keys_type_in_the_question_and_work_outside_it(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        field = app.screen.query_one("#question", Input)
        await pilot.press("a", "2", "q", "question_mark", "slash", "d")
        assert field.value == "2q?/d"
        assert app.current_mode == "ask"
        assert "leave field" in shown(app).splitlines()[-1]
        await pilot.press("escape")
        assert app.focused is app.screen.query_one(AnswerView)
        assert "quit" in shown(app).splitlines()[-1]
        await pilot.press("2")
        await until(pilot, lambda: app.current_mode == "train")
        await pilot.press("alt+1")
        await until(pilot, lambda: app.current_mode == "ask")


@pytest.mark.parametrize(("key", "mode"), [("question_mark", "ask"), ("2", "train"), ("3", "ppo"), ("4", "runs")])
async def test_the_keys_of_the_top_line_work_at_once(answers: QuickAnswers, key: str, mode: str) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(key)
        shows_help = key == "question_mark"
        await until(
            pilot,
            lambda: app.current_mode == mode and ("Choose the model that answers" in shown(app)) == shows_help,
        )
        await pilot.press("escape" if shows_help else "alt+1")
        await until(pilot, lambda: app.current_mode == "ask" and "Choose the model that answers" not in shown(app))


async def test_what_is_typed_after_an_answer_is_the_next_question(answers: QuickAnswers) -> None:
    app = make_app(answers)
    names = {" ": "space", ":": "colon", "?": "question_mark"}
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("enter")
        for number, question in enumerate(("first", "what colour is it", "query: why?", "4 of them?", "door")):
            reply_with(answers, answer_of(f"answer-{number}"))
            await pilot.press(*(names.get(char, char) for char in question), "enter")
            await until_shown(pilot, f"answer-{number}  75.0% confidence")
            assert answers.asked[-1].question == question
            assert app.current_mode == "ask" and app.is_running and not app._exit


async def test_enter_that_is_held_asks_once(answers: QuickAnswers) -> None:
    app = make_app(answers)
    answers.answer = lambda request: AskReply(id=request.id, activity="loading")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", *"what", "enter", "enter", "enter")
        await until(pilot, lambda: [request for request in answers.asked if request.image] and "loading" in shown(app))
        assert [request.question for request in answers.asked if request.image] == ["what"]


async def test_quitting_asks_only_where_a_question_was_not_asked(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first?")
        await until(pilot, lambda: "confidence" in shown(app))
        await pilot.press("a", *"half", "escape", "q")
        await until(pilot, lambda: "Not kept: a question that you have not asked." in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Not kept" not in shown(app))
        assert not app._exit
        app.screen.query_one("#question", Input).value = ""
        await pilot.press("escape", "q")
        await until(pilot, lambda: app._exit)


async def test_f1_helps_in_a_field_and_the_question_mark_outside(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f1")
        await until(pilot, lambda: "Choose the model that answers" in shown(app))
        await pilot.press("escape")
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: "Choose the model that answers" in shown(app))


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_quitting(answers: QuickAnswers, key: str) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: answers.asked)
        await pilot.press("escape", key)
        await until(pilot, lambda: not app.is_running or app._exit)
    assert answers.closed


async def test_ctrl_c_leaves_from_within_a_field(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("h", "ctrl+c")
        await until(pilot, lambda: app._exit)


async def test_text_from_outside_is_shown_letter_by_letter(answers: QuickAnswers) -> None:
    app = make_app(answers)
    texts = ["[/b]", "[b]bold", "[@click=app.quit]x[/]", "\x1b]0;evil\x07\x1b[2J", "形状是什么", "a\u202eb", "[" * 500]
    async with app.run_test(size=(160, 48)) as pilot:
        for number, text in enumerate(texts):
            reply_with(answers, answer_of(text, 0.5 + number / 100))
            await ask(pilot, text)
            await until_shown(pilot, f"{50 + number}.0%")
            screen = shown(app)
            assert "\x1b" not in screen and "\u202e" not in screen
            if text.startswith("["):
                assert text[:12] in screen
            assert app.is_running


async def test_an_empty_question_is_one_sentence_and_an_empty_answer_is_drawn_as_empty(answers: QuickAnswers) -> None:
    app = make_app(answers)
    reply_with(answers, answer_of(""))
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "   ")
        await until(pilot, lambda: "type a question first" in shown(app))
        assert all(not request.image for request in answers.asked)
        await ask(pilot, "what?")
        await until(pilot, lambda: "(empty)  75.0% confidence" in shown(app))
        await until(pilot, lambda: shown(app).count("(empty)") == 3)  # the answer, its candidate, the history


async def test_an_error_is_a_sentence_and_the_app_goes_on(answers: QuickAnswers) -> None:
    app = make_app(answers)
    answers.answer = lambda request: AskReply(id=request.id, error="the image [/x] is \x1b empty")
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what?")
        await until(pilot, lambda: "the image [/x] is ␛ empty" in shown(app))
        reply_with(answers, answer_of("teal"))
        await ask(pilot, "what now?")
        await until(pilot, lambda: "teal  75.0%" in shown(app))


async def test_a_question_of_ten_thousand_characters(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "why " * 2500)
        await until(pilot, lambda: "confidence" in shown(app))
        assert len(answers.asked[-1].question) == 9999


async def test_pasted_lines_are_one_question(answers: QuickAnswers) -> None:
    app = make_app(answers)
    texts = (
        "what shape\nis in\r\n\nthe image?\n",
        "what shape\ris in\rthe image?",
        "what\tshape\a is\nin the\x9b image?",
    )
    async with app.run_test(size=SIZE) as pilot:
        field = app.screen.query_one("#question", Input)
        for text, focus in itertools.product(texts, ("question", "images")):
            field.value = ""
            app.screen.query_one(f"#{focus}").focus()
            app.post_message(events.Paste(text))
            await until(pilot, lambda: field.value == "what shape is in the image?")
            await until(pilot, lambda: app.focused is field)


async def test_a_bad_image_is_one_sentence(answers: QuickAnswers, tmp_path: Path) -> None:
    app = make_app(answers)
    cases = (
        (None, "there is no image"),
        (b"", "is empty"),
        (b"no image", "not an image"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC is not supported; convert it to"),
    )
    async with app.run_test(size=SIZE) as pilot:
        for number, (data, sentence) in enumerate(cases):
            path = tmp_path / f"bad-{number}.png"
            if data is not None:
                path.write_bytes(data)
            await pilot.press("escape", "o")
            await until(pilot, lambda: app.screen.query("#path"))
            app.screen.query_one("#path", Input).value = str(path)
            await pilot.press("enter")
            # The sentence may take several lines of the middle panel.
            await until(pilot, lambda sentence=sentence: sentence in " ".join(" ".join(middle(shown(app))).split()))  # type: ignore[misc]


def middle(screen: str) -> list[str]:
    """The lines of the panel between the other two."""
    return [line.split("││")[1] for line in screen.splitlines() if line.count("││") == 2]


async def test_suggestions_fill_the_question_by_arrows_and_by_a_click(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        field = app.screen.query_one("#question", Input)
        await pilot.press("a", "down")
        assert field.value == "what is the red shape?"
        await pilot.press("down")
        assert field.value == "what is the color of the triangle?"
        await pilot.press("up")
        assert field.value == "what is the red shape?"
        app.screen.query_one(ImageList).focus()
        await until(pilot, lambda: "what is the color of the triangle?" in shown(app))
        lines = shown(app).splitlines()
        y = next(number for number, line in enumerate(lines) if "what is the color of the triangle?" in line)
        await pilot.click(offset=(lines[y].index("color of"), y))
        await until(pilot, lambda: field.value == "what is the color of the triangle?" and field.has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: answers.asked[-1].question == "what is the color of the triangle?")


async def test_an_answer_that_comes_after_another_image_was_chosen_ends_the_waiting(answers: QuickAnswers) -> None:
    app = make_app(answers)
    answers.answer = lambda request: AskReply(id=request.id, activity="loading")
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first?")
        await until(pilot, lambda: answers.asked[-1].question == "first?")
        app.screen.query_one(ImageList).focus()
        await pilot.press("down")
        await until(pilot, lambda: "1.png · the image" in shown(app))
        await until(pilot, lambda: "The data's questions about" not in shown(app))  # the seconds of waiting are counted
        answers.replies.put(AskReply(id=answers.asked[-1].id, answer=answer_of("teal")))
        await until(pilot, lambda: "teal" in shown(app))  # among the earlier questions
        await until(pilot, lambda: "The data's questions about" in shown(app))


async def test_another_model_answers(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: answers.asked)
        await pilot.press("escape", "m")
        await until(pilot, lambda: "bundled with looptop" in shown(app))
        await pilot.press("escape")
        screen = app.screen
        assert isinstance(screen, AskScreen)
        screen.use("vqa-3")
        await until(pilot, lambda: "model: vqa-3 · ready" in shown(app))
        await ask(pilot, "what?")
        await until(pilot, lambda: answers.asked[-1].model == "vqa-3" and answers.asked[-1].image)


async def test_an_answer_stands_under_the_model_that_gave_it(answers: QuickAnswers) -> None:
    app = make_app(answers)
    names = iter(["vqa-2", "vqa-3:checkpoint-[b]40"])

    def answer(request: AskRequest) -> AskReply:
        return AskReply(id=request.id, answer=msgspec.structs.replace(answer_of("red"), model=next(names)))

    answers.answer = answer
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first?")
        await until(pilot, lambda: "Answer of vqa-2" in shown(app))
        screen = app.screen
        assert isinstance(screen, AskScreen)
        screen.use("vqa-3")
        await until(pilot, lambda: "model: vqa-3 · ready" in shown(app))
        await until(pilot, lambda: "answered by vqa-2, not by vqa-3" in shown(app))
        assert "Answer of vqa-2" in shown(app), "the answer is still the other model's"
        await ask(pilot, "second?")
        await until(pilot, lambda: "Answer of vqa-3:checkpoint-[b]40" in shown(app))
        await until(pilot, lambda: row_of(app, "vqa-2", "first?") and row_of(app, "vqa-3:checkpo…", "second?"))
        app.screen.query_one(AnswerView).show_error("no")
        await until(pilot, lambda: "Answer of" not in shown(app))


def row_of(app: LooptopApp, model: str, question: str) -> bool:
    """Whether an earlier question stands in a row with the model that answered it."""
    return any(model in line and question in line and "red" in line for line in shown(app).splitlines())


async def test_what_is_left_for_other_answers_is_shown(answers: QuickAnswers) -> None:
    cases: list[tuple[tuple[float, ...], bool, str, bool]] = [
        ((1.0, 0.0, 0.0), False, "", False),
        ((0.9999, 0.0, 0.0), False, "", False),
        ((1e-6, 1e-7, 1e-8), False, ">99.9%", True),
        ((0.7, 0.069), True, "23.1%", False),
        ((0.7, 0.069), False, "23.1%", False),
        ((0.0, 0.0), False, "100.0%", True),
        ((0.2, 0.1), False, "70.0%", True),
        ((0.2, 0.1), True, "70.0%", False),
    ]
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        for case, (confidences, exact, shown_rest, undecided) in enumerate(cases):
            candidates = [Candidate(f"answer-{case}-{number}", each, each) for number, each in enumerate(confidences)]
            answer = msgspec.structs.replace(
                answer_of(f"answer-{case}-0", confidences[0]),
                raw_confidence=confidences[0],
                candidates=candidates,
                exact=exact,
            )
            reply_with(answers, answer)
            await ask(pilot, "what?")
            await until_shown(pilot, f"answer-{case}-1")
            lines = [line for line in shown(app).splitlines() if "other answers" in line]
            assert len(lines) == bool(shown_rest), cases[case]
            assert all(shown_rest in line for line in lines), cases[case]
            assert ("undecided" in shown(app)) is undecided, cases[case]


async def test_small_candidates_are_not_zero_and_sure_ones_are_not_certain(answers: QuickAnswers) -> None:
    candidates = [Candidate("circle", 0.99999, 1.0), Candidate("red", 1e-6, 0.0)]
    answer = msgspec.structs.replace(
        answer_of("circle", 0.99999), raw_confidence=1.0, candidates=candidates, tokens=answer_of("circle").tokens
    )
    reply_with(answers, answer)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what?")
        await until(pilot, lambda: "circle  >99.9% confidence" in shown(app))
        assert " <0.1%" in shown(app)


async def test_a_key_changes_between_calibrated_and_raw_confidence(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what?")
        await until(pilot, lambda: "red  75.0% confidence" in shown(app))
        await pilot.press("escape", "percent_sign")
        await until(pilot, lambda: "red  90.0% raw confidence" in shown(app))
        assert "8.0%" in shown(app) and "2.0%" in shown(app), "the candidate's and all others' are raw, too"
        await pilot.press("percent_sign")
        await until(pilot, lambda: "red  75.0% confidence" in shown(app))


async def test_a_model_without_notes_says_that_its_confidence_is_raw_and_what_is_unchecked(
    answers: QuickAnswers,
) -> None:
    answer = msgspec.structs.replace(answer_of("red", 0.9), calibrated=False, unchecked=list(Check))
    reply_with(answers, answer)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what?")
        await until(pilot, lambda: "red  90.0% raw confidence" in shown(app))
        assert "unchecked: unknown words, unfamiliar image" in shown(app)
        await pilot.press("escape", "percent_sign")
        await until(pilot, lambda: any("bundled is not calibrated" in note.message for note in app._notifications))
        assert "red  90.0% raw confidence" in shown(app)


async def test_doubts_stand_beside_the_answer(answers: QuickAnswers) -> None:
    doubts: list[Doubt] = [UnknownWords(["wug", "[b]zorp"]), UnfamiliarImage(0.614, 0.318)]
    answer = msgspec.structs.replace(answer_of("red"), doubts=doubts)
    reply_with(answers, answer)
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await ask(pilot, "what?")
        await until(pilot, lambda: "75.0%" in shown(app))
        for size in ((80, 24), (120, 40)):
            await resize(pilot, *size)
            await until(pilot, lambda: "2 words that its training never saw: wug, [b]zorp" in answer_text(app))
            sentence = "unlike its training images: distance 0.61, while 99 % of its validation images are below 0.32"
            assert sentence in answer_text(app)


def answer_text(app: LooptopApp) -> str:
    """The words in the panel of the answer, without what stands beside it."""
    region = app.screen.query_one(AnswerView).region
    lines = shown(app).splitlines()[region.y : region.bottom]
    return " ".join(" ".join(line[region.x + 1 : region.right - 1] for line in lines).split())


async def test_nothing_is_cut_off_at_any_size(answers: QuickAnswers) -> None:
    answer = msgspec.structs.replace(answer_of("red"), unchecked=list(Check))
    reply_with(answers, answer)
    app = make_app(answers)
    async with app.run_test(size=(200, 60)) as pilot:
        await ask(pilot, "what is the color of the shape?")
        await until(pilot, lambda: "confidence" in shown(app))
        for size in ((200, 60), (120, 40), (80, 24)):
            await resize(pilot, *size)
            await until(pilot, lambda: "confidence" in shown(app) and "bundled · 10 ms" in shown(app))
            for region in (widget.region for widget in app.screen.children if widget.display):
                assert region.right <= size[0] and region.bottom <= size[1]
            assert "unchecked: words, image" in shown(app) or "unchecked: unknown words, unfamiliar image" in shown(app)
            theme = app.theme
            app.action_theme()
            await until(pilot, lambda theme=theme: app.theme != theme)  # type: ignore[misc]
            assert "confidence" in shown(app)


async def test_a_model_that_does_not_load_is_not_shown_as_loading(answers: QuickAnswers) -> None:
    def ask(request: AskRequest) -> None:
        if request.model == "bundled":
            answers.replies.put(AskReply(id=request.id, state=HelperState.READY))
            return
        answers.replies.put(AskReply(id=request.id, activity="loading vqa-7"))
        answers.replies.put(AskReply(id=request.id, error="vqa-7 has no model", state=HelperState.READY))

    answers.ask = ask  # type: ignore[method-assign, assignment]
    app = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "bundled · ready" in shown(app))
        app.ask_about("vqa-7")
        await until(pilot, lambda: "model: vqa-7 · it cannot be loaded; m chooses another" in shown(app))
        assert "vqa-7 has no model" in shown(app)
        app.ask_about("bundled")
        await until(pilot, lambda: "bundled · ready" in shown(app))
