"""Writes the samples of one batch, with judgements and tokens, to a file for other programs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from looptop.engine.encoding import encode_json
from looptop.engine.errors import LooptopError
from looptop.engine.files.exports import exports_folder
from looptop.engine.files.private import write_private
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible


def write_batch_file(run: RunFolder, step: int) -> Path:
    """Writes a batch as JSON lines: one sample per line, with its judgements (`said`) and its tokens.

    Args:
        run: A PPO run.
        step: The batch's step.

    Returns:
        The file, in `exports`.

    Raises:
        LooptopError: There is no such batch, or the file cannot be written.
    """
    journal = PpoJournal(run.db)
    samples = journal.samples(step)
    if not samples:
        raise LooptopError(f"{run.id} has no batch {step}, or nothing is known of its samples yet")
    judgements: dict[int, dict[str, float | None]] = {}
    for judgement in journal.judgements(step):
        judgements.setdefault(judgement.row, {})[judgement.kind] = judgement.value
    lines = []
    for sample in samples:
        tokens = journal.tokens(step, sample.row)
        line = {
            "run": run.id,
            "batch": step,
            **msgspec.to_builtins(sample),
            "judgements": judgements.get(sample.row, {}),
        }
        if tokens is not None:
            line["tokens"] = {"ids": tokens.ids, "texts": tokens.texts, "counts": tokens.counts, **tokens.columns}
        lines.append(encode_json(line) + b"\n")  # NaN and infinity become null.
    path = exports_folder() / f"{run.file_name}-batch-{step}.jsonl"
    try:
        write_private(path, b"".join(lines))
    except OSError as error:
        raise LooptopError(f"cannot write {visible(path)}: {error.strerror}") from None
    return path
