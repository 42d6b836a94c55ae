"""`looptop score`: computes the official VQA accuracy of a results file."""

from __future__ import annotations

import argparse

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import say, say_json, table
from looptop.engine.text import visible
from looptop.engine.vqa.accuracy import score_files

EXAMPLES = """\
  looptop predict vqa-3 --questions Q.json --images DIR --out R.json
  looptop score --annotations A.json --questions Q.json --results R.json
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    annotations: str
    questions: str
    results: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("--annotations", required=True, metavar="A", help="the official annotations file")
    parser.add_argument("--questions", required=True, metavar="Q", help="the official questions file")
    parser.add_argument("--results", required=True, metavar="R", help="a JSON list of question_id and answer")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the accuracy."""
    official = score_files(arguments.annotations, arguments.questions, arguments.results)
    if arguments.json:
        say_json(official.as_printed())
        return 0
    rows = [["overall", f"{official.overall:.2f}"]]
    for kinds in (official.per_answer_type, official.per_question_type):
        rows += [["", ""]] + [[visible(kind), f"{figure:.2f}"] for kind, figure in sorted(kinds.items())]
    for line in table(["", "accuracy, %"], rows, right=["accuracy, %"]):
        say(line)
    return 0
