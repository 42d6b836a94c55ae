"""The journal's tables, and how the run that writes them and its readers open the file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.private import UnsafeFileError, open_regular, refuse_unsafe, touch_private
from looptop.engine.machine.file_systems import is_on_network
from looptop.engine.text import visible

VERSION = 3

READ_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""The errors that reading a journal raises; UnicodeDecodeError if SQLite quotes damaged bytes in a message."""

BUCKET_WIDTHS = (16, 256, 4096, 65536)
"""The number of steps in one bucket, from the finest buckets to the coarsest; the column `span` holds it."""

# Metrics are clustered by name and step, as a chart reads them. A later row of the same step replaces an earlier one.
#
# Columns whose names do not explain themselves:
# - `place`: in answer_samples and completions the index within the step; in ppo_batches the batch's stage; in
#   ppo_tokens a key made of step and row, see `TOKEN_KEY_STRIDE`
# - `missing`: the number of NaN values; `marks`: health marks as JSON; `by`: who sent the judgement (`cli`, `app`, ...)
# - `query_cut`: 1 if the query was cut to its maximal length
# The table `facts` holds facts about the run, such as its total steps, by name; `ppo_pieces` the texts of tokens by id.
_TABLES = """
CREATE TABLE changes (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
INSERT INTO changes VALUES (1, 0);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE metrics (
    name INTEGER NOT NULL, step INTEGER NOT NULL, value REAL, time REAL NOT NULL,
    PRIMARY KEY (name, step)
) WITHOUT ROWID;
CREATE TABLE buckets (
    name INTEGER NOT NULL, span INTEGER NOT NULL, bucket INTEGER NOT NULL,
    count INTEGER NOT NULL, missing INTEGER NOT NULL, sum REAL, minimum REAL, maximum REAL,
    PRIMARY KEY (name, span, bucket)
) WITHOUT ROWID;
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE states (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, cause TEXT
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, step INTEGER, kind TEXT NOT NULL, level TEXT NOT NULL,
    text TEXT NOT NULL, superseded INTEGER NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT ''
);
CREATE TABLE answer_samples (
    step INTEGER NOT NULL, place INTEGER NOT NULL, question_id TEXT NOT NULL, image TEXT NOT NULL,
    question TEXT NOT NULL, truth TEXT NOT NULL, answer TEXT NOT NULL, confidence REAL, correct REAL,
    PRIMARY KEY (step, place)
) WITHOUT ROWID;
CREATE TABLE completions (
    step INTEGER NOT NULL, place INTEGER NOT NULL, prompt TEXT NOT NULL, completion TEXT NOT NULL,
    rewards TEXT NOT NULL, advantage REAL,
    PRIMARY KEY (step, place)
) WITHOUT ROWID;
CREATE TABLE controls (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, time REAL NOT NULL, step INTEGER, answer TEXT NOT NULL,
    ok INTEGER, code TEXT NOT NULL DEFAULT ''
);
CREATE TABLE breakpoints (condition TEXT PRIMARY KEY, time REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE ppo_batches (
    step INTEGER PRIMARY KEY, place TEXT NOT NULL, time REAL NOT NULL, samples INTEGER NOT NULL,
    seconds TEXT NOT NULL, marks TEXT NOT NULL
);
CREATE TABLE ppo_samples (
    step INTEGER NOT NULL, row INTEGER NOT NULL, data_index INTEGER NOT NULL, query TEXT NOT NULL,
    response TEXT NOT NULL, reference_response TEXT, ended INTEGER NOT NULL, query_cut INTEGER NOT NULL,
    length INTEGER NOT NULL, scores TEXT NOT NULL, reward REAL, kl REAL, advantage REAL, entropy REAL, ratio REAL,
    quality TEXT NOT NULL,
    PRIMARY KEY (step, row)
) WITHOUT ROWID;
CREATE TABLE ppo_tokens (place INTEGER PRIMARY KEY, tokens BLOB NOT NULL);
CREATE TABLE ppo_pieces (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE ppo_judgements (
    step INTEGER NOT NULL, row INTEGER NOT NULL, kind TEXT NOT NULL, value REAL, time REAL NOT NULL, by TEXT NOT NULL,
    PRIMARY KEY (step, row, kind)
) WITHOUT ROWID;
"""

_QUESTION_TABLES = (
    "CREATE TABLE training_questions (chunk INTEGER PRIMARY KEY, texts BLOB NOT NULL)",
    "CREATE TABLE question_losses (epoch INTEGER PRIMARY KEY, step INTEGER NOT NULL, losses BLOB NOT NULL)",
    "CREATE TABLE question_edits (id INTEGER PRIMARY KEY, row INTEGER NOT NULL, kind TEXT NOT NULL,"
    " answer TEXT NOT NULL, step INTEGER NOT NULL, by TEXT NOT NULL)",
    "CREATE TABLE evaluations (step INTEGER PRIMARY KEY, breakdown TEXT NOT NULL)",
)
"""The tables of VQA runs: texts of the training questions (compressed, many in a row), their losses by epoch (32-bit
numbers), edits; and each evaluation's accuracy by type and confusion, as JSON."""

_MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE states ADD COLUMN cause TEXT",
        "ALTER TABLE events ADD COLUMN code TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE controls ADD COLUMN ok INTEGER",
        "ALTER TABLE controls ADD COLUMN code TEXT NOT NULL DEFAULT ''",
    ),
    2: _QUESTION_TABLES,
}
"""The statements that upgrade a journal from a version to the next one; only the writer runs them."""

_VIEWS: dict[int, tuple[str, ...]] = {
    1: (
        "CREATE TEMP VIEW states AS SELECT *, NULL AS cause FROM main.states",
        "CREATE TEMP VIEW events AS SELECT *, '' AS code FROM main.events",
        "CREATE TEMP VIEW controls AS SELECT rowid AS rowid, *, NULL AS ok, '' AS code FROM main.controls",
    ),
    2: (
        "CREATE TEMP VIEW training_questions AS SELECT 0 AS chunk, NULL AS texts WHERE 0",
        "CREATE TEMP VIEW question_losses AS SELECT 0 AS epoch, 0 AS step, NULL AS losses WHERE 0",
        "CREATE TEMP VIEW question_edits AS"
        " SELECT 0 AS id, 0 AS row, '' AS kind, '' AS answer, 0 AS step, '' AS by WHERE 0",
        "CREATE TEMP VIEW evaluations AS SELECT 0 AS step, '' AS breakdown WHERE 0",
    ),
}
"""Views that show the tables of an older version as those of this one, for readers, which cannot upgrade the file."""

TOKEN_KEY_STRIDE = 1 << 16
"""The key of a token table is the batch's step times this, plus the sample's row (less than this)."""


def open_for_writing(path: Path, *, network: bool | None = None) -> sqlite3.Connection:
    """Opens the journal for the run that owns it; it is made if missing, with mode 0600.

    Args:
        path: `run.db`.
        network: Whether it is on a network file system; None asks the kernel.

    Raises:
        LooptopError: It comes from a newer looptop, is damaged, holds what looptop did not create, or cannot be made.
    """
    try:
        refuse_unsafe_journal(path)
        # SQLite gives its side files (-wal, -shm, -journal) the mode of this file.
        touch_private(path)
        connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    except (OSError, *READ_ERRORS) as error:
        raise LooptopError(f"cannot open the journal {visible(path)}: {error_text(error)}") from None
    try:
        _check_version(connection, path)
        on_network = is_on_network(path) if network is None else network
        # A reader that hangs inside a transaction can prevent the change of mode. That is harmless: the journal works
        # in both modes, and one is only faster.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA journal_mode = {'DELETE' if on_network else 'WAL'}")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
    except LooptopError:
        connection.close()
        raise
    except READ_ERRORS as error:
        connection.close()
        raise LooptopError(f"cannot open the journal {visible(path)}: {error_text(error)}") from None
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Makes missing tables, or brings tables of an older version up to date, in one transaction: a run that is killed
    during it leaves them unchanged.
    """
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection)
    if version == 0:
        statements = [*(statement for statement in _TABLES.split(";") if statement.strip()), *_QUESTION_TABLES]
    else:
        statements = [statement for older in range(version, VERSION) for statement in _MIGRATIONS[older]]
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def open_for_reading(path: Path) -> sqlite3.Connection | None:
    """Opens the journal for reading; None if there is none yet.

    Raises:
        LooptopError: It comes from a newer looptop, is damaged, or holds what looptop did not create.
    """
    refuse_unsafe_journal(path)
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return None
    except FileNotFoundError:  # the run was deleted meanwhile
        return None
    problem: Exception = sqlite3.OperationalError("it cannot be opened")
    # Read-only first. The journal of a killed process may need recovery, which only a writer can do. On a read-only
    # medium neither works, but nobody changes the file there.
    for mode in ("mode=ro", "mode=rw", "mode=ro&immutable=1"):
        if mode.endswith("immutable=1") and os.access(path.parent, os.W_OK):
            break
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?{mode}", uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            _check_version(connection, path)
            version = _version(connection)
            if version == 0:
                connection.close()
                return None
            if version < VERSION:
                _show_as_current(connection, version)
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            problem = error
        except READ_ERRORS as error:
            connection.close()
            raise LooptopError(f"the journal {visible(path)} is damaged: {error_text(error)}") from None
        except LooptopError:
            connection.close()
            raise
    raise LooptopError(f"cannot read the journal {visible(path)}: {error_text(problem)}")


def _show_as_current(connection: sqlite3.Connection, version: int) -> None:
    """Covers the tables of an older version with views that have this version's columns, for this connection only."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for older in range(version, VERSION):
        for statement in _VIEWS[older]:
            connection.execute(statement)


SIDE_SUFFIXES = ("-wal", "-shm", "-journal")
"""The suffixes of SQLite's side files, which follow the journal's name."""

_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_FIRST_FOREIGN_OBJECT = """
    SELECT type, name FROM sqlite_schema
    WHERE type NOT IN ('table', 'index') OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%') LIMIT 1
"""
_FIRST_GENERATED_COLUMN = """
    SELECT 'generated column', part.name FROM sqlite_schema AS made, pragma_table_xinfo(made.name) AS part
    WHERE made.type = 'table' AND made.sql LIKE '%AS%(%' AND part.hidden IN (2, 3) LIMIT 1
"""


def refuse_unsafe_journal(path: Path) -> None:
    """Checks the journal's files before SQLite opens them, since SQLite would follow links and wait for pipes.

    Raises:
        UnsafeFileError: One of them is a link or not a regular file, or would make SQLite delete another file.
    """
    refuse_unsafe(path)
    for suffix in SIDE_SUFFIXES:
        refuse_unsafe(path.with_name(path.name + suffix))
    rollback = path.with_name(path.name + "-journal")
    try:
        with os.fdopen(open_regular(rollback), "rb") as file:
            if file.seek(0, os.SEEK_END) >= 8:
                file.seek(-8, os.SEEK_END)
            end = file.read()
    except FileNotFoundError:
        return
    # This marks a transaction over several files, which looptop never makes: SQLite would delete the file named here.
    if end == _SUPER_JOURNAL:
        raise UnsafeFileError(rollback, "makes SQLite delete another file")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > VERSION:
        raise LooptopError(
            f"{visible(path.parent.name)} was made by a newer looptop (its journal has version {version},"
            f" this one reads up to {VERSION}); update looptop to open it"
        )
    if version < 0:
        raise LooptopError(
            f"the journal {visible(path)} is damaged: it has the version {version}, which no looptop writes;"
            " replace it by a copy that is whole"
        )
    # A stranger's view or generated column could compute for ever, and a trigger would act when the run writes.
    for query in (_FIRST_FOREIGN_OBJECT, _FIRST_GENERATED_COLUMN):
        if strange := connection.execute(query).fetchone():
            raise LooptopError(
                f"the journal {visible(path)} holds the {visible(strange[0])} {visible(strange[1])}, which looptop did"
                " not create; it is not opened"
            )
