"""Fuzzes readers with damaged runs and imported files: each must return a result or one clear sentence.

Run it as `make fuzz`, or `python -m scripts.fuzz --count 20000 --seed 3`. It stops at the first failure and prints how
to repeat it. The tests run the same checks with small counts.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from looptop.engine.runs.folder import RunFolder
from tests.factories.damage import (
    COMMANDS,
    VALUES,
    check_commands,
    check_import,
    check_readers,
    columns,
    flip,
    put,
    reframe,
    sample_logs,
    sample_run,
)


def main() -> int:
    """Fuzzes until the count is reached or something fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=2000, help="mutations of a run's files, and of event files")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        run = sample_run()
        whole = run.path.with_name(".whole")
        shutil.copytree(run.path, whole)
        for table, column in columns(run.db):
            for value in VALUES:
                _restore(whole, run)
                commands = COMMANDS[VALUES.index(value) % 3 :: 3]
                if put(run.db, table, column, value) and (failed := check_readers(run) + check_commands(run, commands)):
                    return _report(f"{table}.{column} = {str(value)[:60]!r}", failed)
        for number in range(arguments.count):
            rng = random.Random(f"{arguments.seed}/{number}")
            _restore(whole, run)
            name = rng.choice(["run.db", "run.db", "run.db", "config.toml", "about.toml", "run.lock"])
            if not (run.path / name).exists():
                (run.path / name).write_bytes(b'title = "a"\nnote = "b"\n')
            flip(run.path / name, rng)
            if failed := check_readers(run) + check_commands(run, COMMANDS[number % 3 :: 3]):
                return _report(f"mutation {number} of seed {arguments.seed}: {name}", failed)
        logs = Path(home) / "logs"
        files = sample_logs(logs)
        texts = {path: path.read_bytes() for path in files}
        for number in range(arguments.count):
            rng = random.Random(f"{arguments.seed}/import/{number}")
            path = rng.choice(files)
            path.write_bytes(texts[path])
            (reframe if path != files[-1] and number % 2 else flip)(path, rng)
            if failed := check_import(logs):
                return _report(f"import {number} of seed {arguments.seed}: {path.name}", failed)
            path.write_bytes(texts[path])
    sys.stdout.write("nothing failed\n")
    return 0


def _restore(whole: Path, run: RunFolder) -> None:
    shutil.rmtree(run.path)
    shutil.copytree(whole, run.path)


def _report(what: str, failed: list[str]) -> int:
    sys.stdout.write(f"{what}\n" + "".join(f"  {each}\n" for each in failed))
    return 1


if __name__ == "__main__":
    sys.exit(main())
