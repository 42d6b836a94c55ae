"""Keeps evaluations in looptop's home, so that screens and lists show a model's figures without loading it.

    evaluations/<digest of the model>/<digest of the data>.json             an `Evaluation`: kilobytes
    evaluations/<digest of the model>/<digest of the data>.questions.json   its `QuestionResult`s

One model has one evaluation for each data, split, settings and limit: the newest. Imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from looptop.engine.encoding import sendable
from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import read_regular
from looptop.engine.files.replacing import remove_oldest, replace_private
from looptop.engine.home import home
from looptop.engine.text import visible
from looptop.engine.vqa.evaluation.records import Evaluation, QuestionResult
from looptop.engine.vqa.evaluation.weights import digest_of

FORMAT = 1
"""The version of the files. What a newer looptop wrote is not read: it is evaluated again."""

MAX_BYTES = 2**30
"""The most that all evaluations take on the disk; of 10,000 questions each takes about 4 MB."""

MAX_FILE_BYTES = 2**29
QUESTIONS = ".questions.json"


class _EvaluationFile(Struct, frozen=True):
    format: int
    evaluation: Evaluation


class _QuestionsFile(Struct, frozen=True):
    format: int
    id: str
    questions: list[QuestionResult]


def keep(evaluation: Evaluation, questions: Sequence[QuestionResult]) -> str:
    """Keeps an evaluation in place of an earlier one on the same data.

    Returns:
        Why it could not be kept, as a sentence; empty if it is.
    """
    try:
        folder, name = _folder(evaluation.weights), _name(evaluation)
        rows = _QuestionsFile(FORMAT, evaluation.id, list(questions))
        replace_private(folder / f"{name}{QUESTIONS}", _encode(rows))
        replace_private(folder / f"{name}.json", _encode(_EvaluationFile(FORMAT, evaluation)))
        remove_oldest(home() / "evaluations", MAX_BYTES)
    except (OSError, LooptopError) as error:
        return f"the evaluation could not be kept in looptop's home: {error_text(error)}"
    return ""


def evaluations_of(model: Path) -> list[Evaluation]:
    """The kept evaluations of the model in a folder, the newest first; damaged ones are left out."""
    try:
        files = list(_folder(digest_of(model)).glob("*.json"))
    except (OSError, LooptopError):
        return []
    read = [_read(file) for file in files if not file.name.endswith(QUESTIONS)]
    return sorted((one for one in read if one is not None), key=lambda one: one.when, reverse=True)


def latest(model: Path) -> Evaluation | None:
    """The newest kept evaluation of the model in a folder that asked all questions of its data; None if there is none.

    An evaluation of the first few questions counts only if there is no whole one.
    """
    kept = evaluations_of(model)
    return next((one for one in kept if one.limit is None), kept[0] if kept else None)


def questions_of(evaluation: Evaluation) -> list[QuestionResult]:
    """The results of an evaluation's questions.

    Raises:
        LooptopError: They are missing or damaged; says to evaluate again.
    """
    file = _folder(evaluation.weights) / f"{_name(evaluation)}{QUESTIONS}"
    try:
        kept = msgspec.json.decode(read_regular(file, MAX_FILE_BYTES), type=_QuestionsFile)
    except (OSError, *UNREADABLE, LooptopError) as error:
        reason = "they are damaged" if isinstance(error, UNREADABLE) else error_text(error)
        raise LooptopError(f"the questions of this evaluation cannot be read: {reason}; {_again(evaluation)}") from None
    if kept.format != FORMAT or kept.id != evaluation.id:
        raise LooptopError(
            f"the questions of this evaluation were replaced by those of a newer one; {_again(evaluation)}"
        )
    with contextlib.suppress(OSError):
        os.utime(file)  # `remove_oldest` spares what was read lately.
    return kept.questions


def _again(evaluation: Evaluation) -> str:
    return f"evaluate again with `looptop eval {visible(evaluation.model)} --data {visible(evaluation.data)}`"


def _read(file: Path) -> Evaluation | None:
    with contextlib.suppress(OSError, *UNREADABLE, LooptopError):
        kept = msgspec.json.decode(read_regular(file), type=_EvaluationFile)
        if kept.format == FORMAT:
            return kept.evaluation
    return None


def _folder(weights: str) -> Path:
    return home() / "evaluations" / weights


def _name(evaluation: Evaluation) -> str:
    """The same for evaluations of a model on the same questions."""
    key = [evaluation.source, evaluation.split, list(evaluation.settings), evaluation.limit]
    return hashlib.blake2b(_encode(key), digest_size=8).hexdigest()


def _encode(value: object) -> bytes:
    """JSON; bytes of a path that are not text, which JSON cannot hold, become question marks."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(sendable(msgspec.to_builtins(value)))
