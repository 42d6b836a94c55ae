"""The world that the bundled encoders learn from: what it says of an image is true, and it asks what easy-VQA asks."""

import re

import easy_vqa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from looptop.engine.worlds import shapes

seeds = st.integers(0, 2**32 - 1)


def scene_of(seed: int) -> shapes.Scene:
    return shapes.make_scene(np.random.default_rng(seed))


@given(seeds)
def test_a_seed_makes_the_same_image_and_questions_again(seed: int) -> None:
    first, second = np.random.default_rng(seed), np.random.default_rng(seed)
    scene, again = shapes.make_scene(first), shapes.make_scene(second)
    assert scene == again
    assert np.array_equal(shapes.draw(scene), shapes.draw(again))
    assert shapes.ask(scene, first) == shapes.ask(again, second)


@given(seeds)
def test_the_image_shows_its_scene(seed: int) -> None:
    scene = scene_of(seed)
    pixels = shapes.draw(scene)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    painted = (pixels == shapes.RGB[scene.color]).all(axis=2)
    bare = (pixels == scene.background).all(axis=2)
    middle = int(scene.top + scene.height * 0.7), int(scene.left + scene.width / 2)
    assert painted[middle]
    # What is neither is the smooth edge, no longer than about the shape's outline.
    assert (~painted & ~bare).sum() <= 4 * (scene.width + scene.height)
    area = {"circle": np.pi / 4, "rectangle": 1.0, "triangle": 0.5}[scene.shape] * scene.width * scene.height
    assert shapes.coverage(scene).sum() == pytest.approx(area, rel=0.08)


@given(seeds)
def test_the_shape_lies_wholly_within_the_image(seed: int) -> None:
    scene = scene_of(seed)
    assert 0 <= scene.left <= 64 - scene.width
    assert 0 <= scene.top <= 64 - scene.height


@given(seeds)
def test_every_answer_is_true_of_the_scene(seed: int) -> None:
    scene = scene_of(seed)
    meanings = shapes.meanings()
    for question in shapes.all_questions(scene):
        meaning = meanings[question.text]
        shown = meaning.thing in (scene.shape, scene.color)
        truth = {
            "shape": scene.shape,
            "color": scene.color,
            "present": "yes" if shown else "no",
            "absent": "no" if shown else "yes",
        }
        assert question.answer == truth[meaning.asks]
        assert question.answer in shapes.ANSWERS
        # A question after the color of the circle is asked only where there is one.
        assert meaning.asks in ("present", "absent") or not meaning.thing or shown


def test_it_asks_exactly_the_benchmarks_questions() -> None:
    asked = set(easy_vqa.get_train_questions()[0]) | set(easy_vqa.get_test_questions()[0])
    assert set(shapes.meanings()) == asked
    assert len(asked) == 107
    assert set(shapes.ANSWERS) == set(easy_vqa.get_answers())


def test_a_meaning_names_what_the_question_names() -> None:
    for text, meaning in shapes.meanings().items():
        named = [thing for thing in (*shapes.SHAPES, *shapes.COLORS) if re.search(rf"\b{thing}\b", text)]
        assert named == ([meaning.thing] if meaning.thing else [])
        assert (meaning.asks == "absent") == bool(re.search(r"\b(not|no)\b", text))


def test_it_asks_as_often_as_the_benchmark() -> None:
    rng = np.random.default_rng(0)
    asked = [question for _ in range(1000) for question in shapes.ask(shapes.make_scene(rng), rng)]
    _, answers, images = easy_vqa.get_train_questions()
    assert len(asked) / 1000 == pytest.approx(len(answers) / len(set(images)), rel=0.05)
    for answer in ("yes", "no", "circle", "teal"):
        share = sum(question.answer == answer for question in asked) / len(asked)
        assert share == pytest.approx(answers.count(answer) / len(answers), rel=0.25)


def test_its_images_look_like_the_benchmarks() -> None:
    rng = np.random.default_rng(0)
    paths = easy_vqa.get_test_image_paths()
    real = np.stack([np.asarray(Image.open(paths[number]).convert("RGB")) for number in range(300)])
    made = np.stack([shapes.draw(shapes.make_scene(rng)) for _ in range(300)])
    assert real.shape == made.shape
    # Light grounds from the same range, the same eight colors, shapes that cover about as much.
    for images in (real, made):
        assert images[:, 0, 0].max() > 250
        assert images.reshape(-1, 3).mean() == pytest.approx(230, abs=6)
    for color in shapes.RGB.values():
        assert (real == color).all(axis=3).any()


@given(st.sampled_from(sorted(shapes.meanings())), seeds)
def test_rewording_keeps_what_is_asked(question: str, seed: int) -> None:
    reworded = shapes.reword(question, np.random.default_rng(seed), rate=0.5)
    meaning = shapes.meanings()[question]
    assert meaning.thing in reworded.replace("grey", "gray")
    assert bool(re.search(r"\b(not|no)\b", reworded)) == (meaning.asks == "absent")
    assert set(re.findall("[a-z]+", reworded)) <= set(shapes.vocabulary())
