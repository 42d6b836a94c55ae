"""VQA v2 as published: an annotations file, a questions file, and a folder of COCO images (listing 7.3)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator

import msgspec

from looptop.engine.vqa import problems as kinds
from looptop.engine.vqa.images import is_image_name
from looptop.engine.vqa.problems import Problems
from looptop.engine.vqa.rows import ImageChecks, Limits, Progress, Quota, Row, folder_of
from looptop.engine.vqa.vqa_files import Annotation, Question, question_id, raw_rows, what_is_wrong

REPORT_EVERY = 1000

_question = msgspec.json.Decoder(Question)
_annotation = msgspec.json.Decoder(Annotation)


def rows(
    annotations_file: str | os.PathLike[str],
    questions_file: str | os.PathLike[str],
    images_folder: str | os.PathLike[str],
    limits: Limits,
    min_agreement: int,
    problems: Problems,
    progress: Progress | None = None,
) -> Iterator[Row]:
    """The questions that have an image and an answer, in the order of the questions file.

    Args:
        annotations_file: The official annotations JSON.
        questions_file: The official questions JSON.
        images_folder: Where the images are; see `ImageFolder`.
        limits: How much is taken.
        min_agreement: Of the ten answers, how many must be the most common one.
        problems: Is told what is wrong and left out.
        progress: Is told how far it got.

    Raises:
        LooptopError: A file or the folder cannot be read.
    """
    folder = ImageFolder(images_folder)
    questions = raw_rows(questions_file, "questions")[limits.start_at : limits.end_at]
    answers = _by_id(raw_rows(annotations_file, "annotations"), problems)
    images = ImageChecks(problems)
    quota = Quota(limits)
    seen: set[str] = set()
    for place, raw in enumerate(questions):
        if progress is not None and place % REPORT_EVERY == 0:
            progress(place, len(questions))
        try:
            question = _question.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            problems.add(kinds.BAD_ROW, f"question {question_id(raw) or f'at place {place}'}", what_is_wrong(error))
            continue
        key = str(question.question_id)
        if key in seen:
            problems.add(kinds.DUPLICATE_ID, f"question {key}")
            continue
        seen.add(key)
        row = _row(question, key, answers, folder, images, quota, min_agreement, problems)
        if row is not None:
            quota.take(row.image)
            yield row
    if progress is not None:
        progress(len(questions), len(questions))


class ImageFolder:
    """Finds an image by its id: `COCO_train2014_000000000009.jpg`, `9.jpg`, or the id itself as a name.

    One look at the folder serves all questions.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = folder_of(path, "image folder")
        self._names: dict[str, str] = {}
        with os.scandir(self.path) as entries:
            names = sorted((entry.name for entry in entries if is_image_name(entry.name)), key=lambda n: (len(n), n))
        # Longer names are more telling (COCO_train2014_...): they come last and win.
        for name in names:
            stem = name.rpartition(".")[0]
            number = re.search(r"(?:^|_)0*(\d+)$", stem)
            for key in (stem, name, *([number[1]] if number else [])):
                self._names[key] = name

    def find(self, image_id: int | str) -> str | None:
        """The image's path, or None."""
        name = self._names.get(str(image_id))
        return None if name is None else os.path.join(self.path, name)  # noqa: PTH118 (once a question)


def _row(
    question: Question,
    key: str,
    answers: dict[str, msgspec.Raw],
    folder: ImageFolder,
    images: ImageChecks,
    quota: Quota,
    min_agreement: int,
    problems: Problems,
) -> Row | None:
    if key not in answers:
        problems.add(kinds.NO_ANNOTATION, f"question {key}")
        return None
    try:
        annotation = _annotation.decode(answers[key])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        problems.add(kinds.BAD_ROW, f"annotation of question {key}", what_is_wrong(error))
        return None
    text = question.question.strip()
    if not text:
        problems.add(kinds.EMPTY_QUESTION, f"question {key}")
        return None
    votes = [vote.answer for vote in annotation.answers]
    answer = annotation.multiple_choice_answer or (Counter(votes).most_common(1)[0][0] if votes else "")
    if not answer.strip():
        problems.add(kinds.EMPTY_ANSWER, f"question {key}")
        return None
    if votes and votes.count(answer) < min_agreement:
        return None
    image = folder.find(question.image_id)
    if image is None:
        images.missing(f"image {question.image_id} in {folder.path}")
        return None
    if not quota.has_room(image) or not images.usable(image):
        return None
    return Row(
        image=image,
        image_id=str(question.image_id),
        question_id=key,
        question=text,
        answer=answer.strip(),
        answers=votes or [answer.strip()],
        question_type=annotation.question_type,
        answer_type=annotation.answer_type,
    )


def _by_id(annotations: list[msgspec.Raw], problems: Problems) -> dict[str, msgspec.Raw]:
    found: dict[str, msgspec.Raw] = {}
    for place, raw in enumerate(annotations):
        key = question_id(raw)
        if key is None:
            problems.add(kinds.BAD_ROW, f"annotation at place {place}", "it has no question_id")
        elif key in found:
            problems.add(kinds.DUPLICATE_ID, f"annotation of question {key}")
        else:
            found[key] = raw
    return found
