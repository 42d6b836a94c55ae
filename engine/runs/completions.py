"""What a model wrote while somebody's GRPO or RLOO trainer taught it: prompts, completions, rewards, advantages.

A table of its own in the run's journal, made when the first ones come; runs without any have none.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from looptop.engine.runs.journal import Journal
from looptop.engine.runs.rows import Statement
from looptop.engine.runs.writer import JournalWriter

_MAKE = """
CREATE TABLE IF NOT EXISTS completions (
    step INTEGER NOT NULL, place INTEGER NOT NULL, prompt TEXT NOT NULL, completion TEXT NOT NULL,
    rewards TEXT NOT NULL, advantage REAL,
    PRIMARY KEY (step, place)
) WITHOUT ROWID
"""


class Completion(Struct, frozen=True):
    """What a model wrote to a prompt."""

    prompt: str
    completion: str
    rewards: dict[str, float | None] = {}
    """By reward function; None where it had nothing to say."""
    advantage: float | None = None


def write_completions(writer: JournalWriter, step: int, written: Iterable[Completion]) -> None:
    """Journals the completions of one step; those of the same step are replaced."""
    writer.add(Statement(_MAKE, ()))
    writer.add(Statement("DELETE FROM completions WHERE step = ?", (step,)))
    for place, each in enumerate(written):
        texts = (_storable(each.prompt), _storable(each.completion), msgspec.json.encode(each.rewards).decode())
        sql = "INSERT INTO completions VALUES (?, ?, ?, ?, ?, ?)"
        writer.add(Statement(sql, (step, place, *texts, each.advantage)))


def completion_steps(journal: Journal) -> list[int]:
    """The steps that have completions."""
    with journal.reading() as read:
        if not read or not _is_there(read):
            return []
        return [step for (step,) in read("SELECT DISTINCT step FROM completions ORDER BY step").fetchall()]


def completions(journal: Journal, step: int | None = None) -> list[Completion]:
    """The completions of a step, in their order; of the latest step by default."""
    with journal.reading() as read:
        if not read or not _is_there(read):
            return []
        rows = read(
            "SELECT prompt, completion, rewards, advantage FROM completions"
            " WHERE step = coalesce(?, (SELECT max(step) FROM completions)) ORDER BY place",
            (step,),
        ).fetchall()
    return [Completion(prompt, text, msgspec.json.decode(rewards), said) for prompt, text, rewards, said in rows]


def _is_there(read: object) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'completions'"
    return read(sql).fetchone() is not None  # type: ignore[operator]


def _storable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
