"""Completions of a model that a GRPO or RLOO trainer trains, with their prompts, rewards and advantages."""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct

from looptop.engine.encoding import encode_json
from looptop.engine.journal import decode
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.writer import JournalWriter, storable


class Completion(Struct, frozen=True):
    """A model's completion of a prompt."""

    prompt: str
    completion: str
    rewards: dict[str, float | None] = {}
    """By reward function; None if the function gave no reward."""
    advantage: float | None = None


def write_completions(writer: JournalWriter, step: int, new: Iterable[Completion]) -> None:
    """Writes the completions of a step to the journal; they replace earlier ones of the same step."""
    writer.rows("DELETE FROM completions WHERE step = ?", [(step,)])
    writer.rows(
        "INSERT INTO completions VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                step,
                index,
                storable(each.prompt),
                storable(each.completion),
                encode_json(each.rewards).decode(),
                each.advantage,
            )
            for index, each in enumerate(new)
        ],
    )


def read_completion_steps(journal: Journal) -> list[int]:
    """The steps that have completions, in rising order."""
    with journal.transaction() as read:
        if not read:
            return []
        rows = read("SELECT DISTINCT step FROM completions ORDER BY step").fetchall()
        return [step for (step,) in rows if isinstance(step, int)]


def read_completions(journal: Journal, step: int | None = None) -> list[Completion]:
    """The completions of a step in their order; by default of the latest step."""
    with journal.transaction() as read:
        if not read:
            return []
        rows = read(
            "SELECT prompt, completion, rewards, advantage FROM completions"
            " WHERE step = coalesce(?, (SELECT max(step) FROM completions)) ORDER BY place",
            (step,),
        ).fetchall()
    return [
        Completion(
            decode.text(prompt),
            decode.text(text),
            {name: None if math.isnan(value) else value for name, value in decode.numbers(rewards).items()},
            decode.real(advantage),
        )
        for prompt, text, rewards, advantage in rows
    ]
