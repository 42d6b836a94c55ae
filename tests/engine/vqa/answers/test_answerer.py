"""Answers with their confidence, candidates and tokens; what a person can get wrong."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.answers.records import END
from looptop.engine.vqa.confidence.answer_checks import AnswerChecks
from looptop.engine.vqa.confidence.training_notes import Calibration
from tests.factories.vqa import QUESTIONS, pictures, save, tiny_model


@pytest.fixture(params=["mean", "tokens"])
def answerer(request: pytest.FixtureRequest, tmp_path: Path) -> Answerer:
    return Answerer(*tiny_model(tmp_path / "parts", request.param), name="tiny")


@pytest.mark.parametrize("temperature", [None, 0.5, 3.0])
def test_an_answer_is_its_first_candidate_and_its_tokens_make_its_confidence(
    answerer: Answerer, temperature: float | None
) -> None:
    if temperature is not None:
        kept = Calibration(temperature=temperature, questions=1, raw_error=0, error=0)
        answerer = Answerer(answerer.model, answerer.processor, "tiny", checks=AnswerChecks(kept))
    for image, question in zip(pictures(), QUESTIONS, strict=True):
        answer = answerer.answer(image, question, top=5)
        confidences = [candidate.confidence for candidate in answer.candidates]

        assert (answer.answer, answer.confidence) == (answer.candidates[0].answer, confidences[0])
        assert len({candidate.answer for candidate in answer.candidates}) == 5
        assert all(one >= other for one, other in itertools.pairwise(confidences))
        assert math.fsum(confidences) <= 1
        assert math.fsum(candidate.raw_confidence for candidate in answer.candidates) <= 1
        assert answer.calibrated is (temperature is not None)
        assert answer.tokens[-1].token == END and len(answer.tokens) > 1
        product = math.prod(token.probability for token in answer.tokens)
        assert answer.raw_confidence == answer.candidates[0].raw_confidence == pytest.approx(product, rel=1e-9)
        assert "".join(token.token for token in answer.tokens[:-1]).strip() == answer.answer
        for token in answer.tokens:
            probabilities = [other.probability for other in token.others]
            assert len(probabilities) == 3 and probabilities == sorted(probabilities, reverse=True)
            assert token.probability + sum(probabilities) <= 1
        assert answer.model == "tiny" and answer.seconds > 0


def test_the_raw_confidence_is_the_probability_of_exactly_this_answer_with_its_end(answerer: Answerer) -> None:
    model, processor = answerer.model, answerer.processor
    answer = answerer.answer(pictures()[1], QUESTIONS[1])
    ids, mask = processor.questions([QUESTIONS[1]])
    # Teacher-forced through the training path: the loss is the mean of minus the log-probabilities.
    tokens = list(answerer_tokens(answerer, QUESTIONS[1]))
    labels = torch.tensor([[*tokens, processor.end_id]])
    decoder_ids = torch.tensor([[processor.begin_id, *tokens]])
    with torch.no_grad():
        loss = model(ids, mask, processor.images(pictures()[1:2]), decoder_ids, labels).loss
    assert math.exp(-float(loss) * labels.shape[1]) == pytest.approx(answer.raw_confidence, rel=1e-4)


def answerer_tokens(answerer: Answerer, question: str) -> tuple[int, ...]:
    from looptop.engine.vqa.model.decoding import best_answers

    ids, mask = answerer.processor.questions([question])
    with torch.no_grad():
        memory, memory_mask = answerer.model.encode(ids, mask, answerer.processor.images(pictures()[1:2]))
    decode = answerer.processor.decode
    (search,) = best_answers(answerer.model, memory, memory_mask, 0, answerer.processor.end_id, decode)
    return search.results()[0].tokens


def test_a_question_gets_the_same_answer_alone_and_in_any_batch(answerer: Answerer) -> None:
    images = pictures() * 20
    questions = [QUESTIONS[(row * 3) % 4] for row in range(len(images))]
    for top in (1, 4):
        together = answerer.answer_batch(images, questions, top=top)
        assert len(together) == 80
        for row in (0, 1, 2, 3, 41, 79):
            alone = answerer.answer(images[row], questions[row], top=top)
            assert alone.answer == together[row].answer
            assert alone.confidence == pytest.approx(together[row].confidence, abs=1e-5)
            assert [c.answer for c in alone.candidates] == [c.answer for c in together[row].candidates]
            for one, other in zip(alone.tokens, together[row].tokens, strict=True):
                assert one.token == other.token
                assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_a_prepared_image_gets_the_same_answer(answerer: Answerer) -> None:
    image = pictures()[0]
    prepared = answerer.processor.images([image])
    assert answerer.answer_prepared(prepared, QUESTIONS[0]).answer == answerer.answer(image, QUESTIONS[0]).answer


def test_a_saved_model_answers_as_before_and_goes_by_its_folder(answerer: Answerer, tmp_path: Path) -> None:
    folder = save(answerer.model, answerer.processor, tmp_path / "model")
    picture = tmp_path / "picture.png"
    pictures()[2].save(picture)

    loaded = Answerer.load(str(folder), device="cpu")
    assert loaded.model.dtype == torch.float32 and not loaded.model.training
    answer = loaded.answer(picture, QUESTIONS[0], top=3)
    expected = answerer.answer(pictures()[2], QUESTIONS[0], top=3)
    assert answer.answer == expected.answer
    assert answer.confidence == pytest.approx(expected.confidence, abs=1e-6)
    assert answer.model == str(folder)


def test_a_model_saved_in_half_precision_answers_in_full(answerer: Answerer, tmp_path: Path) -> None:
    folder = save(answerer.model.bfloat16(), answerer.processor, tmp_path / "model")
    assert Answerer.load(str(folder), device="cpu").model.dtype == torch.float32


# What a person can get wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question_is_an_error(answerer: Answerer, question: str) -> None:
    with pytest.raises(LooptopError, match="question is empty"):
        answerer.answer(pictures()[0], question)


def test_a_question_that_is_too_long_is_an_error_and_not_cut_silently(answerer: Answerer) -> None:
    with pytest.raises(LooptopError, match=r"\d,\d\d\d tokens .*, more than the 24 that the model reads"):
        answerer.answer(pictures()[0], "is there a circle? " * 527)


@pytest.mark.parametrize("question", ["图中有什么", "[bold]red[/bold]?", "\x1b[2J\x1b]0;x\x07", "\ud800?", "🙂" * 5])
def test_any_other_question_is_answered(answerer: Answerer, question: str) -> None:
    assert 0 < answerer.answer(pictures()[0], question).confidence <= 1


def test_no_candidates_are_an_error(answerer: Answerer) -> None:
    with pytest.raises(LooptopError, match="at least one candidate"):
        answerer.answer(pictures()[0], QUESTIONS[0], top=0)


def test_images_and_questions_must_be_as_many(answerer: Answerer) -> None:
    with pytest.raises(ValueError, match="4 images and 1 question"):
        answerer.answer_batch(pictures(), QUESTIONS[:1])


def test_a_missing_image_is_an_error(answerer: Answerer, tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match=r"nothing\.png"):
        answerer.answer(tmp_path / "nothing.png", QUESTIONS[0])


def damaged(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif how == "no weights":
        weights.unlink()
    elif how == "empty":
        weights.write_bytes(b"")
    elif how == "a tensor is missing":
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        del tensors["text_projection.weight"]
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "no tokenizer":
        shutil.rmtree(folder / "answer_tokenizer")


@pytest.mark.parametrize("how", ["truncated", "no weights", "empty", "a tensor is missing", "no tokenizer"])
def test_a_damaged_model_is_one_sentence(tmp_path: Path, how: str) -> None:
    folder = save(*tiny_model(tmp_path / "parts"), tmp_path / "model")
    damaged(folder, how)
    with pytest.raises(LooptopError) as error:
        Answerer.load(str(folder), device="cpu")
    assert "\n" not in str(error.value) and "model" in str(error.value)


def test_an_unknown_device_is_an_error(tmp_path: Path) -> None:
    folder = save(*tiny_model(tmp_path / "parts"), tmp_path / "model")
    with pytest.raises(LooptopError, match="device is 'tpu'"):
        Answerer.load(str(folder), device="tpu")


def test_answers_never_pass_the_decoders_positions(tmp_path: Path) -> None:
    model, processor = tiny_model(tmp_path)
    assert Answerer(model, processor).max_tokens == 15
    assert Answerer(model, processor, max_tokens=3).max_tokens == 3


def test_answers_are_json(answerer: Answerer) -> None:
    import msgspec

    answer: Any = answerer.answer(pictures()[0], QUESTIONS[0])
    assert msgspec.json.decode(msgspec.json.encode(answer), type=type(answer)) == answer
