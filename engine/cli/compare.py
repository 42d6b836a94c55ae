"""`looptop compare`: compares a PPO run's model before and after training, on queries that it never saw."""

from __future__ import annotations

import argparse

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_device, add_json, add_trust
from looptop.engine.cli.batches import ppo_run
from looptop.engine.cli.output import note, number, quiet_libraries, say, say_json, table
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.before_after import CompareFigure, ComparePair, CompareResult, save
from looptop.engine.runs.trust import require_trust
from looptop.engine.text import counted, visible

EXAMPLES = """\
  looptop compare ppo-3
  looptop compare ppo-3 --n 500 --pairs 10
  looptop compare ppo-3 --data articles.jsonl --json
"""

QUERY_SHOWN = 160


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    data: str | None
    n: int
    pairs: int
    seed: int | None
    device: str
    trust: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a PPO run with a result or a checkpoint, such as ppo-3")
    parser.add_argument("--data", metavar="SOURCE", help="other queries: a file, a data set's name, newsroom:SEED")
    parser.add_argument("--n", type=int, default=200, metavar="N", help="how many queries at most (default: 200)")
    parser.add_argument(
        "--pairs",
        type=int,
        default=3,
        metavar="N",
        help="how many of the largest gains and losses to print (default: 3)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the random numbers (default: the run's)")
    add_device(parser)
    add_trust(parser)
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Compares, saves the result in the run's folder if that can be written, and prints it."""
    if arguments.n < 2:
        raise LooptopError(f"--n {arguments.n} is too few to compare; give at least 2")
    folder, _ = ppo_run(arguments.run)
    require_trust(folder, trust=arguments.trust)
    with quiet_libraries():
        from looptop.engine.ppo.paired_comparison import compare_with_reference

        result = compare_with_reference(folder, arguments.n, arguments.data, arguments.device, arguments.seed)
    if result.n < arguments.n:
        note(f"the data holds out only {counted(result.n, 'query', 'queries')}; choose others with --data")
    try:
        save(result, folder.path)
    except LooptopError as error:  # The home is read-only or the disk is full; the result is still printed.
        note(f"looptop: {error}; this comparison is not saved with {folder.id}")
    if arguments.json:
        say_json(msgspec.to_builtins(result))
        return 0
    queries = counted(result.n, "query", "queries")
    say(f"{folder.id}: reference and tuned model on {queries} of {result.data}, with the same random numbers")
    say()
    header = ["", "before", "after", "difference", "95 % interval", "p"]
    for line in table(header, [_row(name, figure) for name, figure in result.figures.items()], right=header[1:]):
        say(line)
    for title, pairs in _gains_and_losses(result, arguments.pairs):
        if pairs:
            say()
            say(title)
        for pair in pairs:
            _print_pair(pair)
    return 0


def _row(name: str, figure: CompareFigure) -> list[str]:
    interval = f"{number(figure.low)} to {number(figure.high)}" if figure.low == figure.low else "-"
    p = "-" if figure.p != figure.p else f"{figure.p:.1g}"
    return [name, number(figure.before), number(figure.after), number(figure.difference), interval, p]


def _gains_and_losses(result: CompareResult, count: int) -> list[tuple[str, list[ComparePair]]]:
    ordered = sorted(result.rows, key=lambda pair: pair.change)
    count = min(count, len(ordered) // 2)
    return [
        ("The largest gains in reward:", ordered[::-1][:count]),
        ("The largest losses, or the smallest gains:", ordered[:count]),
    ]


def _print_pair(pair: ComparePair) -> None:
    query = visible(pair.query)
    say(f"  query   {query[:QUERY_SHOWN]}{'…' if len(query) > QUERY_SHOWN else ''}")
    say(f"  before  {pair.reward_before:8.3f}  {visible(pair.before)}")
    say(f"  after   {pair.reward_after:8.3f}  {visible(pair.after)}")
    say()
