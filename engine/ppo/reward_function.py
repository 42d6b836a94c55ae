"""A Python function as a reward; run as a program, this module tries such a function on sample texts.

`python -m looptop.engine.ppo.reward_function NAME FUNCTION` reads two lists of texts from stdin as JSON, calls the
function with them, and prints one JSON string: what is wrong, or nothing. It runs in a process of its own,
because the function may print, import torch, hang or exit. This module does not import torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import numbers
import os
import sys
import traceback
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.paths import path_of
from looptop.engine.text import counted, visible

LARGEST_SCORE = 1e18
"""The largest score, weighted or not: the update squares rewards, and its 32-bit numbers end at 3.4e38."""


class Function:
    """A person's own function.

    Args:
        name: `module:function` or `file.py:function`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        module, _, function = name.rpartition(":")
        if not module or not function.isidentifier():
            raise LooptopError(f"the reward function '{visible(name)}' is not of the form module:function")
        self.function: Callable[..., Any] = getattr(_module(module, name), function, None)  # type: ignore[assignment]
        if not callable(self.function):
            raise LooptopError(f"there is no function '{visible(function)}' in {visible(module)}, a reward's function")

    def __call__(self, queries: Sequence[str], responses: Sequence[str]) -> list[float]:
        """The function's scores, which it may give as a list, an array or a tensor.

        Raises:
            LooptopError: It gave something else.
        """
        given = self.function(list(queries), list(responses))
        scores = given.tolist() if hasattr(given, "tolist") else given
        # A set has no order, and what has keys (a dict, a table of pandas) gives these instead of its values.
        unordered = isinstance(scores, str | bytes | Set) or hasattr(scores, "keys")
        if unordered or not hasattr(scores, "__len__"):
            raise LooptopError(
                f"the reward function {visible(self.name)} gave {visible(repr(given))[:80]};"
                " it must give a list of numbers, one for each response"
            )
        return list(scores)


def checked(name: str, scores: Sequence[Any], responses: Sequence[str], weight: float = 1.0) -> list[float]:
    """The scores of the reward `name` as numbers.

    Args:
        name: The reward's name.
        scores: What it gave.
        responses: The responses that it scored.
        weight: The weight by which the scores are multiplied.

    Raises:
        LooptopError: A score is not a finite number or is too large, or there are more or fewer of them than responses.
    """
    if len(scores) != len(responses):
        raise LooptopError(
            f"the reward {name} gave {counted(len(scores), 'score')} for {counted(len(responses), 'response')}"
        )
    for row, (score, response) in enumerate(zip(scores, responses, strict=True)):
        if what := _unusable(score, weight):
            raise LooptopError(
                f"the reward {name} gave {visible(repr(score))[:40]} for sample {row}, which {what};"
                f" the response is: {visible(response)[:80]!r}"
            )
    return [float(score) for score in scores]


def _unusable(score: Any, weight: float) -> str:
    """Why a run cannot compute with a score, in words; empty if it can."""
    is_number = isinstance(score, numbers.Real) and not isinstance(score, bool)
    size: Any = abs(score) if is_number else math.nan
    if not size < math.inf:
        return "is not a finite number"
    if size > LARGEST_SCORE / max(1.0, abs(weight)):
        times = f" at its weight of {weight:g}" if abs(weight) > 1 else ""
        return f"is larger than a run can compute with ({LARGEST_SCORE:g}){times}"
    return ""


def _module(source: str, name: str) -> Any:
    try:
        if source.endswith(".py"):
            path = path_of(source)
            spec = importlib.util.spec_from_file_location(f"looptop_reward_{path.stem}", path)
            if spec is None or spec.loader is None or not path.is_file():
                raise LooptopError(f"there is no file {visible(source)}, which a reward's function should be in")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        raise LooptopError(f"the reward function '{visible(name)}' cannot be imported: {visible(error)}") from None


def what_is_wrong(name: str, function: str, queries: Sequence[str], responses: Sequence[str]) -> str:
    """Calls a reward's function with sample texts.

    Args:
        name: The name of the reward.
        function: The function's name in the configuration.
        queries: Sample texts.
        responses: The same number of sample texts.

    Returns:
        What is wrong with the function, in a sentence; empty if nothing is.
    """
    doing = "cannot be imported"
    try:
        scorer = Function(function)
        doing = "failed on two sample texts"
        checked(name, scorer(queries, responses), responses)
    except LooptopError as error:
        return str(error)
    except BaseException as error:
        what = (
            "it ends the process" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error_text(error)}"
        )
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"the reward function '{visible(function)}' {doing}: {what} ({visible(Path(frame.filename).name)}"
            f" line {frame.lineno})"
        )
    return ""


def main() -> None:
    """Runs the program."""
    answer = os.dup(1)
    os.dup2(2, 1)  # the function may print
    name, function = sys.argv[1:]
    queries, responses = json.loads(sys.stdin.buffer.read())
    problem = what_is_wrong(name, function, queries, responses)
    os.write(answer, json.dumps(problem).encode())
    os._exit(0)  # does not wait for threads of the function


if __name__ == "__main__":
    main()
