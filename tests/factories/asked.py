"""Asked questions, and a damaged file of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from looptop.engine.asked.records import Entry
from tests.factories.quick_answers import answer_of


def entry(
    question: str = "what shape?",
    answer: str = "circle",
    *,
    image: str = "/images/1.png",
    confidence: float = 0.75,
    truths: tuple[str, ...] = (),
    model: str = "bundled",
    in_table: bool = False,
) -> Entry:
    given = msgspec.structs.replace(answer_of(answer, confidence), model=model)
    return Entry(
        image=Path(image), question=question, answer=given, truths=truths, time=1e9, model_stamp="m", in_table=in_table
    )


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 64)
