"""Runs `looptop` commands as a person would, and reads what they print."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def told(*words: str) -> dict[str, Any]:
    """What `looptop WORDS --json` prints; its progress goes on to stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "looptop.engine.cli", *words, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
