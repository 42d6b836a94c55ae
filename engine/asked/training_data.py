"""Writes judged answers as training data: what a person marked as right, and what a person corrected.

    FOLDER/
      train.jsonl          a table: `looptop train vqa --data FOLDER`
      questions.json       VQA v2's questions
      annotations.json     and annotations; the person's one answer stands ten times, as the format asks for ten
      images/000000000001.png ...

Answers that only the data judged are left out: these are often a test's questions. Images are hard links to the
originals where that is possible, else copies. Of several judgements of one question about one image the newest holds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from looptop.engine.asked.records import Entry
from looptop.engine.encoding import encode_json, storable
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.private import open_regular, refuse_if_read_only, write_private
from looptop.engine.text import visible
from looptop.engine.vqa.data.rows import answer_type
from looptop.engine.vqa.images.decode import SUFFIXES

VOTES = 10
"""The number of answers that VQA v2 has for each question."""


class TrainingData(NamedTuple):
    """What was written."""

    folder: Path
    questions: int
    images: int
    missing: tuple[Path, ...]
    """Images that could not be read; their questions are left out."""


def write_training_data(entries: Iterable[Entry], folder: Path) -> TrainingData:
    """Writes the judged answers into a new folder, completely or not at all.

    Args:
        entries: Answers, judged or not.
        folder: The folder to make.

    Raises:
        LooptopError: No answer is judged, the folder exists or cannot be written, or looptop was started with
            `--readonly`.
    """
    refuse_if_read_only()
    judged = _newest(entries)
    if not judged:
        raise LooptopError(
            "none of these answers is marked as right or corrected; mark some first: training data hold only answers"
            " that you have checked"
        )
    if folder.exists():
        raise LooptopError(f"{visible(folder)} exists already; name another folder")
    draft = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        (draft / "images").mkdir(parents=True, mode=0o700)
        draft.chmod(0o700)
        names, missing = _put_images(dict.fromkeys(entry.image for entry in judged), draft / "images")
        kept = [entry for entry in judged if entry.image in names]
        if not kept:
            raise LooptopError(f"none of the images can be read, not even {visible(missing[0])}")
        _write_table(kept, names, draft)
        _write_vqa_v2(kept, names, draft)
        draft.rename(folder)
    except OSError as error:
        raise LooptopError(f"cannot write {visible(folder)}: {error_text(error)}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return TrainingData(folder, len(kept), len(names), tuple(missing))


def _newest(entries: Iterable[Entry]) -> list[Entry]:
    """The judged entries, one for each question about an image, in the order in which they were asked."""
    judged = [entry for entry in entries if entry.confirmed_answer.strip() and entry.question.strip()]
    judged.sort(key=lambda entry: entry.time)
    return list({(entry.image, entry.question.strip()): entry for entry in judged}.values())


def _put_images(images: Iterable[Path], folder: Path) -> tuple[dict[Path, str], list[Path]]:
    """Links or copies images into a folder.

    Returns:
        The name of each image in the folder, and the images that cannot be read.
    """
    names: dict[Path, str] = {}
    missing: list[Path] = []
    for image in images:
        suffix = image.suffix.lower() if image.suffix.lower() in SUFFIXES else ".png"
        name = f"{len(names) + 1:012}{suffix}"
        try:
            descriptor = open_regular(image, follow_links=True)
        except OSError:
            missing.append(image)
            continue
        with os.fdopen(descriptor, "rb") as source:
            linked = False
            with contextlib.suppress(OSError):  # Another file system, or a file of another user.
                os.link(image.resolve(), folder / name)
                linked = True
            if not linked:
                with (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
        names[image] = name
    return names, missing


def _write_table(entries: Iterable[Entry], names: dict[Path, str], folder: Path) -> None:
    rows = [
        {
            "image": names[entry.image],
            "question": storable(entry.question.strip()),
            "answer": storable(entry.confirmed_answer.strip()),
            "question_id": number,
            "image_id": _image_id(names[entry.image]),
            "answer_type": answer_type(entry.confirmed_answer.strip()),
        }
        for number, entry in enumerate(entries, start=1)
    ]
    write_private(folder / "train.jsonl", b"".join(encode_json(row) + b"\n" for row in rows))


def _write_vqa_v2(entries: Iterable[Entry], names: dict[Path, str], folder: Path) -> None:
    questions, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for number, entry in enumerate(entries, start=1):
        confirmed = storable(entry.confirmed_answer.strip())
        ids = {"image_id": _image_id(names[entry.image]), "question_id": number}
        questions.append({**ids, "question": storable(entry.question.strip())})
        votes = [{"answer": confirmed, "answer_confidence": "yes", "answer_id": vote} for vote in range(1, VOTES + 1)]
        annotations.append(
            {
                **ids,
                "question_type": "",
                "answer_type": answer_type(confirmed),
                "multiple_choice_answer": confirmed,
                "answers": votes,
            }
        )
    about = {"info": {"description": "Answers that a person judged in looptop"}, "data_type": "looptop"}
    write_private(folder / "questions.json", encode_json({**about, "questions": questions}))
    write_private(folder / "annotations.json", encode_json({**about, "annotations": annotations}))


def _image_id(name: str) -> int:
    return int(name.partition(".")[0])
