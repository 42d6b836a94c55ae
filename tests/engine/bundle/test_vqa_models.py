"""The bundled parts: they load as any published model does, are small, and know what their cards say."""

from functools import cache
from pathlib import Path

import easy_vqa
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel, AutoModelForCausalLM, AutoTokenizer

from looptop.engine.bundle.image_encoder import PATCH
from looptop.engine.bundle.shared import BUNDLED
from looptop.engine.bundle.text_encoder import TEXT_LENGTH
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel
from looptop.engine.worlds import shapes

PARTS = ("text_encoder", "image_encoder", "decoder")
MB = 1_000_000


def folder(part: str) -> str:
    return str(BUNDLED / part)


@cache
def image_states(source: str) -> tuple[Tensor, list[str], list[str]]:
    """Mean states of images with their shapes and colors: generated, or the benchmark's where both are told."""
    if source == "generated":
        rng = np.random.default_rng(7)
        scenes = [shapes.make_scene(rng) for _ in range(480)]
        images = [Image.fromarray(shapes.draw(scene)) for scene in scenes]
        labels = [(scene.shape, scene.color) for scene in scenes]
    else:
        known: dict[int, dict[str, str]] = {}
        for question, answer, image in zip(*easy_vqa.get_test_questions(), strict=True):
            asks = shapes.meanings()[question].asks
            known.setdefault(image, {})[asks] = answer
        kept = [image for image, given in known.items() if {"shape", "color"} <= given.keys()][:200]
        paths = easy_vqa.get_test_image_paths()
        images = [Image.open(paths[image]) for image in kept]
        labels = [(known[image]["shape"], known[image]["color"]) for image in kept]
    processor = AutoImageProcessor.from_pretrained(folder("image_encoder"))
    model = AutoModel.from_pretrained(folder("image_encoder"))
    with torch.no_grad():
        pixels = processor(images, return_tensors="pt")["pixel_values"]
        states = model(pixels).last_hidden_state.mean(dim=1)
    return states, [shape for shape, _ in labels], [color for _, color in labels]


def test_the_parts_are_a_few_megabytes_in_all() -> None:
    sizes = [file.stat().st_size for part in PARTS for file in Path(folder(part)).iterdir()]
    assert sum(sizes) < 5 * MB
    assert max(sizes) < 2 * MB


@pytest.mark.parametrize("part", PARTS)
def test_a_card_says_what_a_part_is_and_how_to_rebuild_it(part: str) -> None:
    card = (Path(folder(part)) / "README.md").read_text("utf-8")
    assert f"`python -m looptop.engine.bundle {part}`" in card
    for heading in ("How and on what", "How good", "What it cannot do"):
        assert f"## {heading}\n" in card


@pytest.mark.parametrize("part", PARTS)
def test_weights_are_safetensors_alone(part: str) -> None:
    names = {file.name for file in Path(folder(part)).iterdir()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]


def test_weights_are_read_whole_and_without_a_leftover() -> None:
    for part, kind in (("text_encoder", AutoModel), ("image_encoder", AutoModel), ("decoder", AutoModelForCausalLM)):
        _, report = kind.from_pretrained(folder(part), output_loading_info=True)  # type: ignore[misc]
        assert not report["missing_keys"], part
        assert not report["unexpected_keys"], part


def test_the_question_tokenizer_reads_any_english() -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("text_encoder"))
    assert tokenizer.tokenize("What COLOR is the shape?") == ["what", "color", "is", "the", "shape", "?"]
    for text in ("How many zebras, exactly, are 3/4 hidden?", "Who's there & why (not)?", "it's 100% {odd} ~ [x]"):
        assert tokenizer.unk_token not in tokenizer.tokenize(text)
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
    assert len(tokenizer("what? " * 2000, truncation=True)["input_ids"]) == tokenizer.model_max_length
    assert AutoModel.from_pretrained(folder("text_encoder")).config.max_position_embeddings == TEXT_LENGTH


@pytest.mark.parametrize("text", ["circle", " no", "a tea-pot, 2 cups", "Zürich 東京", "\t\n", "\U0001f600"])
def test_the_answer_tokenizer_encodes_any_text(text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("decoder"))
    assert tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False) == text


def test_the_answer_tokenizer_has_the_answers_and_one_special_token_as_gpt2_has() -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("decoder"))
    assert tokenizer.bos_token == tokenizer.eos_token == tokenizer.pad_token == "<|endoftext|>"
    assert all(len(tokenizer(f" {answer}")["input_ids"]) == 1 for answer in shapes.ANSWERS)


def test_the_image_processor_prepares_as_the_encoder_was_taught() -> None:
    scene = shapes.make_scene(np.random.default_rng(3))
    pixels = shapes.draw(scene)
    processor = AutoImageProcessor.from_pretrained(folder("image_encoder"))
    prepared = processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"][0]
    expected = torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1
    assert torch.allclose(prepared, expected, atol=1e-5)


@pytest.mark.parametrize("what", ["shape", "color"])
def test_the_image_encoder_tells_the_benchmarks_shapes_and_colors(what: str) -> None:
    made, *made_labels = image_states("generated")
    real, *real_labels = image_states("benchmark")
    names = np.array(made_labels[what == "color"])
    kinds = sorted(set(names))
    # No training: the nearest mean of generated images names the image.
    centers = torch.stack([made[torch.from_numpy(names == kind)].mean(dim=0) for kind in kinds])
    predicted = [kinds[index] for index in torch.cdist(real, centers).argmin(dim=1)]
    right = np.mean([answer == truth for answer, truth in zip(predicted, real_labels[what == "color"], strict=True)])
    assert right >= 0.98


def test_the_class_token_looks_at_the_shape() -> None:
    rng = np.random.default_rng(11)
    scenes = [shapes.make_scene(rng) for _ in range(50)]
    processor = AutoImageProcessor.from_pretrained(folder("image_encoder"))
    pixels = processor([Image.fromarray(shapes.draw(scene)) for scene in scenes], return_tensors="pt")["pixel_values"]
    model = AutoModel.from_pretrained(folder("image_encoder"), attn_implementation="eager")
    with torch.no_grad():
        attention = model(pixels, output_attentions=True).attentions[-1][:, :, 0, 1:].mean(dim=1)
    side = shapes.IMAGE_SIZE // PATCH
    on_shape = 0
    for scene, weights in zip(scenes, attention, strict=True):
        row, column = divmod(int(weights.argmax()), side)
        cover = shapes.coverage(scene).reshape(side, PATCH, side, PATCH).max(axis=(1, 3))
        on_shape += cover[row, column] > 0
    assert on_shape >= 48


def test_the_decoder_says_an_answer_and_stops() -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("decoder"))
    model = AutoModelForCausalLM.from_pretrained(folder("decoder"))
    torch.manual_seed(0)
    begin = torch.full((50, 1), tokenizer.bos_token_id)
    predicted = model.generate(begin, attention_mask=torch.ones_like(begin), do_sample=True, max_new_tokens=5)  # type: ignore[misc]
    texts = [tokenizer.decode(row[1:], skip_special_tokens=True).strip() for row in predicted]  # type: ignore[union-attr]
    assert sum(text in shapes.ANSWERS for text in texts) >= 48
    assert (predicted[:, -1] == tokenizer.eos_token_id).all()


def test_put_together_they_know_no_more_than_the_question_alone_tells() -> None:
    torch.manual_seed(0)
    model = VqaModel.from_parts(*(folder(part) for part in PARTS)).train(False)  # type: ignore[arg-type]
    questions = AutoTokenizer.from_pretrained(folder("text_encoder"))
    answers = AutoTokenizer.from_pretrained(folder("decoder"))
    asked, right, images = (column[:400] for column in easy_vqa.get_test_questions())
    processor = AutoImageProcessor.from_pretrained(folder("image_encoder"))
    paths = easy_vqa.get_test_image_paths()
    pixels = processor([Image.open(paths[image]) for image in images], return_tensors="pt")["pixel_values"]
    text = questions(asked, padding=True, return_tensors="pt")
    begin = torch.full((len(asked), 1), answers.bos_token_id)
    with torch.no_grad():
        logits = model(text["input_ids"], text["attention_mask"], pixels, begin).logits[:, 0]
    predicted = [answers.decode([token]).strip() for token in logits.argmax(dim=1).tolist()]  # type: ignore[union-attr]
    assert np.mean([answer == truth for answer, truth in zip(predicted, right, strict=True)]) <= 0.67


def test_the_finished_model_answers_the_benchmarks_questions() -> None:
    home = BUNDLED / "vqa"
    model, processor = VqaModel.from_pretrained(home).train(False), VqaProcessor.from_pretrained(home)
    asked, right, images = (column[:400] for column in easy_vqa.get_test_questions())
    paths = easy_vqa.get_test_image_paths()
    pixels = processor.images([Image.open(paths[image]) for image in images])
    rng = np.random.default_rng(5)
    for texts in (asked, [shapes.reword(question, rng) for question in asked]):
        ids, mask = processor.questions(texts)
        begin = torch.full((len(texts), 1), processor.begin_id)
        with torch.no_grad():
            first = model(ids, mask, pixels, begin).logits[:, 0].argmax(dim=1, keepdim=True)
            then = model(ids, mask, pixels, torch.cat([begin, first], dim=1)).logits[:, 1].argmax(dim=1)
        predicted = [processor.decode(row.tolist()) for row in first]
        assert np.mean([answer == truth for answer, truth in zip(predicted, right, strict=True)]) >= 0.98
        assert (then == processor.end_id).all()


def test_the_finished_models_card_tells_its_accuracy() -> None:
    card = (BUNDLED / "vqa" / "README.md").read_text("utf-8")
    assert "`python -m looptop.engine.bundle vqa`" in card
    assert "9,673 questions" in card
