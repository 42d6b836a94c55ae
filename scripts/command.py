"""Runs `looptop` commands as a person would, and reads their output; reads the command line of a script."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any


def chosen_parts(script: str, parts: Iterable[str]) -> list[str]:
    """The parts of a script (`python -m SCRIPT`) that its command line names, in that order; all of them if it names
    none.

    Raises:
        SystemExit: It names something else, or asks for help.
    """
    names = list(parts)
    parser = argparse.ArgumentParser(prog=f"python -m {script}")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of: {', '.join(names)}")
    chosen: list[str] = parser.parse_args().parts
    for name in chosen:
        if name not in names:
            parser.error(f"there is no part '{name}'; choose from: {', '.join(names)}")
    return chosen or names


def looptop(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs `looptop WORDS`; its progress is shown on stderr."""
    command = [sys.executable, "-m", "looptop.engine", *map(str, words)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)


def json_of(*words: object) -> dict[str, Any]:
    """The JSON object that `looptop WORDS --json` prints."""
    done = looptop(*words, "--json")
    assert done.stdout, f"looptop {words[0]} ended with exit code {done.returncode} and printed nothing"
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed
