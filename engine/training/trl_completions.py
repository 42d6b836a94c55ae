"""What TRL's GRPO and RLOO trainers let their model write: taken from the trainer, or from the files it writes.

The trainer keeps the prompts, completions, rewards and advantages of its last generation in `_logs` (TRL 1.16; a
callback is never given the trainer, so it has to be handed over). With `log_completions=True` it writes them as Parquet
into `completions/` of its output folder as well, at each log.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from looptop.engine.journal.completions import Completion

_NO_REWARD = ("step", "advantage", "prompt", "completion")


class FromTrainer:
    """Reads a trainer's last generation, each once."""

    def __init__(self) -> None:
        self._seen: list[Any] = []

    def skip(self, trainer: Any) -> None:
        """What is there now is no training's: an evaluation generates too."""
        self._seen = list(_logs(trainer).get("completion", ()))

    def fresh(self, trainer: Any) -> list[Completion]:
        """The completions of a generation that was not read before; empty where there is none."""
        logs = _logs(trainer)
        written = list(logs.get("completion", ()))
        # The very objects: the same words may well be written twice.
        if not written or _same(written, self._seen):
            return []
        self._seen = written
        rewards = {str(name): list(values) for name, values in logs.get("rewards", {}).items()}
        advantages = list(logs.get("advantages", ()))
        return [
            Completion(
                prompt=as_text(prompt),
                completion=as_text(text),
                rewards={name: _number(_at(values, index)) for name, values in rewards.items()},
                advantage=_number(_at(advantages, index)),
            )
            for index, (prompt, text) in enumerate(zip(logs.get("prompt", ()), written, strict=False))
        ]


class FromFiles:
    """Reads the files of a trainer's output folder, each once; those that were there before are an earlier training's.

    Args:
        output_dir: Trainer's.
    """

    def __init__(self, output_dir: Path) -> None:
        self._folder = output_dir / "completions"
        self._seen = {path.name: _stamp(path) for path in self._files()}

    def fresh(self) -> Iterator[tuple[int, list[Completion]]]:
        """The step and completions of each file that is new, or was written anew."""
        for path in self._files():
            stamp = _stamp(path)
            if self._seen.get(path.name) != stamp:
                self._seen[path.name] = stamp
                yield from _read(path).items()

    def _files(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(path for path in self._folder.iterdir() if path.suffix == ".parquet")
        return []


def as_text(value: Any) -> str:
    """A prompt or completion as text; a conversation's turns one below the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        content = value.get("content")
        if isinstance(content, Sequence) and not isinstance(content, str):
            content = " ".join(
                str(part.get("text", "…")) if isinstance(part, Mapping) else str(part) for part in content
            )
        role = value.get("role")
        return f"{role}: {content}" if role else str(content)
    if isinstance(value, Iterable):
        return "\n".join(as_text(each) for each in value)
    return str(value)


def _read(path: Path) -> dict[int, list[Completion]]:
    from pyarrow import parquet  # type: ignore[import-untyped]

    try:
        rows = parquet.read_table(path).to_pylist()
    except Exception:  # of another shape, or another program's: it is no reason to end a training
        return {}
    completions: dict[int, list[Completion]] = {}
    for row in rows:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            rewards = {
                name: _number(value)
                for name, value in row.items()
                if name not in _NO_REWARD and (value is None or isinstance(value, int | float))
            }
            completion = Completion(
                as_text(row["prompt"]), as_text(row["completion"]), rewards, _number(row.get("advantage"))
            )
            completions.setdefault(int(row["step"]), []).append(completion)
    return completions


def _logs(trainer: Any) -> Mapping[str, Any]:
    logs = getattr(trainer, "_logs", None)
    return logs if isinstance(logs, Mapping) else {}


def _same(these: Sequence[Any], those: Sequence[Any]) -> bool:
    return len(these) == len(those) and all(one is other for one, other in zip(these, those, strict=True))


def _at(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return None if math.isnan(number) else number


def _stamp(path: Path) -> tuple[int, int]:
    with contextlib.suppress(OSError):
        status = os.stat(path)  # noqa: PTH116
        return status.st_mtime_ns, status.st_size
    return 0, 0
