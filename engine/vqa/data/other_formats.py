"""Recognises JSON of data sets that looptop does not support, by the keys of their first rows."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.engine.vqa.data.json_rows import decode_nan

HEAD_BYTES = 1 << 16
"""The number of bytes at a file's beginning that are searched for keys."""

SUPPORTED_FORMATS = "looptop reads VQA v2, VizWiz and tables; write a table with the columns image, question and answer"

_BY_KEYS: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (
    # Name, keys that must all be present, keys of which one must be present.
    ("GQA", frozenset(("imageId", "question")), frozenset(("semantic", "semanticStr", "fullAnswer", "isBalanced"))),
    ("a GQA scene graph", frozenset(("objects", "relations", "width", "height")), frozenset(("objects",))),
    ("CLEVR", frozenset(("question",)), frozenset(("image_filename", "image_index", "question_family_index"))),
    ("CLEVR scenes", frozenset(("scenes",)), frozenset(("image_filename", "image_index"))),
    ("Visual Genome", frozenset(("qas",)), frozenset(("id", "image_id", "qa_id"))),
    ("Visual Genome", frozenset(("qa_id", "question")), frozenset(("a_objects", "q_objects", "image_id"))),
    ("Visual Genome", frozenset(("regions", "phrase")), frozenset(("region_id", "image_id"))),
    ("Visual Genome", frozenset(("coco_id", "flickr_id")), frozenset(("image_id",))),
    ("A-OKVQA", frozenset(("question", "direct_answers")), frozenset(("choices", "rationales", "correct_choice_idx"))),
    ("TextVQA", frozenset(("question", "image_id")), frozenset(("flickr_300k_url", "flickr_original_url"))),
    ("VQA-RAD", frozenset(("question", "image_name")), frozenset(("image_organ", "qid", "phrase_type"))),
    ("LLaVA conversations", frozenset(("conversations",)), frozenset(("from", "value"))),
    ("COCO captions", frozenset(("annotations", "caption")), frozenset(("images", "image_id"))),
    ("COCO objects", frozenset(("annotations", "bbox")), frozenset(("category_id", "categories"))),
)
_KEY = re.compile(rb'"([A-Za-z_][A-Za-z_0-9]{0,40})"\s*:')


def keys_in(data: bytes) -> set[str]:
    """The keys of the first rows."""
    return {key.decode() for key in _KEY.findall(data[:HEAD_BYTES])}


def refuse_other_format(path: Path, data: bytes) -> None:
    """Refuses a JSON file of another data set.

    Raises:
        LooptopError: It is one; names the data set and what looptop reads.
    """
    keys = keys_in(data)
    if {"columns", "index", "data"} <= keys and "question" not in keys:
        raise _table_by_columns(path)
    if {"image", "question"} <= keys:
        return
    if {"data_subtype", "data_type"} <= keys or {"multiple_choice_answer", "question_id"} <= keys:
        return  # VQA v2
    for name, all_of, any_of in _BY_KEYS:
        if all_of <= keys and any_of & keys:
            raise LooptopError(f"{visible(path)}: this looks like {name}; {SUPPORTED_FORMATS}")


def refuse_columns(path: Path, data: bytes) -> None:
    """Names a table by columns: `{"image": [...], "question": [...]}`, with objects for the lists, or under `data`.

    Raises:
        LooptopError: It is one; says how to write its rows.
    """
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    try:
        columns = decode_nan(decode, data)
        if "image" not in columns and "data" in columns:
            columns = decode_nan(decode, columns["data"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # A list, or an object a line.
    if all(bytes(columns.get(name, b""))[:1] in (b"[", b"{") for name in ("image", "question")):
        raise _table_by_columns(path)


def is_vqa_v2(data: bytes) -> bool:
    """Whether JSON is a questions or an annotations file of VQA v2."""
    keys = keys_in(data)
    return "question_id" in keys and bool(keys & {"questions", "annotations"}) and "image" not in keys


def _table_by_columns(path: Path) -> LooptopError:
    return LooptopError(
        f'{visible(path)} is a table by columns; write a list of rows ([{{"image": ..., "question": ...,'
        ' "answer": ...}, ...]), with pandas: to_json(..., orient="records")'
    )
