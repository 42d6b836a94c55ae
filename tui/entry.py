"""The `looptop` command: opens the app, and hands every other command to the engine.

It imports nothing before ctrl-C is handled, and imports the app only to open it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder


def main() -> int:
    """Runs the command line; returns its exit code."""
    try:
        from looptop.engine.cli.main import main as run

        return run(open_app=open_app)
    except KeyboardInterrupt:  # before `main` of the command line handles it
        sys.stderr.write("looptop: interrupted\n")
        return 130


def open_app(folder: RunFolder | None) -> int:
    """Opens the app, on a run if one is given; returns its exit code."""
    from looptop.tui.opening import run_app

    return run_app(folder)


if __name__ == "__main__":
    sys.exit(main())
