"""`looptop ask --images FOLDER QUESTION`: asks one question about every image in a folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from looptop.engine.asked.export import check_name, row_of, write_entries
from looptop.engine.asked.many import (
    BatchSize,
    ImageQuestion,
    TimeLeft,
    counted_answers,
    kept_entries,
    new_entry,
    questions_about,
)
from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.asked.records import Entry
from looptop.engine.asked.stamps import model_stamp
from looptop.engine.cli.output import cut, duration, note, probability, quiet_libraries, say, say_json, table
from looptop.engine.cli.progress import Progress, Status, progress_on
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.paths import path_of
from looptop.engine.text import counted, visible, visible_answer
from looptop.engine.vqa.confidence.doubts import Check, Doubt, UnfamiliarImage, doubt_name, doubt_text, unchecked_text
from looptop.engine.vqa.data.official_files import check_writable
from looptop.engine.vqa.images.decode import check_image, has_image_suffix
from looptop.engine.vqa.images.entries import ImageEntry
from looptop.engine.vqa.images.folders import images_below
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.model_card import calibrate_helps

if TYPE_CHECKING:
    from looptop.engine.vqa.answers.answerer import Answerer

MAX_NAMED = 20
"""So many images without an answer are named."""

MAX_CELLS = 60
MAX_COUNTED = 10
"""So many different answers are counted."""


def ask_folder(folder: str, question: str, model: str, device: str, out: str, as_json: bool) -> int:
    """Asks a question about every image in a folder and those below it, and prints a table.

    Args:
        folder: The folder.
        question: The question.
        model: The model's name.
        device: The device to compute on.
        out: A CSV or JSONL file that is written instead of the table; empty for none.
        as_json: Print one JSON object.

    Raises:
        LooptopError: The folder has no image, none of them can be read, or the file cannot be written.
    """
    if not question.strip():
        raise LooptopError("the question is empty; ask something about the images")
    target = path_of(out) if out else None
    if target is not None:
        check_name(target)
        if not target.absolute().parent.is_dir():
            raise LooptopError(
                f"cannot write {visible(target)}: there is no folder {visible(target.absolute().parent)}"
            )
        check_writable(target)
    folder_of(model)  # before torch is loaded, which takes seconds
    root = path_of(folder)
    images, others = _files_in(root)
    if not images:
        raise LooptopError(f"{visible(root)} holds no images, and neither do its subfolders")
    for line in _named([visible(each.relative_to(root)) for each in others], "is no image by its name"):
        note(line)
    questions = questions_about((ImageEntry(each) for each in images), question)
    entries, errors = _answer_all(questions, model, device)
    for line in _named([errors[index] for index in sorted(errors)]):
        note(line)
    if not entries:
        raise LooptopError(f"no image of {visible(root)} could be asked about; the first: {errors[min(errors)]}")
    answered = [entries[index] for index in sorted(entries)]
    if target is not None:
        write_entries(answered, target)
    if as_json:
        say_json(
            {
                "model": model,
                "question": question,
                "n": len(answered),
                "unanswered": [{"image": str(images[index]), "error": errors[index]} for index in sorted(errors)],
                "answers": [row_of(entry) for entry in answered],
                "out": None if target is None else str(target),
            }
        )
    elif target is not None:
        say(f"{len(answered):,} of {counted(len(images), 'image')} answered, in {visible(target)}")
    else:
        _print(answered, root)
    return 0


def _files_in(root: Path) -> tuple[list[Path], list[Path]]:
    """The images in a folder and below it in natural order, and the other files; hidden ones are left out.

    Raises:
        LooptopError: The folder cannot be read.
    """
    others = list[Path]()

    def fail(error: OSError) -> None:
        if error.filename == str(root):
            raise LooptopError(f"the folder {visible(root)} cannot be read: {error_text(error)}")

    for folder, below, names in os.walk(root, onerror=fail):
        below[:] = sorted(name for name in below if not name.startswith("."))
        others += [
            Path(folder, name) for name in sorted(names) if not name.startswith(".") and not has_image_suffix(name)
        ]
    images = [root / part.folder / name for part in images_below(root) for name in part.images]
    return images, others


def _named(lines: Sequence[str], why: str = "") -> Iterator[str]:
    """What is left out, a line each; many are counted."""
    for line in lines[:MAX_NAMED]:
        yield f"left out: {line} {why}".rstrip()
    if len(lines) > MAX_NAMED:
        yield f"left out: {len(lines) - MAX_NAMED:,} more {why}".rstrip()


def _answer_all(questions: Sequence[ImageQuestion], model: str, device: str) -> tuple[dict[int, Entry], dict[int, str]]:
    """The answers by the question's index, and why the others have none."""
    asked = AskedQuestions()
    stamp = model_stamp(model)
    entries = kept_entries(asked, questions, model, stamp)
    errors: dict[int, str] = {}
    waiting = []
    for index, each in enumerate(questions):
        if index not in entries:
            try:
                check_image(each.image)  # before torch is loaded, which takes seconds
                waiting.append(index)
            except LooptopError as error:
                errors[index] = str(error)
    if entries and waiting:
        note(f"{len(entries):,} of {counted(len(questions), 'answer')} are kept from before")
    if waiting:
        with quiet_libraries(), closing(progress_on(sys.stderr)) as progress:
            from looptop.engine.vqa.answers.answerer import Answerer

            progress.show(Status("asking", "loading", 0.0, [f"loading {visible(model)}"]))
            answerer = Answerer.load(model, device=device)
            left = TimeLeft(len(questions), len(questions) - len(waiting))
            left.begin()
            size = BatchSize()
            while waiting:
                _show(progress, left)
                part, waiting = waiting[: size.count], waiting[size.count :]
                new, bad = _answer_part(answerer, questions, part, stamp, size)
                kept = asked.add(list(new.values()))
                entries |= dict(zip(new, kept, strict=True))
                errors |= bad
                left.advance(len(part))
    if asked.trouble:
        note(asked.trouble)
    return entries, errors


def _answer_part(
    answerer: Answerer, questions: Sequence[ImageQuestion], part: Sequence[int], stamp: str, size: BatchSize
) -> tuple[dict[int, Entry], dict[int, str]]:
    from looptop.engine.vqa.answers.many_questions import answer_many

    began = time.perf_counter()
    outcomes = answer_many(answerer, [(str(questions[index].image), questions[index].question) for index in part])
    size.note(len(part), time.perf_counter() - began)
    entries, errors = dict[int, Entry](), dict[int, str]()
    for index, outcome in zip(part, outcomes, strict=True):
        if isinstance(outcome, LooptopError):
            errors[index] = str(outcome)
        else:
            entries[index] = new_entry(questions[index], outcome, stamp)
    return entries, errors


def _show(progress: Progress, left: TimeLeft) -> None:
    details = [f"image {left.done:,}/{left.total:,}", f"{duration(left.spent)} so far"]
    if left.left is not None:
        details.append(f"about {duration(left.left)} left")
    progress.show(Status("asking", "answering", left.done / left.total, details))


def _print(entries: Sequence[Entry], root: Path) -> None:
    doubts = {doubt for entry in entries for doubt in map(doubt_text, _of_the_question(entry))}
    for doubt in sorted(doubts):
        note(doubt)
    rows = [
        [
            visible(entry.image.relative_to(root.absolute())),
            cut(visible_answer(entry.answer.answer), MAX_CELLS),
            probability(entry.answer.confidence),
            ", ".join(doubt_name(each) for each in entry.answer.doubts if each not in _of_the_question(entry)),
        ]
        for entry in entries
    ]
    header = ["image", "answer", "confidence", "doubt"]
    shown = 4 if any(row[3] for row in rows) else 3
    for line in table(header[:shown], [row[:shown] for row in rows], right=("confidence",)):
        say(line)
    say()
    counts = list(counted_answers(entries).items())
    words = [f"{count:,} {visible_answer(answer)}" for answer, count in counts[:MAX_COUNTED]]
    if others := sum(count for _, count in counts[MAX_COUNTED:]):
        words.append(counted(others, "other answer"))
    say(f"{counted(len(entries), 'image')}: {', '.join(words)}")
    if left_out := {check for entry in entries for check in entry.answer.unchecked}:
        unchecked = [check for check in Check if check in left_out]
        answer = entries[-1].answer
        helps = calibrate_helps(answer.model, answer.calibrated, unchecked)
        say(unchecked_text(unchecked, calibrate_helps=helps))


def _of_the_question(entry: Entry) -> list[Doubt]:
    """The doubts that do not depend on the image: they are said once."""
    return [each for each in entry.answer.doubts if not isinstance(each, UnfamiliarImage)]
