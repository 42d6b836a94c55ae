"""`looptop generate`: lets a tuned language model respond to a text, or to every text of a file."""

from __future__ import annotations

import argparse

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_device, add_json
from looptop.engine.cli.output import quiet_libraries, say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.paths import path_of
from looptop.engine.text import visible

EXAMPLES = """\
  looptop generate ppo-3 "The council of Oslo announced ..."
  looptop generate ppo-3 articles.jsonl --json
  looptop generate ppo-3 notes.txt            one text a line
  looptop generate bundled:summariser "The council of Oslo announced ..." --prefix "summarize: "
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    model: str
    text: str
    column: str
    prefix: str | None
    max_new_tokens: int | None
    seed: int
    device: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("model", metavar="RUN|FOLDER", help="a PPO run, or a folder or name of a T5 or GPT-2 model")
    parser.add_argument("text", metavar="TEXT|FILE", help="a text, or a .txt, .csv, .jsonl or .parquet file of texts")
    parser.add_argument(
        "--column", default="text", metavar="NAME", help="the column of a table that holds the texts (default: text)"
    )
    parser.add_argument("--prefix", help="written before each text (default: the run's own)")
    parser.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="most tokens of a response (default: the run's own)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random numbers (default: 0)")
    add_device(parser)
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the responses."""
    if arguments.max_new_tokens is not None and arguments.max_new_tokens < 1:
        raise LooptopError(f"--max-new-tokens {arguments.max_new_tokens} leaves no room for a response; give 1 or more")
    with quiet_libraries():
        texts = _texts(arguments.text, arguments.column)
        from looptop.engine.ppo.responding import generate

        responses = generate(
            arguments.model, texts, arguments.prefix, arguments.max_new_tokens, arguments.seed, arguments.device
        )
    if arguments.json:
        say_json({"model": arguments.model, "responses": [msgspec.to_builtins(each) for each in responses]})
        return 0
    for each in responses:
        say(visible(each.response) + ("" if each.ended else "  [cut]"))
    return 0


def _texts(given: str, column: str) -> list[str]:
    """The texts to respond to: the argument itself, or those of the file that it names."""
    path = path_of(given)
    is_file = len(given) < 4096 and path.is_file()
    if is_file and path.suffix.lower() == ".txt":
        try:
            texts = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
        except UnicodeDecodeError:
            raise LooptopError(f"{visible(given)} is not UTF-8 text") from None
    elif is_file:
        from looptop.engine.config.ppo import QueryConfig
        from looptop.engine.ppo.data import read_texts

        texts = read_texts(QueryConfig(source=given, text_column=column))
    else:
        texts = [given] if given.strip() else []
    if not texts:
        raise LooptopError("there is no text to respond to; give one, or a file that holds some")
    return texts
