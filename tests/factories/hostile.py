"""A run each text of which would act on a terminal that it reached: journal, configuration, lock, titles, log."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import unicodedata
from typing import Any

import tomli_w
from numpy import array, float32, nan

from looptop.engine.journal.completions import Completion, write_completions
from looptop.engine.journal.reader import AnswerSample, JournalWriter
from looptop.engine.journal.records import accepted
from looptop.engine.ppo.journal import write_judgement
from looptop.engine.runs.about import write_about
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.breakdown import Outcome, breakdown_of, write_breakdown
from looptop.engine.vqa.curation.journal import write_edit, write_losses, write_questions
from looptop.engine.vqa.curation.records import Edit, TrainingQuestion
from tests.factories.synthetic_ppo import Maker, make_run

HOSTILE = "a\x1b]0;evil\x07b\x9b31mc\x90d\u202ee\u2028f\u200bg[@click=app.quit]x[/]\x1b[2J\r\x7f"
JSON = {
    ("facts", "value"), ("completions", "rewards"), ("ppo_batches", "seconds"), ("ppo_batches", "marks"),
    ("ppo_samples", "scores"), ("ppo_samples", "quality"),
}  # fmt: skip
"""Columns that hold JSON: their strings and keys are made hostile."""
LEFT = {("states", "state"), ("question_edits", "kind"), ("evaluations", "breakdown")}
"""Another state or edit than those that looptop knows is an error of its own; the breakdown is hostile already."""


def acts(text: str) -> list[str]:
    """What in a text could act on a terminal, line feeds and tabs left out."""
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return [hex(ord(char)) for char in text if char not in "\n\t" and unicodedata.category(char) in bad]


def hostile_run(batches: int = 6) -> RunFolder:
    """A finished PPO run, all of whose text columns are hostile."""
    run = make_run(Maker(batches, 4))
    writer = JournalWriter(run.db)
    writer.metrics(batches, {"loss": 1.0, "mine": 2.0})
    writer.event("checkpoint", "a checkpoint", batches)
    writer.event("alert", "an alert", batches, level="warning")
    writer.answer_samples(batches, [AnswerSample("1", "1.png", "what?", "red", "blue", 0.5, 0.0)])
    write_completions(writer, batches, [Completion("a prompt", "a completion", {"length": 1.0}, 0.5)])
    write_judgement(writer, batches, 0, "rating", 1.0, "app")
    writer.control_reply("0", "pause", 1, accepted("paused", "paused"))
    write_breakdown(writer, batches, breakdown_of([Outcome(HOSTILE, HOSTILE[::-1], HOSTILE, HOSTILE, 0.0)]))
    write_questions(writer, [TrainingQuestion(HOSTILE, HOSTILE, HOSTILE, HOSTILE), TrainingQuestion("", "", "", "")])
    write_losses(writer, 1, batches, array([0.5, nan], dtype=float32))
    write_edit(writer, Edit(0, "relabel", "blue", 1, "app"))
    writer.rows("INSERT INTO breakpoints VALUES (?, ?)", [("kl > 8", 0.0)])
    writer.facts(device="a processor", left_out={"broken": 2}, precision="fp32", project="one")
    writer.close()
    with contextlib.closing(sqlite3.connect(run.db)) as connection, connection:
        for table, column in text_columns(connection):
            spoil(connection, table, column)
    config = run.settings()
    config["preset"] = HOSTILE
    config["model"]["policy"] = HOSTILE
    config["data"]["source"] = HOSTILE
    config["rewards"][0]["name"] = HOSTILE
    run.config_file.write_text(tomli_w.dumps(config))
    write_about(run.path, title=HOSTILE.replace("\r", ""), note=HOSTILE, notify=HOSTILE)
    run.lock.write_text(json.dumps({"host": HOSTILE, "pid": 1, "started": 0.0}))
    run.log.write_text(f"{HOSTILE}\n{HOSTILE}\n")
    (run.checkpoints / f"checkpoint-{HOSTILE}".replace("/", "-")).mkdir()
    return run


def text_columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every column of every table that holds text."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    texts = [
        (table, column)
        for table in tables
        if not table.startswith("sqlite_")
        for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
        if kind == "TEXT"
    ]
    empty = [table for table, _ in texts if not connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]]
    assert len(texts) > 25 and not empty, empty
    return [each for each in texts if each not in LEFT]


def spoil(connection: sqlite3.Connection, table: str, column: str) -> None:
    """Makes what stands in a column hostile; texts that were different stay so."""
    values = [value for (value,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}")]
    for value in values:
        if (table, column) == ("names", "name") and value not in ("mine", "loss"):
            continue  # what the charts show keeps its name
        if (table, column) == ("facts", "key") and value != "project":
            continue
        if value is None:
            continue
        new = json.dumps(spoiled(json.loads(value))) if (table, column) in JSON else value + HOSTILE
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, value))


def spoiled(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [spoiled(item, depth + 1) for item in value]
    if isinstance(value, dict):
        fixed = {"kind", "text"}  # the fields of a mark
        return {key if key in fixed else key + HOSTILE: spoiled(item, depth + 1) for key, item in value.items()}
    return value
