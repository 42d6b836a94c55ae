"""Reads the completions of TRL's GRPO and RLOO trainers.

The trainer keeps the prompts, completions, rewards and advantages of its last generation in `_logs` (TRL 1.16).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from looptop.engine.journal.completions import Completion


class CompletionReader:
    """Reads a trainer's last generation, each one once."""

    def __init__(self) -> None:
        self._seen: list[Any] = []

    def skip(self, trainer: Any) -> None:
        """Marks the last generation as read. Called after an evaluation, whose completions are not training's."""
        self._seen = list(_logs(trainer).get("completion", ()))

    def fresh(self, trainer: Any) -> list[Completion]:
        """The completions of the last generation if it was not read before; otherwise empty."""
        logs = _logs(trainer)
        written = list(logs.get("completion", ()))
        # Compares the objects, not the texts: two generations may write the same.
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


def as_text(value: Any) -> str:
    """A prompt or completion as text; of a conversation, one turn below the other."""
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
