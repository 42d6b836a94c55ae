"""`looptop ask`: answers one question about one image."""

from __future__ import annotations

import argparse

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json, add_model
from looptop.engine.cli.output import note, probability, quiet_libraries, say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.text import visible, visible_answer
from looptop.engine.vqa.answer_records import MIN_SHOWN_PROBABILITY
from looptop.engine.vqa.doubt_text import doubt_text
from looptop.engine.vqa.images.decode import open_image

EXAMPLES = """\
  looptop ask photo.png "what shape is it?"
  looptop ask photo.png "is it red?" --model vqa-3 --top 2
  looptop ask photo.png "is it red?" --model vqa-3:checkpoint-400 --json
"""

BAR_CELLS = 30

MAX_CANDIDATES = 100
"""More candidates would take long to search, and nobody reads them."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    image: str
    question: str
    model: str
    device: str
    top: int
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("image", metavar="IMAGE", help="an image file")
    parser.add_argument("question", metavar="QUESTION", help="the question, in quotes")
    add_model(parser)
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many candidates to print (default: 5)")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the answer, the candidates and the tokens."""
    if not 1 <= arguments.top <= MAX_CANDIDATES:
        raise LooptopError(f"--top is {arguments.top}; it must be from 1 to {MAX_CANDIDATES}")
    if not arguments.image:
        raise LooptopError("IMAGE is empty; give the path of an image file")
    if not arguments.question.strip():
        raise LooptopError("the question is empty; ask something about the image")
    image = open_image(arguments.image)  # before torch is loaded, which takes seconds
    with quiet_libraries():
        from looptop.engine.vqa.answering import Answerer

        answerer = Answerer.load(arguments.model, device=arguments.device)
        answer = answerer.answer(image, arguments.question, top=arguments.top)
    for doubt in answer.doubts:
        note(doubt_text(doubt))
    if arguments.json:
        say_json(
            {
                "answer": answer.answer,
                "confidence": answer.confidence,
                "raw_confidence": answer.raw_confidence,
                "calibrated": answer.calibrated,
                "doubts": msgspec.to_builtins(answer.doubts),
                "candidates": msgspec.to_builtins(answer.candidates),
                "tokens": [{"token": each.token, "probability": each.probability} for each in answer.tokens],
                "model": answer.model,
            }
        )
        return 0
    raw = f"raw: {probability(answer.raw_confidence)}" if answer.calibrated else "raw, not calibrated"
    say(f"{visible_answer(answer.answer)}  ({probability(answer.confidence)}; {raw})")
    say()
    others = "other answers"
    names = [visible_answer(each.answer) for each in answer.candidates] + [others] * (
        answer.others >= MIN_SHOWN_PROBABILITY
    )
    width = min(40, max(map(len, names)))
    for each in answer.candidates:
        bar = "#" * round(each.confidence * BAR_CELLS)
        say(f"  {visible_answer(each.answer):{width}}  {probability(each.confidence):>7}  {bar}".rstrip())
    if answer.others >= MIN_SHOWN_PROBABILITY:
        say(f"  {others:{width}}  {probability(answer.others):>7}")
    if answer.undecided:
        say("  the model is undecided: another answer may be likelier")
    say()
    say("  tokens: " + "  ".join(f"{visible(each.token)} {probability(each.probability)}" for each in answer.tokens))
    return 0
