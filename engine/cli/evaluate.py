"""`looptop eval`: measures a model's accuracy on a split of a data set, from the answers that it writes."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from looptop.engine import config as configuration
from looptop.engine.cli.answers import answer_all
from looptop.engine.cli.arguments import CommonArguments, add_device, add_json
from looptop.engine.cli.output import note, percent, quiet_libraries, say, say_json
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

EXAMPLES = """\
  looptop eval bundled
  looptop eval vqa-3 --limit 1000
  looptop eval vqa-3 --data easy-vqa:validation
  looptop eval vqa-3 --data my_folder --json
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    model: str
    data: str | None
    settings: list[str]
    limit: int | None
    device: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("model", metavar="MODEL", help="`bundled`, a run such as vqa-3, or a folder")
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
    """Measures the accuracy and prints it."""
    if arguments.limit is not None and arguments.limit < 1:
        raise LooptopError(f"--limit {arguments.limit} leaves no question; it must be at least 1")
    with quiet_libraries():
        from looptop.engine.vqa.answering import Answerer

        answerer = Answerer.load(arguments.model, device=arguments.device)
        source, rows = _rows(arguments)
        bad: dict[str, None] = {}
        answers = answer_all(
            answerer, [(row["image"], row["question"]) for row in rows], lambda _, error: bad.setdefault(str(error))
        )
    for sentence in bad:
        note(f"left out: {visible(sentence)}")
    answered = [(row, answer) for row, answer in zip(rows, answers, strict=True) if answer is not None]
    if not answered:
        raise LooptopError(f"none of the {len(rows)} questions could be answered; the first: {next(iter(bad))}")
    accuracy, by_type = _measure(answered)
    if arguments.json:
        say_json({"accuracy": accuracy, "n": len(answered), "by_answer_type": by_type})
        return 0
    say(f"{percent(accuracy, 2)} of {len(answered):,} questions of {visible(source)}")
    for answer_type, figure in sorted(by_type.items()):
        say(f"  {visible(answer_type):12} {percent(figure, 2):>8}")
    return 0


def _rows(arguments: Arguments) -> tuple[str, list[dict[str, Any]]]:
    """The name of the data that the arguments choose, and its rows."""
    from looptop.engine.vqa.data.load import load_data, load_split
    from looptop.engine.vqa.data.problems import Problem, Problems

    run_id = arguments.model.partition(":")[0]
    trained = RunFolder.named(run_id)
    config = configuration.override(trained.config() if trained else configuration.preset("tiny"), arguments.settings)
    if not isinstance(config, VqaRunConfig):
        raise LooptopError(
            f"{run_id} is a {config.kind} run; eval measures models that answer questions about images, see"
            f" `looptop show {run_id}`"
        )
    seed = config.training.seed
    unlimited = msgspec.structs.replace(config.data, start_at=None, end_at=None, max_images=None, max_questions=None)
    problems = Problems()

    def on_problem(problem: Problem) -> None:
        problems.add(problem.kind, problem.name, problem.detail)

    if arguments.data is not None:
        source, dataset = arguments.data, load_split(arguments.data, unlimited, seed, on_problem)
    else:
        splits = load_data(config.data, seed)
        source = f"{config.data.source}:validation"
        dataset = splits.validation
        if splits.test is not None:  # all of it, without the run's limits on the size of each split
            source = f"{config.data.source}:test"
            dataset = load_split(source, unlimited, seed, on_problem)
    for kind, examples in problems.summary():
        note(f"left out: {kind}: {examples}")
    if arguments.limit is not None:
        dataset = dataset.select(range(min(arguments.limit, len(dataset))))
    return source, dataset.to_list()


def _measure(answered: Sequence[tuple[Mapping[str, Any], str]]) -> tuple[float, dict[str, float]]:
    """The accuracy on all questions, and on each type of answer."""
    from looptop.engine.vqa.accuracy import vqa_score

    by_type: defaultdict[str, list[float]] = defaultdict(list)
    for row, answer in answered:
        by_type[row["answer_type"]].append(vqa_score(answer, row["answers"]))
    total = sum(sum(scores) for scores in by_type.values())
    return total / len(answered), {name: sum(scores) / len(scores) for name, scores in by_type.items()}
