"""`looptop eval`: measures a model's accuracy on a split of a data set, and how far the figures can be trusted."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_device, add_json
from looptop.engine.cli.evaluation_text import comparison_lines, evaluation_lines
from looptop.engine.cli.output import duration, note, quiet_libraries, say, say_json
from looptop.engine.cli.progress import Progress, Status, progress_on
from looptop.engine.errors import LooptopError
from looptop.engine.runs.progress import ProgressMeter, progress_text
from looptop.engine.startup.preflight import refuse_unusable_data
from looptop.engine.text import visible
from looptop.engine.vqa.evaluation.comparison import Comparison, compare
from looptop.engine.vqa.evaluation.report import report_on
from looptop.engine.vqa.evaluation.settings import config_of_data
from looptop.engine.vqa.model.saved_models import folder_of

if TYPE_CHECKING:
    from looptop.engine.vqa.evaluation.evaluate import Evaluated

EXAMPLES = """\
  looptop eval bundled
  looptop eval vqa-3 --compare bundled
  looptop eval vqa-3 --data easy-vqa:validation
  looptop eval vqa-3 --data my_folder --limit 1000 --json
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    model: str
    compare: str | None
    data: str | None
    settings: list[str]
    limit: int | None
    device: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument(
        "model", metavar="MODEL", help="`bundled`, a run such as vqa-3, one of its checkpoints, or a folder"
    )
    parser.add_argument("--compare", metavar="MODEL", help="a second model to compare with, on the same questions")
    parser.add_argument(
        "--data",
        metavar="SOURCE[:SPLIT]",
        help="easy-vqa:test (the default), easy-vqa:validation, a folder; for a run, its own data's test or validation "
        "split is the default",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="another setting of the data, such as data.annotations=A.json for vqa-v2; may be given several times",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    add_device(parser)
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Evaluates one or two models and prints the figures."""
    if arguments.limit is not None and arguments.limit < 1:
        raise LooptopError(f"--limit {arguments.limit} leaves no question; it must be at least 1")
    for model in filter(None, [arguments.model, arguments.compare]):
        folder_of(model)  # before torch is loaded and the other model is evaluated
    refuse_unusable_data(config_of_data(arguments.model, arguments.data, tuple(arguments.settings)))
    with quiet_libraries(), _progress() as progress:
        first = _evaluate(arguments, arguments.model, progress)
        second = _evaluate(arguments, arguments.compare, progress) if arguments.compare is not None else None
    for sentence in dict.fromkeys([*first.notes, *(second.notes if second else [])]):
        note(visible(sentence))
    report = report_on(first.results)
    comparison = None
    if second is not None:
        comparison = compare(first.evaluation, first.results, second.evaluation, second.results)
    if arguments.json:
        say_json(_json(first, msgspec.to_builtins(report), comparison))
        return 0
    for line in evaluation_lines(first.evaluation, report):
        say(line)
    if comparison is not None:
        for line in comparison_lines(comparison):
            say(line)
    return 0


def _evaluate(arguments: Arguments, model: str, progress: Progress) -> Evaluated:
    from looptop.engine.vqa.evaluation.evaluate import evaluate

    return evaluate(
        model,
        arguments.data,
        tuple(arguments.settings),
        arguments.limit,
        arguments.device,
        arguments.model,
        _Reporter(progress, model),
    )


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    with contextlib.closing(progress_on(sys.stderr)) as progress:
        yield progress


class _Reporter:
    """Shows what an evaluation is doing, how far it is, and how long it will still take."""

    def __init__(self, progress: Progress, model: str) -> None:
        self._progress = progress
        self._model = model
        self._meter = ProgressMeter()

    def __call__(self, text: str, done: int, total: int) -> None:
        now = self._meter.measure(text, done, total)
        self._progress.show(
            Status(f"eval {self._model}", "", done / total if total else 0.0, [progress_text(now, duration)])
        )


def _json(first: Evaluated, report: dict[str, Any], comparison: Comparison | None) -> dict[str, Any]:
    """All figures; the first three keys are those of earlier versions."""
    return {
        "accuracy": first.evaluation.accuracy.value,
        "n": len(first.results),
        "by_answer_type": {group["name"]: group["accuracy"]["value"] for group in report["by_answer_type"]},
        "evaluation": msgspec.to_builtins(first.evaluation),
        "report": report,
        "comparison": None if comparison is None else msgspec.to_builtins(comparison),
    }
