"""Runs one part in this process and writes its checks as JSON lines: `python -m scripts.gpu.part PART ...`.

All other prints of the part or of a library go to stderr, which is the part's log.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

import msgspec

from scripts.gpu.checks import Check, Checks


def main() -> None:
    """Runs the part that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu.part")
    parser.add_argument("part")
    parser.add_argument("--package", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trl", type=Path)
    given = parser.parse_args()
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def emit(check: Check) -> None:
        lines.write(msgspec.json.encode(check) + b"\n")

    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ["LOOPTOP_HOME"] = str(given.folder / "home")
    os.environ["HF_HUB_OFFLINE"] = "1"
    checks = Checks(given.part, given.device, given.quick, given.folder, given.trl, emit)
    import_module(f"{given.package}.{given.part}").run(checks)


if __name__ == "__main__":
    main()
