"""Makes the views of an image and of an answer that a person can look at: prepared image, attention, occlusion map.

answerer = Answerer.load("bundled")
print(image_view(answerer, "picture.png").steps)
*progress, map = occlusion_map(answerer, "picture.png", "what colour is the circle?")
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answers.answerer import Answerer, ImageSource, opened
from looptop.engine.vqa.answers.records import END
from looptop.engine.vqa.model.answer_search import SearchResult
from looptop.engine.vqa.model.decoding import best_answers
from looptop.engine.vqa.views.attention import encoder_attention, patch_grid, token_attention
from looptop.engine.vqa.views.occlusion import answer_probability, occluded, squares
from looptop.engine.vqa.views.preparation import preparation_steps, prepared_grey, rgb_pixels
from looptop.engine.vqa.views.records import (
    ImageView,
    OcclusionMap,
    PreparedPixels,
    Progress,
    TokenAttention,
    TokenView,
)


def image_view(answerer: Answerer, image: ImageSource) -> ImageView:
    """The image before and after its preparation, and the image encoder's attention. It needs no question.

    Raises:
        LooptopError: The image cannot be read.
    """
    picture = opened(image)
    processor = answerer.processor
    pixel_values = processor.images([picture])
    return ImageView(
        before=picture.size,
        pixels=_prepared(answerer, pixel_values),
        steps=preparation_steps(processor.image_processor, picture),
        heads=encoder_attention(answerer.model, pixel_values.to(answerer.model.device)),
        fusion=answerer.model.config.fusion,
    )


@torch.inference_mode()
def token_view(answerer: Answerer, image: ImageSource, question: str) -> TokenView:
    """The decoder's cross-attention when it wrote each token of its answer.

    Raises:
        LooptopError: The model has fusion `mean`; the image cannot be read; the question is empty or too long.
    """
    model, processor = answerer.model, answerer.processor
    if model.config.fusion != "tokens":
        raise LooptopError("with fusion mean the decoder attends to one vector only, so there is no attention to draw")
    asked = _Asked(answerer, image, question)
    grid = patch_grid(model.image_encoder.config, *asked.pixel_values.shape[-2:])
    if grid is None or grid[0] * grid[1] > asked.memory.shape[1]:
        raise LooptopError("this model's image encoder does not keep one state for each patch of the image")
    tokens = [processor.begin_id, *asked.answer.tokens]
    grids = token_attention(model, asked.memory, asked.memory_mask, tokens, grid)
    words = [answerer.token_text(token) for token in asked.answer.tokens] + [END]
    return TokenView(
        asked.answer.text,
        _prepared(answerer, asked.pixel_values),
        [TokenAttention(*pair) for pair in zip(words, grids, strict=True)],
    )


def occlusion_map(answerer: Answerer, image: ImageSource, question: str) -> Iterator[Progress | OcclusionMap]:
    """Makes the occlusion map of the model's answer, batch by batch.

    Yields:
        How many squares are done, and at the end the map.

    Raises:
        LooptopError: The image cannot be read; the question is empty or too long.
    """
    model, processor = answerer.model, answerer.processor
    asked = _Asked(answerer, image, question)
    pixel_values = asked.pixel_values
    height, width = pixel_values.shape[-2:]
    size, corners = squares(model, height, width)
    grey = prepared_grey(processor.image_processor)

    def probability(images: Tensor) -> list[float]:
        return answer_probability(
            model,
            asked.text_states,
            asked.attention_mask,
            images,
            processor.begin_id,
            asked.answer.tokens,
            processor.end_id,
        ).tolist()

    (whole,) = probability(pixel_values)
    values: list[float] = []
    yield Progress(0, len(corners))
    for images in occluded(pixel_values, grey, size, corners):
        values += probability(images)
        yield Progress(len(values), len(corners))
    columns = sum(top == 0 for top, _ in corners)
    grid = [values[first : first + columns] for first in range(0, len(values), columns)]
    yield OcclusionMap(asked.answer.text, _prepared(answerer, pixel_values), whole, grid, size)


class _Asked:
    """The model's answer to a question, with the tensors on the way to it."""

    @torch.inference_mode()
    def __init__(self, answerer: Answerer, image: ImageSource, question: str) -> None:
        model, processor = answerer.model, answerer.processor
        ids, mask = processor.questions([question])
        self.pixel_values = processor.images([opened(image)]).to(model.device)
        self.attention_mask = mask.to(model.device)
        self.text_states = model.text_states(ids.to(model.device), self.attention_mask)
        self.memory, self.memory_mask = model.encode(
            None, self.attention_mask, self.pixel_values, text_features=self.text_states
        )
        (search,) = best_answers(
            model,
            self.memory,
            self.memory_mask,
            processor.begin_id,
            processor.end_id,
            processor.decode,
            max_tokens=answerer.max_tokens,
        )
        self.answer: SearchResult = search.results()[0]


def _prepared(answerer: Answerer, pixel_values: Tensor) -> PreparedPixels:
    height, width = pixel_values.shape[-2:]
    return PreparedPixels((width, height), rgb_pixels(answerer.processor.image_processor, pixel_values[0]))
