"""`looptop curate`: lists a run's training questions by their figures; gives one another answer, or leaves it out."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.control import wait_and_print_reply
from looptop.engine.cli.output import cut, number, probability, say, say_json, table
from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, visible, visible_answer

if TYPE_CHECKING:
    from looptop.engine.vqa.curation.questions import CuratedQuestion, CuratedQuestions
    from looptop.engine.vqa.curation.records import EditKind

EXAMPLES = """\
  looptop curate vqa-3                                   the largest loss first: hard, or mislabelled
  looptop curate vqa-3 'confidence<30%' answer:red       the grammar of `looptop runs`
  looptop curate vqa-3 --sort variability --limit 100
  looptop curate vqa-3 edited
  looptop pause vqa-3; looptop curate vqa-3 --relabel train-17 teal; looptop continue vqa-3
  looptop curate vqa-3 --drop train-18
  looptop curate vqa-3 --undo train-17

Edits need a run that is paused or not live. They apply from its next epoch on, and to runs made with --like.
"""

TAKES_FILTERS = True
SORTS = ("loss", "confidence", "variability")
DEFAULT_LIMIT = 20
SHOWN_CHARACTERS = 60
"""So much of a question, and of an answer, is in the table; --json has all."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    filter: list[str]
    sort: str
    limit: int
    relabel: list[str] | None
    drop: str | None
    undo: str | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a VQA run, such as vqa-3, live or not")
    parser.add_argument(
        "filter",
        metavar="FILTER",
        nargs="*",
        help="only these: loss>2, confidence<30%%, variability>0.2, answer:, question:, image:, id:, edited, dropped,"
        " words",
    )
    parser.add_argument(
        "--sort",
        choices=SORTS,
        default="loss",
        help="by the last loss (the default) or the variability, the largest first, or by the mean confidence, the"
        " smallest first",
    )
    parser.add_argument(
        "--limit", type=int, default=DEFAULT_LIMIT, metavar="N", help=f"only the first N (default: {DEFAULT_LIMIT})"
    )
    edits = parser.add_mutually_exclusive_group()
    edits.add_argument(
        "--relabel", nargs=2, metavar=("QUESTION_ID", "ANSWER"), help="give this question another answer"
    )
    edits.add_argument("--drop", metavar="QUESTION_ID", help="leave this question out of training")
    edits.add_argument("--undo", metavar="QUESTION_ID", help="train on this question as in the data again")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the questions, or makes an edit."""
    folder = RunFolder.find(arguments.run)
    questions = _questions_of(folder)
    if arguments.relabel is not None:
        return _edit(arguments, folder, questions, arguments.relabel[0], "relabel", arguments.relabel[1])
    if arguments.drop is not None:
        return _edit(arguments, folder, questions, arguments.drop, "drop")
    if arguments.undo is not None:
        return _edit(arguments, folder, questions, arguments.undo, "restore")
    return _list(arguments, folder, questions)


def _questions_of(folder: RunFolder) -> CuratedQuestions:
    from looptop.engine.vqa.curation.journal import CurationJournal
    from looptop.engine.vqa.curation.questions import read_questions

    questions = read_questions(CurationJournal(folder.db))
    if not len(questions):
        why = (
            "an older version made it, or it has not started to train"
            if folder.kind == "vqa"
            else f"it is a {folder.kind} run"
        )
        raise LooptopError(f"{folder.id} has not recorded its training questions: {visible(why)}")
    return questions


def _edit(
    arguments: Arguments,
    folder: RunFolder,
    questions: CuratedQuestions,
    question_id: str,
    kind: EditKind,
    answer: str = "",
) -> int:
    from looptop.engine.vqa.curation.edits import record_edit

    if arguments.filter:
        raise LooptopError(
            f"a filter ('{visible(' '.join(arguments.filter))}') has no effect beside an edit; put an answer of several"
            " words in quotes"
        )
    row = questions.row_of(question_id)
    control = record_edit(folder, row, kind, answer, by="cli")
    done = {
        "relabel": f"its answer is {visible_answer(answer.strip())}",
        "drop": "it is left out of training",
        "restore": "it is trained on as in the data",
    }[kind]
    text = f"{question_id}: {done}, once the run is resumed, and in runs made like it"
    return wait_and_print_reply(folder, control, kind, text, as_json=arguments.json)


def _list(arguments: Arguments, folder: RunFolder, questions: CuratedQuestions) -> int:
    from looptop.engine.vqa.curation.questions import HARD_FIRST, SORT_KEYS, parse

    if arguments.limit < 1:
        raise LooptopError(f"--limit is {arguments.limit}; it must be at least 1")
    words = " ".join(arguments.filter)
    key = next(key for key in SORT_KEYS if key == arguments.sort)
    rows = questions.arranged(parse(words) if words.strip() else None, (key, HARD_FIRST[key]))
    shown = [questions[row] for row in rows[: arguments.limit].tolist()]
    if arguments.json:
        say_json(
            {
                "run": folder.id,
                "questions": len(questions),
                "accepted": len(rows),
                "edited": len(questions.edits),
                "dropped": questions.dropped,
                "epochs": [epoch.epoch for epoch in questions.epochs],
                "shown": [_plain(questions, each) for each in shown],
            }
        )
        return 0
    header = ["question_id", "loss", "confidence", "variability", "answer", "edit", "question", "image"]
    for line in table(header, [_row(each) for each in shown], right=["loss", "confidence", "variability"]):
        say(line)
    say()
    say(_summary(questions, len(rows), len(shown)))
    return 0


def _summary(questions: CuratedQuestions, accepted: int, shown: int) -> str:
    epochs = len(questions.epochs)
    words = [
        f"{shown:,} of {counted(accepted, 'question')}",
        *([f"{len(questions):,} in all"] if accepted < len(questions) else []),
        counted(epochs, "epoch") if epochs else "no epoch is complete yet",
    ]
    if questions.edits:
        words.append(
            f"{len(questions.edits) - questions.dropped:,} with another answer, {questions.dropped:,} left out"
        )
    return "; ".join(words)


def _row(each: CuratedQuestion) -> list[str]:
    edit = "left out" if each.is_dropped else "" if each.edited_answer is None else f"→ {_short(each.edited_answer)}"
    return [
        visible(each.question_id),
        "-" if math.isnan(each.loss) else number(each.loss),
        "-" if math.isnan(each.confidence) else probability(each.confidence),
        "-" if math.isnan(each.variability) else f"{each.variability:.3f}",
        _short(each.answer),
        edit,
        _short(each.question),
        visible(each.image_name),
    ]


def _short(text: str) -> str:
    return cut(visible_answer(text), SHOWN_CHARACTERS)


def _plain(questions: CuratedQuestions, each: CuratedQuestion) -> dict[str, Any]:
    return {
        "question_id": each.question_id,
        "image": each.image,
        "question": each.question,
        "answer": each.answer,
        "edited_answer": each.edited_answer,
        "dropped": each.is_dropped,
        "loss": each.loss,
        "confidence": each.confidence,
        "variability": each.variability,
        "confidences": questions.confidences(each.row).tolist(),
    }
