"""A model's card: from the model's folder, its run and kept evaluations, whatever of these there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.models.tensor_shapes import tensor_shapes
from looptop.engine.vqa.confidence import training_notes
from looptop.engine.vqa.confidence.doubts import Check
from looptop.engine.vqa.model_card import calibrate_helps, model_card
from tests.factories.vqa import save, tiny_model
from tests.factories.vqa_runs import make_run


def test_the_bundled_model() -> None:
    card = model_card("bundled")
    assert [part.family for part in card.parts] == ["distilbert", "vit", "gpt2"]
    assert all(part.width == 96 and part.layers for part in card.parts)
    assert card.fusion == "mean" and card.run is None and card.troubles == ()
    assert card.calibration is not None and card.images == 2000 and card.words and card.words > 20
    assert "## What it cannot do" in card.text


def test_a_runs_model_has_its_runs_figures(tmp_path: Path) -> None:
    run = make_run(extra=lambda journal: journal.metrics(120, {"test_accuracy": 0.625}))
    model, processor = tiny_model(tmp_path / "parts")
    save(model, processor, run.model)
    card = model_card(run.id)
    assert card.run is not None and (card.run.id, card.run.preset) == (run.id, "tiny")
    assert card.run.source == "easy-vqa" and card.run.frozen == ("encoders",)
    assert card.run.made_from == "bundled:text_encoder, bundled:image_encoder, bundled:decoder"
    assert card.run.questions == {"train": 1000, "validation": 50}
    assert card.run.test_accuracy == 0.625
    assert card.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert (card.calibration, card.words, card.images, card.text) == (None, None, None, "")


def test_calibrating_helps_only_where_it_can_add_what_is_missing(tmp_path: Path) -> None:
    run = make_run(extra=lambda journal: journal.facts(n_validation=5000, n_validation_images=1000))
    checkpoint, both = f"{run.id}:checkpoint-60", (Check.WORDS, Check.IMAGE)
    assert not calibrate_helps("bundled", False, both)
    assert calibrate_helps(str(tmp_path), False, both), "a model from elsewhere"
    assert not calibrate_helps(str(tmp_path), True, both), "calibrated before"
    assert calibrate_helps(checkpoint, True, [Check.IMAGE]), "checkpoints never have images"
    run.model.mkdir(exist_ok=True)
    (run.model / training_notes.CONFIDENCE).touch()
    assert not calibrate_helps(checkpoint, True, [Check.IMAGE]), "its run's result has too few as well"
    assert not calibrate_helps(run.id, True, [Check.IMAGE])
    (run.model / training_notes.IMAGES).touch()
    assert calibrate_helps(checkpoint, True, [Check.IMAGE])
    assert not calibrate_helps(checkpoint, True, [Check.WORDS])


@pytest.mark.parametrize(
    ("facts", "helps"),
    [
        ({"n_validation": 5000, "n_validation_images": 100}, True),
        ({"n_validation": 5000, "n_validation_images": 99}, False),
        ({"n_validation": 100}, True),
        ({"n_validation": 99}, False),
    ],
)
def test_calibrating_helps_no_checkpoint_whose_run_has_too_few_images(facts: dict[str, int], helps: bool) -> None:
    run = make_run(extra=lambda journal: journal.facts(**facts))
    checkpoint = f"{run.id}:checkpoint-60"
    assert calibrate_helps(checkpoint, True, [Check.IMAGE]) is helps
    assert calibrate_helps(checkpoint, True, [Check.WORDS, Check.IMAGE]), "the words can still be added"
    run.db.write_bytes(b"damaged")
    assert calibrate_helps(checkpoint, True, [Check.IMAGE]), "not known"


def test_what_is_damaged_is_reported_and_costs_only_itself(tmp_path: Path) -> None:
    folder = save(*tiny_model(tmp_path / "parts"), tmp_path / "model")
    (folder / training_notes.CONFIDENCE).write_bytes(b"{")
    (folder / training_notes.IMAGES).write_bytes(b"\xff" * 20)
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "README.md").mkdir()
    card = model_card(str(folder))
    assert card.fusion == "mean" and card.parts[1].family == "vit"
    assert (card.parameters, card.calibration, card.images) == (None, None, None)
    assert len(card.troubles) == 4 and not any("\n" in trouble for trouble in card.troubles)


def test_a_model_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match="no model"):
        model_card(str(tmp_path / "nothing"))


DAMAGED = [b"", b"\x02\0\0\0\0\0\0\0[]", b"\x08\0\0\0\0\0\0\0" + b'{"a": 1}', b"\xff" * 8 + b"{"]


@pytest.mark.parametrize("content", DAMAGED)
def test_shapes_of_a_damaged_file_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(LooptopError, match="is damaged: its header"):
        tensor_shapes(file)
