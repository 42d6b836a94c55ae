"""`looptop predict`: answers a questions file into the results file that the official program scores."""

from __future__ import annotations

import argparse

from looptop.engine.cli.answers import answer_all
from looptop.engine.cli.arguments import CommonArguments, add_device, add_json
from looptop.engine.cli.kept_answers import KeptAnswers
from looptop.engine.cli.output import note, quiet_libraries, say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.paths import path_of
from looptop.engine.text import counted, visible
from looptop.engine.vqa.data.official_files import check_writable, read_questions, write_results
from looptop.engine.vqa.data.vqa_v2 import ImageFolder
from looptop.engine.vqa.model.saved_models import folder_of

EXAMPLES = """\
  looptop predict vqa-3 --questions Q.json --images val2014 --out R.json
  looptop score --annotations A.json --questions Q.json --results R.json

The official program needs a result for each question, so a question that cannot be answered gets an empty answer.
Answers are saved in R.json.partial until all are written: if the command ends early, run it again to continue.
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    model: str
    questions: str
    images: str
    out: str
    device: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("model", metavar="MODEL", help="`bundled`, a run such as vqa-3, or a folder")
    parser.add_argument("--questions", required=True, metavar="Q", help="the official questions file")
    parser.add_argument("--images", required=True, metavar="DIR", help="a folder of images, COCO names or IMAGE_ID.jpg")
    parser.add_argument("--out", required=True, metavar="R", help="where the results file is written")
    add_device(parser)
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Answers the questions and writes the results file."""
    out = path_of(arguments.out)
    if not out.absolute().parent.is_dir():
        raise LooptopError(f"cannot write {visible(out)}: there is no folder {visible(out.absolute().parent)}")
    check_writable(out)
    folder = folder_of(arguments.model)  # before torch is loaded, which takes seconds
    questions = read_questions(arguments.questions)
    if not questions:
        raise LooptopError(f"{visible(arguments.questions)} holds no questions")
    images = ImageFolder(arguments.images)
    paths = [images.find(question.image_id) for question in questions]
    with quiet_libraries():
        from looptop.engine.vqa.answers.answerer import Answerer

        answerer = Answerer.load(arguments.model, device=arguments.device)
        bad: dict[int, str] = {}
        asked = [
            (path or str(images.path / f"{question.image_id}.jpg"), question.question)
            for path, question in zip(paths, questions, strict=True)
        ]
        kept = KeptAnswers(out, folder, asked)
        if kept.earlier:
            note(f"already in {visible(kept.path)}: {len(kept.earlier):,} of {counted(len(questions), 'answer')}")
        answers = answer_all(answerer, asked, lambda index, error: bad.setdefault(index, str(error)), kept)
        if kept.trouble:
            note(kept.trouble)
    if len(bad) == len(questions):
        kept.remove()
        raise LooptopError(f"none of the {counted(len(questions), 'question')} could be answered; the first: {bad[0]}")
    for index, sentence in bad.items():
        note(f"question {visible(questions[index].question_id)} has no answer: {visible(sentence)}")
    write_results(
        out,
        [(question.question_id, answer or "") for question, answer in zip(questions, answers, strict=True)],
    )
    kept.remove()
    if arguments.json:
        say_json({"out": str(out), "n": len(questions), "unanswered": len(bad)})
    else:
        say(f"{len(questions) - len(bad):,} of {counted(len(questions), 'question')} answered, in {visible(out)}")
    return 0
