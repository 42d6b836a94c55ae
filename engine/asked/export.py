"""Writes asked questions with their answers to a file for other programs: CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.asked.records import Entry
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.replacing import replace_private
from looptop.engine.text import visible
from looptop.engine.times import is_time

COLUMNS = ("time", "model", "image", "question", "answer", "confidence", "score", "right", "judged_by", "correction")


def write_entries(entries: Iterable[Entry], path: Path) -> int:
    """Writes entries, one a row; the name's ending says whether as CSV or as JSON lines.

    Bytes of a path that are no text are written as escapes.

    Returns:
        How many.

    Raises:
        LooptopError: The file cannot be written, or ends otherwise.
    """
    form = check_name(path)
    rows = [row_of(entry) for entry in entries]
    text = form(rows)
    try:
        replace_private(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise LooptopError(f"cannot write {visible(path)}: {error_text(error)}") from None
    return len(rows)


def check_name(path: Path) -> Callable[[list[dict[str, Any]]], str]:
    """How a file of this name is written.

    Raises:
        LooptopError: Its name ends neither in `.csv` nor in `.jsonl`.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise LooptopError(f"{visible(path)} must end in {' or '.join(_FORMS)}, which sets the format")
    return form


def row_of(entry: Entry) -> dict[str, Any]:
    """An entry under the names of `COLUMNS`, and what only JSON holds; what is not known is None."""
    when = datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="seconds") if is_time(entry.time) else None
    confidence, judgement = entry.answer.confidence, entry.judgement
    return {
        "time": when,
        "model": entry.answer.model,
        "image": str(entry.image),
        "question": entry.question,
        "answer": entry.answer.answer,
        "confidence": confidence if math.isfinite(confidence) else None,
        "score": entry.score,
        "right": entry.right,
        "judged_by": "person" if judgement is not None else "data" if entry.truths else None,
        "correction": judgement.correction or None if judgement is not None else None,
        "truths": list(entry.truths),
        "raw_confidence": entry.answer.raw_confidence if math.isfinite(entry.answer.raw_confidence) else None,
        "doubts": msgspec.to_builtins(entry.answer.doubts),
        "candidates": [{"answer": each.answer, "confidence": each.confidence} for each in entry.answer.candidates],
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((*COLUMNS, "truths"))
    for row in rows:
        # Several people's answers in one cell, as tables of training data have them.
        truths = json.dumps(row["truths"], ensure_ascii=False) if row["truths"] else ""
        writer.writerow(["" if row[name] is None else _cell(row[name]) for name in COLUMNS] + [truths])
    return text.getvalue()


def _cell(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


_FORMS: dict[str, Callable[[list[dict[str, Any]]], str]] = {".csv": _csv, ".jsonl": _jsonl}
