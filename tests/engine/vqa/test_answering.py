"""Answers with their confidence, candidates and tokens; what the model saw; what a person can get wrong."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answer_records import END
from looptop.engine.vqa.answering import Answerer
from looptop.engine.vqa.attention_view import as_grid, patch_grid, rgb_pixels
from looptop.engine.vqa.confidence_file import Calibration
from looptop.engine.vqa.doubts import AnswerChecks
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
        assert answer.model == "tiny" and answer.seconds > 0 and answer.view is None


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
    from looptop.engine.vqa.decoding import best_answers

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
    assert (answer.answer, answer.confidence) == (expected.answer, pytest.approx(expected.confidence, abs=1e-6))
    assert answer.model == str(folder)


def test_a_model_saved_in_half_precision_answers_in_full(answerer: Answerer, tmp_path: Path) -> None:
    folder = save(answerer.model.bfloat16(), answerer.processor, tmp_path / "model")
    assert Answerer.load(str(folder), device="cpu").model.dtype == torch.float32


# What the model sees ------------------------------------------------------------------------------------------------


def test_the_view_is_the_prepared_image_and_where_it_is_looked_at(answerer: Answerer) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    answer = answerer.answer(image, QUESTIONS[0], view=True)
    view = answer.view
    assert view is not None

    assert view.size == (32, 32)
    seen = np.frombuffer(view.rgb, dtype=np.uint8).reshape(32, 32, 3)
    resampled = image.resize((32, 32), resample=answerer.processor.image_processor.resample)
    assert np.array_equal(seen, np.asarray(resampled))

    assert [len(row) for row in view.attention] == [4] * 4
    flat = [value for row in view.attention for value in row]
    assert (min(flat), max(flat)) == (0.0, 1.0)
    if answerer.model.config.fusion == "mean":
        assert view.cross_attention is None
    else:
        assert view.cross_attention is not None and len(view.cross_attention) == len(answer.tokens)
        for grid in view.cross_attention:
            assert [len(row) for row in grid] == [4] * 4
            assert max(max(row) for row in grid) == 1.0


def test_the_view_is_what_the_class_token_attends_to_in_the_last_layer(answerer: Answerer) -> None:
    image = pictures()[3].resize((32, 32))
    image.paste("yellow", (16, 8, 24, 16))
    view = answerer.answer(image, QUESTIONS[0], view=True).view
    assert view is not None
    encoder = answerer.model.image_encoder
    attention = encoder.layers[-1].attention
    with torch.no_grad():
        states = encoder.layers[-1].layernorm_before(encoder.embeddings(answerer.processor.images([image])))
        query = attention.q_proj(states)[0, 0].view(attention.num_attention_heads, -1)
        keys = attention.k_proj(states)[0].view(17, attention.num_attention_heads, -1)
        weights = torch.einsum("hd,khd->hk", query, keys).mul(attention.scaling).softmax(dim=-1).mean(dim=0)[1:]
    expected = (weights - weights.min()) / (weights.max() - weights.min())
    torch.testing.assert_close(torch.tensor(view.attention), expected.view(4, 4), atol=1e-5, rtol=1e-4)


def test_the_view_changes_neither_the_answer_nor_the_model(answerer: Answerer) -> None:
    image = pictures()[0]
    parts = (answerer.model.image_encoder, answerer.model.decoder)
    ways = [part.config._attn_implementation for part in parts]
    before = answerer.answer(image, QUESTIONS[3])
    seen = answerer.answer(image, QUESTIONS[3], view=True)
    after = answerer.answer(image, QUESTIONS[3])
    for one in (seen, after):
        assert (one.answer, one.confidence, one.candidates) == (before.answer, before.confidence, before.candidates)
    assert "eager" not in ways
    assert [part.config._attn_implementation for part in parts] == ways


def test_attention_that_is_everywhere_the_same_is_no_picture() -> None:
    assert as_grid(torch.full((4,), 0.25), 2, 2) == [[0.0, 0.0], [0.0, 0.0]]
    assert as_grid(torch.tensor([1.0, 3.0, 2.0, 1.0, 5.0, 1.0]), 2, 3) == [[0.0, 0.5, 0.25], [0.0, 1.0, 0.0]]


def test_patches_need_not_be_square() -> None:
    assert patch_grid(type("C", (), {"patch_size": 8}), 32, 64) == (4, 8)
    assert patch_grid(type("C", (), {"patch_size": (8, 16)}), 32, 64) == (4, 4)


def test_pixels_that_were_not_normalised_are_brought_back_too() -> None:
    plain = type("P", (), {"do_normalize": False, "do_rescale": True, "rescale_factor": 1 / 255})
    assert rgb_pixels(plain, torch.full((3, 1, 2), 100 / 255)) == bytes([100] * 6)
    raw = type("P", (), {"do_normalize": False, "do_rescale": False})
    assert rgb_pixels(raw, torch.tensor([[[300.0]], [[-4.0]], [[7.0]]])) == bytes([255, 0, 7])


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
    with pytest.raises(ValueError, match="4 images and 1 questions"):
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

    answer: Any = answerer.answer(pictures()[0], QUESTIONS[0], view=True)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=type(answer)) == answer
