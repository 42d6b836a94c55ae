"""The prepared image, attention and the occlusion map."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.answers.records import END
from looptop.engine.vqa.model.decoding import best_answers
from looptop.engine.vqa.views.attention import patch_grid
from looptop.engine.vqa.views.making import image_view, occlusion_map, token_view
from looptop.engine.vqa.views.occlusion import MAX_SQUARES, squares
from looptop.engine.vqa.views.records import Grid, OcclusionMap, Progress, Resized, mean_grid
from tests.factories.vqa import QUESTIONS, tiny_model

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))


@pytest.fixture(scope="module", params=["mean", "tokens"])
def answerer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    return Answerer(*tiny_model(tmp_path_factory.mktemp("views") / "parts", request.param), name="tiny")


def test_the_prepared_image_needs_no_question(answerer: Answerer) -> None:
    view = image_view(answerer, PHOTO)
    assert (view.before, view.pixels.size, view.fusion) == ((70, 50), (32, 32), answerer.model.config.fusion)
    assert view.steps[0] == Resized((70, 50), (32, 32), "bilinear")
    seen = np.frombuffer(view.pixels.rgb, dtype=np.uint8).reshape(32, 32, 3)
    assert np.array_equal(seen, np.asarray(PHOTO.resize((32, 32), Image.Resampling.BILINEAR)))


def test_each_head_is_the_class_tokens_attention_in_the_last_layer(answerer: Answerer) -> None:
    heads = image_view(answerer, PHOTO).heads
    assert heads is not None and len(heads) == 2
    encoder = answerer.model.image_encoder
    attention = encoder.layers[-1].attention
    with torch.no_grad():
        states = encoder.layers[-1].layernorm_before(encoder.embeddings(answerer.processor.images([PHOTO])))
        query = attention.q_proj(states)[0, 0].view(attention.num_attention_heads, -1)
        keys = attention.k_proj(states)[0].view(17, attention.num_attention_heads, -1)
        weights = torch.einsum("hd,khd->hk", query, keys).mul(attention.scaling).softmax(dim=-1)[:, 1:]
    torch.testing.assert_close(torch.tensor(heads), weights.view(2, 4, 4), atol=1e-6, rtol=1e-4)
    mean = torch.tensor(heads).mean(dim=0)
    torch.testing.assert_close(torch.tensor(mean_grid(heads)), mean, atol=1e-7, rtol=1e-6)
    assert not torch.allclose(mean, torch.tensor(heads[0]), atol=1e-4)


def test_the_tokens_attention_is_the_decoders(answerer: Answerer) -> None:
    if answerer.model.config.fusion == "mean":
        with pytest.raises(LooptopError, match="one vector"):
            token_view(answerer, PHOTO, QUESTIONS[0])
        return
    view = token_view(answerer, PHOTO, QUESTIONS[0])
    answer = answerer.answer(PHOTO, QUESTIONS[0])
    assert view.answer == answer.answer
    assert [each.token for each in view.tokens] == [each.token for each in answer.tokens]
    assert view.tokens[-1].token == END
    model, processor = answerer.model, answerer.processor
    ids, mask = processor.questions([QUESTIONS[0]])
    tokens = tokens_of(answerer, QUESTIONS[0])
    model.decoder.set_attn_implementation("eager")
    with torch.no_grad():
        out = model(
            ids,
            mask,
            processor.images([PHOTO]),
            torch.tensor([[processor.begin_id, *tokens]]),
            output_attentions=True,
        )
    model.decoder.set_attn_implementation("sdpa")
    expected = out.cross_attentions[0].mean(dim=1)[0, :, -16:].view(-1, 4, 4)
    torch.testing.assert_close(torch.tensor([each.grid for each in view.tokens]), expected, atol=1e-6, rtol=1e-4)


def tokens_of(answerer: Answerer, question: str) -> tuple[int, ...]:
    """The tokens of the answer."""
    model, processor = answerer.model, answerer.processor
    with torch.no_grad():
        memory, mask = model.encode(*processor.questions([question]), processor.images([PHOTO]))
    (search,) = best_answers(model, memory, mask, processor.begin_id, processor.end_id, processor.decode)
    return search.results()[0].tokens


def whole_map(answerer: Answerer, question: str) -> OcclusionMap:
    *progress, result = occlusion_map(answerer, PHOTO, question)
    assert isinstance(result, OcclusionMap)
    assert progress[0] == Progress(0, 16) and progress[-1] == Progress(16, 16)
    return result


def test_the_occlusion_map_is_what_a_loop_over_grey_squares_gives(answerer: Answerer) -> None:
    result = whole_map(answerer, QUESTIONS[0])
    model, processor = answerer.model, answerer.processor
    answer = answerer.answer(PHOTO, QUESTIONS[0])
    assert (result.answer, result.square) == (answer.answer, (8, 8))
    assert result.probability == pytest.approx(answer.confidence, rel=1e-5)

    ids, mask = processor.questions([QUESTIONS[0]])
    tokens = tokens_of(answerer, QUESTIONS[0])
    small = PHOTO.resize((32, 32), Image.Resampling.BILINEAR)
    expected: Grid = []
    for row in range(4):
        expected.append([])
        for column in range(4):
            covered = small.copy()
            covered.paste((128, 128, 128), (8 * column, 8 * row, 8 * column + 8, 8 * row + 8))
            labels = torch.tensor([[*tokens, processor.end_id]])
            with torch.no_grad():
                loss = model(
                    ids, mask, processor.images([covered]), torch.tensor([[processor.begin_id, *tokens]]), labels
                ).loss
            expected[-1].append(math.exp(-float(loss) * labels.shape[1]))
    np.testing.assert_allclose(result.grid, expected, rtol=1e-3)
    assert np.ptp(expected) > 1e-4, "covering a square changes the answer's probability"


def test_the_occlusion_map_depends_on_the_question_and_the_encoders_attention_does_not(answerer: Answerer) -> None:
    one, other = whole_map(answerer, QUESTIONS[0]), whole_map(answerer, QUESTIONS[3])
    assert not np.allclose(one.grid, other.grid, rtol=1e-3)
    before = image_view(answerer, PHOTO).heads
    answerer.answer(PHOTO, QUESTIONS[3])
    assert image_view(answerer, PHOTO).heads == before


def test_views_change_neither_the_answer_nor_the_model(answerer: Answerer) -> None:
    parts = (answerer.model.image_encoder, answerer.model.decoder)
    ways = [part.config._attn_implementation for part in parts]
    before = answerer.answer(PHOTO, QUESTIONS[1])
    image_view(answerer, PHOTO)
    whole_map(answerer, QUESTIONS[1])
    after = answerer.answer(PHOTO, QUESTIONS[1])
    assert (after.answer, after.confidence) == (before.answer, before.confidence)
    assert "eager" not in ways and [part.config._attn_implementation for part in parts] == ways


@pytest.mark.parametrize("question", ["", "it? " * 100])
def test_a_question_that_cannot_be_asked_has_no_map(answerer: Answerer, question: str) -> None:
    with pytest.raises(LooptopError, match="question"):
        list(occlusion_map(answerer, PHOTO, question))


@pytest.mark.parametrize(
    ("patch", "height", "width", "square", "count"),
    [
        (16, 224, 224, (16, 16), 196),
        (8, 224, 224, (16, 16), 196),
        ((8, 16), 32, 64, (16, 8), 16),
        (None, 70, 140, (10, 10), 98),
    ],
)
def test_squares_cover_the_image_and_are_not_too_many(
    patch: object, height: int, width: int, square: tuple[int, int], count: int
) -> None:
    config = type("Config", (), {} if patch is None else {"patch_size": patch})
    model = type("Model", (), {"image_encoder": type("Encoder", (), {"config": config})})
    size, corners = squares(model, height, width)  # type: ignore[arg-type]
    assert (size, len(corners)) == (square, count)
    assert count <= MAX_SQUARES
    covered = np.zeros((height, width), dtype=int)
    for top, left in corners:
        covered[top : top + size[1], left : left + size[0]] += 1
    assert (covered == 1).all()


def test_patches_need_not_be_square() -> None:
    assert patch_grid(type("C", (), {"patch_size": 8}), 32, 64) == (4, 8)
    assert patch_grid(type("C", (), {"patch_size": (8, 16)}), 32, 64) == (4, 4)
