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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.paths import path_of
from looptop.engine.text import counted, visible


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
        """The function's scores, which it may give as a list, an array or a tensor."""
        scores = self.function(list(queries), list(responses))
        if isinstance(scores, str | bytes) or not hasattr(scores, "__len__"):
            raise LooptopError(
                f"the reward function {visible(self.name)} gave {visible(repr(scores))[:80]};"
                " it must give a list of numbers, one for each response"
            )
        return scores.tolist() if hasattr(scores, "tolist") else list(scores)


def checked(name: str, scores: Sequence[Any], responses: Sequence[str]) -> list[float]:
    """The scores of the reward `name` as numbers.

    Raises:
        LooptopError: A score is not a finite number, or there are more or fewer scores than responses.
    """
    if len(scores) != len(responses):
        raise LooptopError(
            f"the reward {name} gave {counted(len(scores), 'score')} for {counted(len(responses), 'response')}"
        )
    for row, (score, response) in enumerate(zip(scores, responses, strict=True)):
        if not isinstance(score, numbers.Real) or not math.isfinite(score):
            raise LooptopError(
                f"the reward {name} gave {visible(repr(score))[:40]} for sample {row}, which is not a finite number;"
                f" the response is: {visible(response)[:80]!r}"
            )
    return [float(score) for score in scores]


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
