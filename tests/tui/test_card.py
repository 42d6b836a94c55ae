"""The card of a model on the Ask screen, and an answer of a model that is no longer the chosen one."""

from __future__ import annotations

from pathlib import Path

import pytest

from looptop.engine.vqa.evaluation.records import Checkpoint, CheckpointKind, Estimate, Evaluation
from looptop.engine.vqa.model_card import ModelCard, ModelPart, TrainedRun
from looptop.tui.ask.card import card_text
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import shown, until


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_c_shows_the_card_of_the_model(answers: QuickAnswers, size: tuple[int, int]) -> None:
    app = make_app(answers)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "model: bundled · ready" in shown(app))
        await pilot.press("c")
        await until(pilot, lambda: "Card of bundled" in shown(app) and "What it is made of" in shown(app))
        assert "distilbert, width 96, 2 layers" in shown(app)
        if size[1] < 40:
            await pilot.press("pagedown")
        await until(pilot, lambda: "2,000 training images to compare" in shown(app))
        await pilot.press("end")
        await until(pilot, lambda: "Apache-2.0" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Card of bundled" not in shown(app))


def test_values_stay_beside_their_names_in_a_small_terminal() -> None:
    part = ModelPart("text encoder", "distilbert", 96, 2)
    lines = card_text(card(parts=(part,)), 34).plain.split("\n")
    shown_part = lines[lines.index("What it is made of") + 1 :][:2]
    assert [line.split(maxsplit=1)[0] for line in shown_part] == ["text", "width"]
    assert all(len(line.rstrip()) <= 34 for line in shown_part) and shown_part[1].startswith(" " * 18)


async def test_the_card_of_a_model_that_is_gone_is_one_sentence(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "model: bundled · ready" in shown(app))
        app.ask_about("vqa-77[b]")
        await pilot.press("escape", "c")
        await until(pilot, lambda: "Card of vqa-77[b]" in shown(app) and "there is no model 'vqa-77[b]'" in shown(app))


def card(**changes: object) -> ModelCard:
    known: dict[str, object] = {
        "name": "vqa-3",
        "folder": Path("/models/vqa-3"),
        "checkpoint": Checkpoint(CheckpointKind.BEST, 80),
        "fusion": "mean",
        "parts": (ModelPart("decoder", "gpt2[/b]", None, None),),
        "parameters": 1234,
        "run": None,
        "evaluations": (),
        "calibration": None,
        "words": None,
        "images": None,
        "text": "",
    }
    return ModelCard(**(known | changes))  # type: ignore[arg-type]


def test_figures_say_what_they_are_of() -> None:
    run = TrainedRun(id="vqa-3", state="finished", test_accuracy=0.505, validation_accuracy=0.195, question_only=0.67)
    evaluation = Evaluation(
        id="1",
        model="vqa-3",
        weights="0",
        checkpoint=Checkpoint(CheckpointKind.BEST, 80),
        source="easy-vqa",
        split="test",
        when=0.0,
        seconds=1.0,
        accuracy=Estimate(0.5, 9673, 1000, 0.48, 0.52),
        exact=Estimate(0.5, 9673, 1000),
        calibration_error=0.031,
    )
    text = card_text(card(run=run, evaluations=(evaluation,)), 100).plain
    assert "best checkpoint, step 80" in text
    for figure in ("50.50 % accuracy", "19.50 % accuracy", "67.00 % accuracy on validation"):
        assert figure in text
    assert "looptop eval on easy-vqa:test" in text
    assert "50.00 % (48.00 to 52.00 %), 9,673 questions" in text and "error 3.10 %" in text


@pytest.mark.parametrize("width", [60, 100])
def test_no_value_is_wrapped_below_its_name(width: int) -> None:
    run = TrainedRun(id="vqa-3", state="finished", made_from="one/long-name, another/long-name, a/third-name")
    rows = [row.plain for row in card_text(card(run=run, folder=Path("/a" * 60)), width).split("\n")]
    start = next(number for number, row in enumerate(rows) if row.startswith(" folder"))
    value = rows[start][18:]
    while rows[start + 1]:
        start += 1
        assert rows[start].startswith(" " * 18)
        value += rows[start][18:]
    assert value == "/a" * 60
    assert max(len(row) for row in rows) <= width


def test_a_readme_is_wrapped_by_the_terminal_and_keeps_its_parts() -> None:
    readme = "# Title\none\ntwo\n\n- first\n  goes on\n- second\n\n```\na  b\n# c\n```\n| x | y |\nend\n"
    text = card_text(card(text=readme), 100).plain
    assert "Title\none two\n\n- first goes on\n- second\n\na  b\n# c\n| x | y |\nend" in text


def test_a_model_from_elsewhere_says_what_is_not_known_of_it() -> None:
    text = card_text(card(text="# A \x1b[31mcard\n[b]bold", troubles=("its weights are damaged",)), 100).plain
    assert "raw: this model was saved without a calibration" in text
    assert "which words are unknown" in text and "which images are unfamiliar" in text
    assert "gpt2[/b]" in text and "A ␛[31mcard\n[b]bold" in text and "its weights are damaged" in text
    assert "not evaluated here yet" in text
