"""JSON of other data sets is recognised and named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.load import load_data
from tests.factories.vqa_data import write_table

GQA = {
    "semantic": [{"operation": "select", "dependencies": [], "argument": "sky (2486325)"}],
    "entailed": [],
    "question": "Is the sky dark?",
    "imageId": "2354786",
    "isBalanced": True,
    "answer": "yes",
    "fullAnswer": "Yes, it is.",
}


CLEVR = {
    "image_index": 0,
    "program": [{"inputs": [], "function": "scene", "value_inputs": []}],
    "image_filename": "CLEVR_val_000000.png",
    "question_family_index": 1,
    "question": "Are there any cubes?",
    "answer": "yes",
}


GENOME = {"a_objects": [], "question": "What?", "image_id": 1, "qa_id": 986768, "answer": "green.", "q_objects": []}


OTHERS = [
    ({"02930152": GQA}, "GQA"),
    ({"info": {"split": "val"}, "questions": [CLEVR]}, "CLEVR"),
    ([{"id": 1, "qas": [GENOME]}], "Visual Genome"),
    ([{"regions": [{"region_id": 1, "phrase": "a dog", "image_id": 1}], "id": 1}], "Visual Genome"),
    ([{"image_id": 1, "question": "q", "direct_answers": ["a"], "choices": ["a"], "correct_choice_idx": 0}], "A-OKVQA"),
    ({"data": [{"question": "q", "image_id": "a", "flickr_300k_url": "x", "answers": ["a"]}]}, "TextVQA"),
    ([{"id": 1, "image": "a.jpg", "conversations": [{"from": "human", "value": "q"}]}], "LLaVA"),
    ({"images": [], "annotations": [{"image_id": 1, "id": 2, "caption": "a dog"}]}, "COCO captions"),
]


@pytest.mark.parametrize(("content", "name"), OTHERS)
def test_what_is_not_read_is_named(tmp_path: Path, content: Any, name: str) -> None:
    message = f"this looks like {name}.*; looptop reads VQA v2, VizWiz and tables; write a table with the columns"
    table = write_table(tmp_path, "all.json", json.dumps(content))
    for source in (table, tmp_path):
        with pytest.raises(LooptopError, match=message):
            load_data(DataConfig(source=str(source)))
    with pytest.raises(LooptopError, match=message):
        load_data(DataConfig(source="vqa-v2", questions=str(table), annotations=str(table), images=str(tmp_path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "is not a table; write a list of objects with image, question and answer"),
        (3, "expected `object | array`, got `int`"),
        ({"columns": ["image", "question"], "index": [0], "data": [["a", "b"]]}, r'orient="records"'),
        ({"image": {"0": "a.jpg"}, "question": {"0": "q"}, "answer": {"0": "x"}}, r'orient="records"'),
        (
            {"image": ["a.jpg"], "question": ["q"], "answer": ["x"]},
            r"is a table by columns; write a list of rows \(\[\{",
        ),
        ({"id": [1], "image": ["a" * 70_000], "question": ["q"], "answer": [math.nan]}, "is a table by columns"),
        ({"data": {"image": ["a.jpg"], "question": ["q"], "answer": ["x"]}}, "is a table by columns"),
        ({"data": {"image": {"0": "a.jpg"}, "question": {"0": "q"}}}, "is a table by columns"),
        (
            {"data": {"0": {"image": "a.jpg", "question": "q", "answer": "x"}}},
            "is not a table; write a list of objects",
        ),
        ({"questions": [{"question_id": 1, "image_id": 1, "question": "q"}]}, "is one of VQA v2's files; give --data"),
    ],
)
def test_json_that_is_no_table_says_what_to_do(tmp_path: Path, content: Any, message: str) -> None:
    names = ("all.json", "all.jsonl") if "by columns" in message else ("all.json",)
    for name in names:
        for indent in (None, 1):
            with pytest.raises(LooptopError, match=message):
                load_data(DataConfig(source=str(write_table(tmp_path, name, json.dumps(content, indent=indent)))))
