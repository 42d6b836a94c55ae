"""Where the installed `looptop` command begins. It imports nothing before it is ready for ctrl-C."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line; gives its exit code."""
    try:
        from looptop.engine.cli.main import main as run

        return run()
    except KeyboardInterrupt:  # Before the command was there to take it.
        sys.stderr.write("looptop: interrupted\n")
        return 130
