from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from looptop.engine.errors import LooptopError
from looptop.engine.models.token_text import token_of
from looptop.engine.vqa.batches import Questions
from looptop.engine.vqa.model.processing import IGNORED, VqaProcessor, resolve
from tests.factories.vqa import save_processors


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    return save_processors(tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def processor(parts: tuple[str, str, str]) -> VqaProcessor:
    return VqaProcessor.from_parts(*parts)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_questions_are_padded_to_the_longest_and_masked(processor: VqaProcessor) -> None:
    ids, mask = processor.questions(["is there a blue shape?", "is it red"])
    assert ids.shape == mask.shape == (2, 8)
    assert mask.sum(dim=1).tolist() == [8, 5]
    assert (ids[1, 5:] == processor.question_pad_id).all()
    assert processor.question_ids(["is it red"]) == [ids[1, :5].tolist()]
    assert processor.question_tokenizer.decode(ids[0]) == "[CLS] is there a blue shape? [SEP]"


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question_is_refused(processor: VqaProcessor, question: str) -> None:
    with pytest.raises(LooptopError, match="question is empty"):
        processor.questions(["is it red", question])


def test_a_question_of_10000_characters_is_refused_and_not_cut(
    processor: VqaProcessor, capfd: pytest.CaptureFixture[str]
) -> None:
    long = "is there a blue shape? " * 435
    assert len(long) > 10_000
    with pytest.raises(LooptopError, match=r"has \d,\d\d\d tokens .*, more than the 24 that the model"):
        processor.questions(["is it red", long])
    with pytest.raises(LooptopError, match=r"more than the 24 that the model reads"):
        processor.check_question(long)
    processor.check_question("is there a blue shape?")
    assert capfd.readouterr() == ("", "")


def test_a_question_is_understood_where_any_of_its_tokens_is_known(processor: VqaProcessor) -> None:
    assert processor.has_known_token("is it red")
    assert processor.has_known_token("图中有 red")
    assert not processor.has_known_token("图中有什么")


@pytest.mark.parametrize("question", ["图中有什么?", "[bold]red[/bold]", "\x1b[31mred\x1b[0m", "\ud83d?", "🦊" * 50])
def test_any_text_is_a_question(processor: VqaProcessor, question: str) -> None:
    ids, mask = processor.questions([question])
    assert ids.shape == mask.shape and ids.shape[1] >= 3


def test_answers_have_the_books_leading_space_and_learn_to_end(processor: VqaProcessor) -> None:
    inputs, labels = processor.answers(["yes", "polar bear"])
    assert inputs.shape == labels.shape
    assert (inputs[:, 0] == processor.begin_id).all()
    first = processor.answer_tokenizer(" yes", add_special_tokens=False)["input_ids"]
    assert labels[0].tolist() == [*first, processor.end_id] + [IGNORED] * (labels.shape[1] - len(first) - 1)
    assert labels[1].tolist()[-1] == processor.end_id


@pytest.mark.parametrize("answer", ["yes", "polar bear", "2", "naïve", "don't know", "is it , red ?", "白"])
def test_what_an_answer_is_taught_as_decodes_to_it(processor: VqaProcessor, answer: str) -> None:
    _, labels = processor.answers([answer, "a much longer"])
    assert processor.decode(labels[0]) == answer


def test_decoding_stops_at_the_first_end(processor: VqaProcessor) -> None:
    yes = processor.answer_ids(["yes"])[0]
    assert processor.decode([*yes, processor.end_id, *yes, *yes]) == "yes"
    assert processor.decode([processor.end_id, *yes]) == ""
    assert processor.decode(torch.tensor(yes)) == "yes"


def test_an_answer_longer_than_the_decoder_is_cut(processor: VqaProcessor) -> None:
    inputs, labels = processor.answers(["yes " * 100])
    assert inputs.shape == (1, 16) and labels[0, -1] == processor.end_id


@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 9), st.sampled_from([2, 3, 0]))
def test_images_equal_the_image_processors_own_output(width: int, height: int, seed: int, resample: int) -> None:
    own = ViTImageProcessorPil(
        size={"height": 24, "width": 32}, resample=resample, image_mean=[0.485, 0.456, 0.406], image_std=[0.2, 0.3, 0.4]
    )
    processor = _with_images(own)
    images = [noise(width, height, seed), noise(32, 24, seed + 1), noise(height, width, seed + 2)]
    ours = processor.images(images)
    assert ours.dtype == torch.float32
    assert processor.image_size == (24, 32)
    torch.testing.assert_close(ours, own(images, return_tensors="pt")["pixel_values"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("steps", [{"do_normalize": False}, {"do_rescale": False}, {"do_resize": False}])
def test_a_step_that_is_off_stays_off(steps: dict[str, bool]) -> None:
    own = ViTImageProcessorPil(size={"height": 32, "width": 32}, **steps)  # type: ignore[arg-type]
    images = [noise(32, 32, 1), noise(32, 32, 2)]
    theirs = own(images, return_tensors="pt")["pixel_values"].float()
    torch.testing.assert_close(_with_images(own).images(images).float(), theirs, atol=1e-6, rtol=0)


def test_a_processor_that_crops_goes_its_own_way() -> None:
    own = CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    images = [noise(50, 90), noise(64, 64)]
    processor = _with_images(own)
    torch.testing.assert_close(processor.images(images), own(images, return_tensors="pt")["pixel_values"])
    assert processor.image_size == (32, 32)


def test_saved_beside_a_model_and_loaded_again(processor: VqaProcessor, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "looptop-vqa"}))
    processor.save_pretrained(tmp_path)
    again = VqaProcessor.from_pretrained(tmp_path)
    assert (again.begin_id, again.end_id, again.image_size) == (processor.begin_id, processor.end_id, (32, 32))
    assert again.image_processor.backend == "pil"
    assert again.max_question_tokens == processor.max_question_tokens == 24
    question = "is there a blue shape?"
    torch.testing.assert_close(again.questions([question]), processor.questions([question]))
    torch.testing.assert_close(again.answers(["yes", "polar bear"]), processor.answers(["yes", "polar bear"]))
    torch.testing.assert_close(again.images([noise(50, 40)]), processor.images([noise(50, 40)]))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match="not a VQA model's folder"):
        VqaProcessor.from_pretrained(tmp_path)


def test_a_part_that_is_nowhere_is_named(parts: tuple[str, str, str], tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match=r"tokenizer of text_encoder '.*nothing'"):
        VqaProcessor.from_parts(str(tmp_path / "nothing"), parts[1], parts[2])
    with pytest.raises(LooptopError, match="image processor of image_encoder"):
        VqaProcessor.from_parts(parts[0], str(tmp_path / "nothing"), parts[2])


def test_only_bundled_names_are_resolved() -> None:
    assert resolve("facebook/dino-vitb16") == "facebook/dino-vitb16"
    with pytest.raises(LooptopError, match="there is no 'bundled:moon'"):
        resolve("bundled:moon")


def _with_images(image_processor: object) -> VqaProcessor:
    class Tokenizer:
        pad_token_id = eos_token_id = bos_token_id = 0

    return VqaProcessor(Tokenizer(), Tokenizer(), image_processor)


def test_ids_that_the_tokenizer_has_no_word_for_are_no_text(processor: VqaProcessor) -> None:
    (yes,) = processor.answer_ids(["yes"])
    size = len(processor.answer_tokenizer)

    assert processor.decode([*yes, size, size + 10**6]) == "yes"
    assert token_of(processor.answer_tokenizer, size) is None


def test_a_split_of_which_no_question_can_be_asked_says_why(processor: VqaProcessor) -> None:
    rows = Dataset.from_dict({"image": ["1.png"], "question": ["red " * 600], "answer": ["red"], "question_id": ["1"]})
    longest = processor.max_question_tokens
    with pytest.raises(LooptopError, match=f"each is empty or longer than the {longest} tokens that the text encoder"):
        Questions(rows, processor, lambda problem: None)
    with pytest.raises(LooptopError, match="its images cannot be decoded \\(1 question\\)"):
        Questions(rows, processor, lambda problem: None, image_features={})
