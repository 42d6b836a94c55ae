"""`looptop ask`: answers one question about one image, or about every image in a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json, add_model
from looptop.engine.cli.output import note, probability, quiet_libraries, say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.home import is_read_only
from looptop.engine.text import visible, visible_answer
from looptop.engine.vqa.answers.records import MIN_SHOWN_PROBABILITY, Answer
from looptop.engine.vqa.confidence.doubts import doubt_text, unchecked_text
from looptop.engine.vqa.images.decode import open_image
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.model_card import calibrate_helps

EXAMPLES = """\
  looptop ask photo.png "what shape is it?"
  looptop ask photo.png "is it red?" --model vqa-3 --top 2
  looptop ask photo.png "is it red?" --model vqa-3:checkpoint-400 --json
  looptop ask --images photos "is it red?"
  looptop ask --images photos "is it red?" --out answers.csv

Questions and answers are kept in looptop's home, and are among the earlier questions of the app's Ask screen. Answers
about a folder are kept as they come: if the command ends early, run it again to continue.
"""

BAR_CELLS = 30

DEFAULT_CANDIDATES = 5
MAX_CANDIDATES = 100
"""More candidates would take long to search, and nobody reads them."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    image: str
    question: str
    images: str | None
    out: str
    model: str
    device: str
    top: int | None
    json: bool


class _ImagesAction(argparse.Action):
    """`--images FOLDER`: then IMAGE is not given, so that the question is the only word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        setattr(namespace, self.dest, values)
        for action in parser._actions:
            if action.dest == "question":
                action.required = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("image", metavar="IMAGE", help="an image file; leave it out with --images")
    parser.add_argument("question", default="", metavar="QUESTION", help="the question, in quotes")
    parser.add_argument(
        "--images", action=_ImagesAction, metavar="FOLDER", help="ask about every image in a folder and those below it"
    )
    parser.add_argument(
        "--out", default="", metavar="FILE", help="with --images: a .csv or .jsonl file to write instead of the table"
    )
    add_model(parser)
    parser.add_argument("--top", type=int, metavar="N", help="how many candidates to print (default: 5)")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the answer, the candidates and the tokens; of many images a table."""
    if arguments.images is not None:
        return _run_many(arguments, arguments.images)
    top = DEFAULT_CANDIDATES if arguments.top is None else arguments.top
    if not 1 <= top <= MAX_CANDIDATES:
        raise LooptopError(f"--top is {top}; it must be from 1 to {MAX_CANDIDATES}")
    if arguments.out:
        raise LooptopError("--out has no effect for one image; give --images FOLDER, or leave --out out of the command")
    if not arguments.image:
        raise LooptopError("IMAGE is empty; give the path of an image file")
    if not arguments.question.strip():
        raise LooptopError("the question is empty; ask something about the image")
    # Both before torch is loaded, which takes seconds.
    folder_of(arguments.model)
    image = open_image(arguments.image)
    with quiet_libraries():
        from looptop.engine.vqa.answers.answerer import Answerer

        answerer = Answerer.load(arguments.model, device=arguments.device)
        answer = answerer.answer(image, arguments.question, top=top)
    try:
        _print(answer, arguments.json)
        sys.stdout.flush()  # before the history is opened, which may have to wait for another looptop
    finally:  # also if only the first line was read, as by `head`
        _keep(Path(arguments.image), arguments.question, answer)
    return 0


def _keep(image: Path, question: str, answer: Answer) -> None:
    """Adds the answer to the earlier questions; if that fails, a sentence says so."""
    if is_read_only():
        return
    from looptop.engine.asked.many import ImageQuestion, new_entry
    from looptop.engine.asked.questions import AskedQuestions
    from looptop.engine.asked.stamps import model_stamp

    asked = AskedQuestions()
    about = ImageQuestion(image.absolute(), question.strip())
    asked.add([new_entry(about, answer, model_stamp(answer.model), in_table=False)])
    if asked.trouble:
        note(asked.trouble)


def _print(answer: Answer, as_json: bool) -> None:
    for doubt in answer.doubts:
        note(doubt_text(doubt))
    if as_json:
        say_json(
            {
                "answer": answer.answer,
                "confidence": answer.confidence,
                "raw_confidence": answer.raw_confidence,
                "calibrated": answer.calibrated,
                "doubts": msgspec.to_builtins(answer.doubts),
                "unchecked": answer.unchecked,
                "candidates": msgspec.to_builtins(answer.candidates),
                "tokens": msgspec.to_builtins(answer.tokens),
                "model": answer.model,
            }
        )
        return
    raw = f"raw: {probability(answer.raw_confidence)}" if answer.calibrated else "raw, not calibrated"
    say(f"{visible_answer(answer.answer)}  ({probability(answer.confidence)}; {raw})")
    say()
    others = "other answers"
    names = [visible_answer(each.answer) for each in answer.candidates] + [others] * (
        answer.other_confidence >= MIN_SHOWN_PROBABILITY
    )
    width = min(40, max(map(len, names)))
    for each in answer.candidates:
        bar = "#" * round(each.confidence * BAR_CELLS)
        say(f"  {visible_answer(each.answer):{width}}  {probability(each.confidence):>7}  {bar}".rstrip())
    if answer.other_confidence >= MIN_SHOWN_PROBABILITY:
        say(f"  {others:{width}}  {probability(answer.other_confidence):>7}")
    if answer.undecided:
        say("  the model is undecided: another answer may be likelier")
    say()
    say("  tokens: " + "  ".join(f"{visible(each.token)} {probability(each.probability)}" for each in answer.tokens))
    if answer.unchecked:
        helps = calibrate_helps(answer.model, answer.calibrated, answer.unchecked)
        say(f"  {unchecked_text(answer.unchecked, calibrate_helps=helps)}")


def _run_many(arguments: Arguments, folder: str) -> int:
    from looptop.engine.cli.ask_many import ask_folder

    if arguments.question:
        raise LooptopError("--images replaces IMAGE; give only the folder and the question")
    if arguments.top is not None:
        raise LooptopError("--top has no effect with --images, which prints one answer per image; leave it out")
    return ask_folder(
        folder, arguments.image, arguments.model, arguments.device, out=arguments.out, as_json=arguments.json
    )
