"""Generates any number of images and questions like easy-VQA's from a seed.

The benchmark's package has 5,000 images of one shape each, and questions about them. This generator draws from the same
distribution (measured on the package's training images), so that the bundled encoders learn from images and questions
that are not in the benchmark. Every answer follows from the description of its scene.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

SHAPES = ("circle", "rectangle", "triangle")
COLORS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
ANSWERS = (*SHAPES, *COLORS, "yes", "no")

IMAGE_SIZE = 64
"""Width and height of an image in pixels."""

RGB = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "brown": (165, 42, 42),
    "gray": (128, 128, 128),
    "green": (0, 255, 0),
    "red": (255, 0, 0),
    "teal": (0, 128, 128),
    "yellow": (255, 255, 0),
}

# Measured on the benchmark: the background's channels are independent and light; shapes are 8 to 32 pixels wide.
_LIGHTEST, _DARKEST = 255, 230
_SMALLEST, _LARGEST = 8.0, 32.0
_TRIANGLE_HEIGHT = np.sqrt(3) / 2

_PRESENT = (
    "is a {} present?",
    "is there a {}?",
    "is there a {} in the image?",
    "does the image contain a {}?",
)
_ABSENT = (
    "is no {} present?",
    "is there not a {}?",
    "is there not a {} in the image?",
    "does the image not contain a {}?",
)
_WHICH_SHAPE = (
    "what shape is in the image?",
    "what shape is present?",
    "what shape does the image contain?",
    "what is the {color} shape?",
)
_WHICH_COLOR = (
    "what color is the shape?",
    "what is the color of the shape?",
    "what color is the {shape}?",
    "what is the color of the {shape}?",
)
# The benchmark asks each question that fits an image with these probabilities: about 9.6 questions an image.
_ASK_WHAT, _ASK_WHETHER = 0.318, 0.08

# What people may type instead; none changes the answer.
_OTHER_WORDS = (
    ("is there not a", "is there no"),
    ("is there", "do you see"),
    ("what is", "what's"),
    ("contain", "show"),
    ("present", "visible"),
    ("in the image", ""),
    ("image", "picture"),
    ("image", "photo"),
    ("color", "colour"),
    ("gray", "grey"),
    ("shape?", "object?"),
    ("shape?", "thing?"),
    (" a ", " "),
    (" the ", " "),
    ("?", ""),
)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """The content of an image: one shape on a plain background."""

    shape: str
    color: str
    left: float
    """Distance in pixels between the left edges of image and shape."""
    top: float
    width: float
    height: float
    background: tuple[int, int, int]


@dataclass(frozen=True)
class Question:
    """A question with the correct answer for its scene."""

    text: str
    answer: str


@dataclass(frozen=True)
class Meaning:
    """What a question asks for, which follows from its text alone."""

    asks: str
    """`shape`, `color`, `present` or `absent`."""
    thing: str
    """The shape or color that the question names, or an empty string."""


def make_scene(rng: np.random.Generator) -> Scene:
    """A random scene; the shape is completely inside the image."""
    shape = str(rng.choice(SHAPES))
    color = str(rng.choice(COLORS))
    width = float(rng.uniform(_SMALLEST, _LARGEST))
    height = {
        "circle": width,
        "rectangle": float(rng.uniform(_SMALLEST, _LARGEST)),
        "triangle": float(width * _TRIANGLE_HEIGHT),
    }[shape]
    left = float(rng.uniform(0, IMAGE_SIZE - width))
    top = float(rng.uniform(0, IMAGE_SIZE - height))
    red, green, blue = (int(value) for value in rng.integers(_DARKEST, _LIGHTEST + 1, size=3))
    return Scene(shape, color, left, top, width, height, (red, green, blue))


def coverage(scene: Scene) -> npt.NDArray[np.float64]:
    """The share of each pixel that the shape covers, `[64, 64]`; edges are smooth, as in the benchmark."""
    centers = np.arange(IMAGE_SIZE) + 0.5
    x = centers[None, :] - (scene.left + scene.width / 2)
    y = centers[:, None] - (scene.top + scene.height / 2)
    # Signed distance to the edge in pixels, negative inside.
    if scene.shape == "circle":
        distance = np.hypot(x, y) - scene.width / 2
    elif scene.shape == "rectangle":
        distance = np.maximum(np.abs(x) - scene.width / 2, np.abs(y) - scene.height / 2)
    else:
        # Two sides lean 30 degrees from the vertical and meet at the top.
        side = np.abs(x) * _TRIANGLE_HEIGHT - (y + scene.height / 2) / 2
        distance = np.maximum(side, y - scene.height / 2)
    cover: npt.NDArray[np.float64] = np.clip(0.5 - distance, 0.0, 1.0)
    return cover


def draw(scene: Scene) -> Pixels:
    """The scene's image, `[64, 64, 3]`, RGB from 0 to 255."""
    cover = coverage(scene)[:, :, None]
    mixed = cover * np.array(RGB[scene.color]) + (1 - cover) * np.array(scene.background)
    pixels: Pixels = mixed.round().astype(np.uint8)
    return pixels


def all_questions(scene: Scene) -> list[Question]:
    """Every question that fits the scene: 8 about its shape or color, 88 about whether something is present."""
    names = {"shape": scene.shape, "color": scene.color}
    questions = [Question(text.format(**names), scene.shape) for text in _WHICH_SHAPE]
    questions += [Question(text.format(**names), scene.color) for text in _WHICH_COLOR]
    for thing in (*SHAPES, *COLORS):
        is_present = thing in (scene.shape, scene.color)
        questions += [Question(text.format(_noun(thing)), "yes" if is_present else "no") for text in _PRESENT]
        questions += [Question(text.format(_noun(thing)), "no" if is_present else "yes") for text in _ABSENT]
    return questions


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """A random choice of the questions that fit the scene, with the benchmark's probabilities."""
    return [
        question
        for question in all_questions(scene)
        if rng.random() < (_ASK_WHETHER if question.answer in ("yes", "no") else _ASK_WHAT)
    ]


def meanings() -> dict[str, Meaning]:
    """All 107 questions of this world, with what each asks for."""
    by_question: dict[str, Meaning] = {}
    for text, color in product(_WHICH_SHAPE, COLORS):
        by_question[text.format(color=color)] = Meaning("shape", color if "{" in text else "")
    for text, shape in product(_WHICH_COLOR, SHAPES):
        by_question[text.format(shape=shape)] = Meaning("color", shape if "{" in text else "")
    for thing in (*SHAPES, *COLORS):
        by_question |= {text.format(_noun(thing)): Meaning("present", thing) for text in _PRESENT}
        by_question |= {text.format(_noun(thing)): Meaning("absent", thing) for text in _ABSENT}
    return by_question


def reword(question: str, rng: np.random.Generator, rate: float = 0.2) -> str:
    """The question as a person might type it: each replacement or omission is made with probability `rate`."""
    for written, typed in _OTHER_WORDS:
        if rng.random() < rate:
            question = question.replace(written, typed)
    return " ".join(question.split())


def vocabulary() -> list[str]:
    """Every word of the questions and of their rewordings, sorted."""
    typed = [*meanings(), *(other for _, other in _OTHER_WORDS)]
    return sorted({word for text in typed for word in re.findall(r"[a-z]+", text)})


def _noun(thing: str) -> str:
    """The name of a thing in a yes/no question: `circle`, but `red shape`."""
    return f"{thing} shape" if thing in COLORS else thing
