"""Runs `looptop` commands as a person would, and reads their output."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


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
