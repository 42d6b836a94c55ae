"""Damaged runs and imports, and checks that every reader gives a result or one clear sentence."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from looptop.engine.cli.main import main as looptop
from looptop.engine.errors import LooptopError
from looptop.engine.interchange.importing import import_folder
from looptop.engine.journal.completions import read_completion_steps, read_completions
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.listing import Summaries

_ROOT = Path(__file__).resolve().parents[2]

VALUES: tuple[Any, ...] = (
    None, "", "text", "7", "NaN", b"", b"\xff\xfe\x00", 0, -1, 2**40, 2**63 - 1, -(2**63), 0.5, -1e300, 1e300,
    float("inf"), float("-inf"), "{}", "[]", "null", "[1,", '{"a": "b"}', '{"a": [1]}', '"text"', "1e999", "9" * 6000,
    "[" * 5000, '[{"kind": 1, "text": 2}]', "\x1b[31m",
)  # fmt: skip
"""What a damaged or hostile journal may hold in any column."""

# Tables without row ids, and the column that names their rows.
_KEYS = {
    "metrics": "name", "buckets": "name", "facts": "key", "answer_samples": "step", "completions": "step",
    "ppo_samples": "step", "ppo_judgements": "step", "breakpoints": "condition",
}  # fmt: skip

COMMANDS = (
    ("show", "RUN"),
    ("show", "RUN", "--json"),
    ("runs",),
    ("runs", "--json"),
    ("runs", "--sort", "took"),
    ("metrics", "RUN"),
    ("metrics", "RUN", "loss", "--json"),
    ("batches", "RUN"),
    ("batches", "RUN", "--json"),
    ("samples", "RUN", "1"),
    ("samples", "RUN", "1", "--json"),
    ("tokens", "RUN", "1", "0"),
    ("tokens", "RUN", "1", "0", "--json"),
)


def columns(db: Path) -> list[tuple[str, str]]:
    """All columns of all tables of a journal."""
    with contextlib.closing(sqlite3.connect(db)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            (table, row[1])
            for table in tables
            if not table.startswith("sqlite_")
            for row in connection.execute(f"PRAGMA table_info({table})")
        ]


def put(db: Path, table: str, column: str, value: object) -> bool:
    """Puts a value into a column of a table's last row; False where SQLite does not take it."""
    with contextlib.closing(sqlite3.connect(db)) as connection:
        try:
            key = _KEYS.get(table, "rowid")
            which = f"{key} = (SELECT max({key}) FROM {table})"
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {which}", (value,))
            connection.commit()
        except sqlite3.Error:
            return False
    return True


def flip(path: Path, rng: random.Random) -> None:
    """Changes, cuts or repeats some bytes of a file."""
    data = bytearray(path.read_bytes())
    if not data:
        return
    at = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data[at : at + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(1, 64))
        case _:
            data[at:at] = data[at : at + 40]
    path.write_bytes(data)


def readers(run: RunFolder) -> Iterator[tuple[str, Callable[[], object]]]:
    """All that reads a run's journal, by name."""
    journal = PpoJournal(run.db)
    plain = ("version", "state", "states", "facts", "outline", "names", "latest", "events", "answer_samples")
    for name in (*plain, "answer_steps", "controls", "last_batch", "batches", "batch_span", "batch_ends", "judgements"):
        yield name, getattr(journal, name)
    yield "batch_steps", journal.batch_steps
    yield "breakpoints", journal.breakpoints
    yield "values", lambda: [journal.values(name) for name in journal.names()]
    yield "series", lambda: [journal.series(name, size) for name in journal.names() for size in (1, 7, 200)]
    yield "figures", lambda: journal.figures(journal.names(), 0, 2**62)
    yield "samples", lambda: [journal.samples(batch.step) for batch in journal.batches()]
    yield "tokens", lambda: [journal.tokens(1, row) for row in range(3)]
    yield "completions", lambda: [read_completions(journal, step) for step in read_completion_steps(journal)]


def check_readers(run: RunFolder) -> list[str]:
    """The readers that raise anything but a sentence."""
    failed = []
    for name, read in readers(run):
        try:
            read()
        except LooptopError:
            pass
        except Exception as error:  # any of them is what is searched for
            failed.append(f"{name}: {error!r}")
    for name, whole in (("summary", run.summary), ("summaries", Summaries().all)):
        try:
            whole()
        except Exception as error:
            failed.append(f"{name}: {error!r}")
    return failed


def check_commands(run: RunFolder, commands: tuple[tuple[str, ...], ...] = COMMANDS) -> list[str]:
    """The commands that end in a traceback; a sentence and exit code 2 is right."""
    failed = []
    for words in commands:
        out, err = io.StringIO(), io.StringIO()
        line = [run.id if word == "RUN" else word for word in words]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = looptop(line)
        except BaseException as error:
            failed.append(f"{' '.join(line)}: {error!r}")
            continue
        if code not in (0, 1, 2) or "Traceback" in err.getvalue():
            failed.append(f"{' '.join(line)}: exit code {code}: {err.getvalue()[-300:]}")
        if words[0] == "runs" and code:
            failed.append(f"{' '.join(line)}: one run kept the others from being listed: {err.getvalue()[-300:]}")
    return failed


def sample_run() -> RunFolder:
    """A PPO run with something in every table."""
    from looptop.engine.journal.completions import Completion, write_completions
    from looptop.engine.journal.reader import AnswerSample, JournalWriter
    from looptop.engine.journal.records import accepted
    from tests.factories.synthetic_ppo import Maker, make_run

    run = make_run(Maker(3, 4))
    writer = JournalWriter(run.db)
    writer.metrics(1, {"loss": 0.5, "eval_accuracy": 0.5})
    writer.metrics(300, {"loss": 0.4})
    writer.facts(left_out={"unreadable": 3}, parameters=10, trainable_parameters=5, n_train=7)
    writer.answer_samples(1, [AnswerSample("1", "a.png", "what?", "red", "blue", 0.5, 0.0)])
    writer.control_reply("1", "pause", 1, accepted("paused", "paused"))
    writer.event("import", "some words", step=1)
    write_completions(writer, 1, [Completion("a", "b", {"r": 1.0}, 0.5)])
    writer.rows("INSERT OR IGNORE INTO breakpoints VALUES (?, ?)", [("kl > 1", 1.0)])
    writer.rows("INSERT OR IGNORE INTO ppo_judgements VALUES (?, ?, ?, ?, ?, ?)", [(1, 0, "reward", 1.0, 1.0, "cli")])
    writer.close()
    return run


def sample_logs(folder: Path) -> list[Path]:
    """Event files and a W&B file to damage."""
    from looptop.engine.interchange.tensorboard import EventWriter

    files = []
    for name in ("a", "b"):
        writer = EventWriter(folder / name, 1_700_000_000.0)
        for step in range(6):
            writer.scalar("loss", step, 1_700_000_000.0 + step, 1 / (step + 1))
            writer.text("notes", step, 1_700_000_000.0 + step, "some words")
        writer.close()
        files.append(writer.path)
    wandb = folder / "run-x.wandb"
    shutil.copy(_ROOT / "tests" / "engine" / "interchange" / "files" / "run-cold.wandb", wandb)
    return [*files, wandb]


def reframe(path: Path, rng: random.Random) -> None:
    """Changes bytes inside the records of an event file and frames them anew, so that their checksums hold."""
    from looptop.engine.interchange.tensorboard import frame, records

    with path.open("rb") as file:
        held = [bytearray(record) for record in records(file)]
    for _ in range(rng.randrange(1, 4)):
        record = rng.choice(held)
        at = rng.randrange(len(record))
        record[at : at + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(0, 9))
        record or record.append(0)
    path.write_bytes(b"".join(frame(bytes(record)) for record in held))


def check_import(folder: Path) -> list[str]:
    """What is wrong with the import of a folder: a traceback, half a run, a run that cannot be read."""
    runs: list[RunFolder] = []
    before = {run.path for run in RunFolder.all()}
    try:
        import_folder(folder, runs.append, lambda word: None, again=True)
    except LooptopError:
        pass
    except Exception as error:
        return [f"import: {error!r}"]
    failed = [failure for run in runs for failure in check_readers(run)]
    left = {run.path for run in RunFolder.all()} - before - {run.path for run in runs}
    failed += [f"half a run was left: {path.name}" for path in left]
    for run in runs:
        failed += check_commands(run, (("show", "RUN"), ("runs", "--json")))
        shutil.rmtree(run.path)
    return failed
