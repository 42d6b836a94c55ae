"""One check of a part: what it is, whether it holds, and the figure that shows it.

A part runs in a process of its own and writes each finished check as a line of JSON, so that the process which started
it can print checks as they come, and loses none of them when the part hangs or dies.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

State = Literal["ok", "failed", "not run"]


class Check(Struct, kw_only=True):
    """One finished check."""

    part: str
    name: str
    state: State
    figure: str = ""
    """What was measured, or what went wrong, in one line."""
    values: dict[str, float] = field(default_factory=dict)
    """The measured numbers, for programs."""
    seconds: float = 0.0


class NotRunError(Exception):
    """This machine lacks something that the check needs; the message says what."""


class Finding:
    """What a check measures while it runs."""

    def __init__(self) -> None:
        self.figure = ""
        self.values: dict[str, float] = {}

    def measured(self, figure: str, **values: float) -> None:
        """Keeps the figure to print and its numbers."""
        self.figure = figure
        self.values |= values

    @staticmethod
    def require(holds: object, problem: str) -> None:
        """Fails the check, with the problem in one line, unless something holds."""
        if not holds:
            raise AssertionError(problem)


class Checks:
    """The checks of one part.

    Args:
        part: The part's name.
        device: `cuda:0`, or `cpu`: the same checks at toy size.
        quick: Leave out what takes long.
        folder: A folder of the part's own for models, runs and traces.
        trl: A folder that holds TRL 0.11.4 and what it needs; None where there is none.
        emit: Told of each finished check.
    """

    def __init__(
        self, part: str, device: str, quick: bool, folder: Path, trl: Path | None, emit: Callable[[Check], object]
    ) -> None:
        self.part = part
        self.device = device
        self.quick = quick
        self.folder = folder
        self.trl = trl
        self._emit = emit

    @property
    def toy(self) -> bool:
        """Whether this is the toy size that a processor computes."""
        return self.device == "cpu"

    @contextmanager
    def check(self, name: str) -> Iterator[Finding]:
        """Runs one check; whatever goes wrong in the block fails this check and no other."""
        finding, began = Finding(), time.perf_counter()
        state: State = "ok"
        try:
            yield finding
        except NotRunError as reason:
            state, finding.figure = "not run", str(reason)
        except Exception as error:
            traceback.print_exc()
            state = "failed"
            first = next(iter(str(error).splitlines()), "") or type(error).__name__
            problem = first if isinstance(error, AssertionError) else f"{type(error).__name__}: {first}"
            finding.figure = f"{problem} ({finding.figure})" if finding.figure else problem
        sys.stderr.flush()
        self._emit(
            Check(
                part=self.part,
                name=name,
                state=state,
                figure=finding.figure,
                values=finding.values,
                seconds=time.perf_counter() - began,
            )
        )
