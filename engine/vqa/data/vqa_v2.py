"""VQA v2 as published: an annotations file, a questions file, and a folder of COCO images (listing 7.3)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from looptop.engine.vqa.data import left_out as problem_kinds
from looptop.engine.vqa.data.cells import Cells, RowError, checked_row, id_of
from looptop.engine.vqa.data.json_rows import FAULTS, cells_of, row_error
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.official_files import question_id, raw_rows
from looptop.engine.vqa.data.rows import ImageChecks, Limits, Progress, Quota, Row, folder_of, reported
from looptop.engine.vqa.images.decode import has_image_suffix, has_supported_suffix


def rows(
    annotations_file: str | os.PathLike[str],
    questions_file: str | os.PathLike[str],
    images_folder: str | os.PathLike[str],
    limits: Limits,
    min_agreement: int,
    problems: Problems,
    progress: Progress | None = None,
) -> Iterator[Row]:
    """The questions that have an image and an agreed answer, within the limits, in the order of the questions file.

    Args:
        annotations_file: The official annotations JSON.
        questions_file: The official questions JSON.
        images_folder: The folder of the images, as for `ImageFolder`.
        limits: How much is taken.
        min_agreement: At least this many of the ten answers must equal the most common one.
        problems: Collects what is wrong with questions that are left out; limits and agreement are nothing wrong.
        progress: Called as in `engine.vqa.data.rows.reported`.

    Raises:
        LooptopError: A file or the folder cannot be read.
    """
    folder = ImageFolder(images_folder)
    questions = raw_rows(questions_file, "questions")[limits.start_at : limits.end_at]
    answers = _by_id(raw_rows(annotations_file, "annotations"), problems)
    images = ImageChecks(problems)
    quota = Quota(limits)
    seen: set[str] = set()
    for index, raw in enumerate(reported(questions, progress, len(questions))):
        try:
            question = cells_of(raw)
            key = id_of(question.question_id, "question_id")
            if not key:
                raise RowError(problem_kinds.BAD_ROW, "it has no question_id", "question_id")
        except FAULTS as error:
            problems.add(problem_kinds.BAD_ROW, f"question at index {index}", row_error(error))
            continue
        if key in seen:
            problems.add(problem_kinds.DUPLICATE_ID, f"question {key}")
            continue
        seen.add(key)
        row = _row(question, key, answers, folder, images, quota, min_agreement, problems)
        if row is not None:
            quota.take(row.image)
            yield row


class ImageFolder:
    """Finds an image by its id: `COCO_train2014_000000000009.jpg`, `9.jpg`, or the id itself as a name.

    The folder may be COCO's own, with `train2014` below it. Its file names are read once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = folder_of(path, "image folder")
        self._paths: dict[str, str] = {}
        names = [(folder, name) for folder in image_folders(self.path) for name in _image_names(folder)]
        # A later path replaces an earlier one. Supported formats come last, and of these the longer names, which
        # say more (COCO_train2014_...).
        names.sort(key=lambda one: (has_supported_suffix(one[1]), len(one[1]), one[1]))
        for folder, name in names:
            stem = name.rpartition(".")[0]
            number = re.search(r"(?:^|_)0*(\d+)$", stem)
            for key in (stem, name, *([number[1]] if number else [])):
                self._paths[key] = os.path.join(folder, name)  # noqa: PTH118 (once an image)

    def find(self, image_id: int | str) -> str | None:
        """The image's path, or None."""
        return self._paths.get(str(image_id))


def image_folders(path: Path) -> list[Path]:
    """The folder itself if it has images; else those below it that have some, as `train2014` in COCO's own folder.

    If none has, the folder itself.
    """
    if _image_names(path):
        return [path]
    below = _folders_in(path)
    below += [folder for each in below if each.name == "images" for folder in _folders_in(each)]
    return [folder for folder in below if _image_names(folder)] or [path]


def _folders_in(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _image_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if has_image_suffix(entry.name)]
    except OSError:
        return []


def _row(
    question: Cells,
    key: str,
    answers: dict[str, msgspec.Raw],
    folder: ImageFolder,
    images: ImageChecks,
    quota: Quota,
    min_agreement: int,
    problems: Problems,
) -> Row | None:
    if key not in answers:
        problems.add(problem_kinds.NO_ANNOTATION, f"question {key}")
        return None
    try:
        given = cells_of(answers[key])
        row = checked_row(
            Cells(
                question=question.question,
                image_id=question.image_id,
                answer=given.answer,
                multiple_choice_answer=given.multiple_choice_answer,
                answers=given.answers,
                question_type=given.question_type,
                answer_type=given.answer_type,
            )
        )
        if not row.image_id:
            raise RowError(problem_kinds.BAD_ROW, "it has no image_id", "image_id")
    except RowError as error:
        in_annotation = error.kind == problem_kinds.BAD_ROW and error.column not in ("question", "image_id")
        problems.add(error.kind, f"annotation of question {key}" if in_annotation else f"question {key}", error)
        return None
    except FAULTS as error:
        problems.add(problem_kinds.BAD_ROW, f"annotation of question {key}", row_error(error))
        return None
    if row.votes_for_answer is not None and row.votes_for_answer < min_agreement:
        return None
    image = folder.find(row.image_id)
    if image is None:
        images.missing(f"image {row.image_id} in {folder.path}")
        return None
    if not quota.has_room(image) or not images.usable(image):
        return None
    return Row(
        image=image,
        image_id=row.image_id,
        question_id=key,
        question=row.question,
        answer=row.answer,
        answers=row.votes,
        question_type=row.question_type,
        answer_type=row.answer_type,
    )


def _by_id(annotations: list[msgspec.Raw], problems: Problems) -> dict[str, msgspec.Raw]:
    by_id: dict[str, msgspec.Raw] = {}
    for index, raw in enumerate(annotations):
        try:
            key = question_id(raw)
        except FAULTS as error:
            problems.add(problem_kinds.BAD_ROW, f"annotation at index {index}", row_error(error))
            continue
        if key in by_id:
            problems.add(problem_kinds.DUPLICATE_ID, f"annotation of question {key}")
        else:
            by_id[key] = raw
    return by_id
