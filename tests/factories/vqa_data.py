"""Small VQA data on disk for tests: images, a copy of VQA v2's files, tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

from looptop.engine.config.vqa import DataConfig
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.load import load_vqa_data


def save_jpeg(path: Path, seed: int = 0) -> Path:
    """Writes an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


class Published:
    """Files like VQA v2's on disk: `per_image` questions about each image, in rounds over the images."""

    def __init__(self, folder: Path, images: int = 5, per_image: int = 3) -> None:
        self.images = folder / "train2014"
        self.questions: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.files = (folder / "annotations.json", folder / "questions.json", self.images)
        for number in range(per_image):
            for image in range(1, images + 1):
                save_jpeg(self.path(image), image)
                self.add(image * 1000 + number, image, "yes" if number % 2 == 0 else "polar bear")
        self.write()

    def path(self, image: int) -> Path:
        return self.images / f"COCO_train2014_{image:012d}.jpg"

    def add(self, question_id: int, image: int, answer: str, agreeing: int = 8) -> None:
        self.questions.append({"image_id": image, "question": f"What is number {image}?", "question_id": question_id})
        votes = [answer] * agreeing + [f"other {n}" for n in range(10 - agreeing)]
        self.annotations.append(
            {
                "question_type": "what is",
                "multiple_choice_answer": answer,
                "answers": [
                    {"answer": vote, "answer_confidence": "yes", "answer_id": n} for n, vote in enumerate(votes, 1)
                ],
                "image_id": image,
                "answer_type": "yes/no" if answer == "yes" else "other",
                "question_id": question_id,
            }
        )

    def write(self) -> None:
        self.files[0].write_text(json.dumps({"info": {}, "annotations": self.annotations}), "utf-8")
        self.files[1].write_text(json.dumps({"info": {}, "questions": self.questions}), "utf-8")

    def load(self, **options: Any) -> tuple[datasets.Dataset, Problems]:
        problems = Problems()
        return load_vqa_data(*self.files, problems=problems, **options), problems

    def config(self, **options: Any) -> DataConfig:
        annotations, questions, images = map(str, self.files)
        return DataConfig(source="vqa-v2", annotations=annotations, questions=questions, images=images, **options)


def images_of(dataset: datasets.Dataset) -> set[str]:
    return set(dataset["image_id"])


def write_table(folder: Path, name: str, text: str | bytes, images: int = 3) -> Path:
    """Writes a table, and the images that `LINES` names."""
    for image in range(images):
        save_jpeg(folder / "pictures" / f"{image}.jpg", image)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LINES = "pictures/0.jpg{0}What is it?{0}a dog\npictures/1.jpg{0}Is it red?{0}no\npictures/2.jpg{0}How many?{0}2\n"


def vizwiz(split: str, count: int = 4, answers: bool = True) -> list[dict[str, Any]]:
    """The rows of a split as VizWiz publishes it."""
    votes = ["a dog"] * 6 + ["unanswerable"] * 4
    given = {
        "answers": [{"answer": vote, "answer_confidence": "maybe"} for vote in votes],
        "answer_type": "other",
        "answerable": 1,
    }
    return [
        {"image": f"VizWiz_{split}_{n:08d}.jpg", "question": "What is this?", **(given if answers else {})}
        for n in range(count)
    ]
