"""A check of a part: its name, its outcome, and the figure that was measured.

A part runs in a process of its own and writes each finished check as a line of JSON. So the process that started it can
print checks as they come, and loses none when the part hangs or dies.
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
    """What was measured or what went wrong, in one line."""
    values: dict[str, float] = field(default_factory=dict)
    """The measured numbers, for programs."""
    seconds: float = 0.0


class NotRunError(Exception):
    """This machine lacks something that the check needs; the message says what."""


class Measurement:
    """What a running check has measured so far."""

    def __init__(self) -> None:
        self.figure = ""
        self.values: dict[str, float] = {}

    def measured(self, figure: str, **values: float) -> None:
        """Stores the figure to print and its numbers."""
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
        quick: Leave out the long checks.
        folder: The part's own folder for models, runs and traces.
        trl: A folder with TRL 0.11.4 and its dependencies; None if there is none.
        emit: Called with each finished check.
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
        """Whether the part runs at toy size, on a CPU."""
        return self.device == "cpu"

    @contextmanager
    def check(self, name: str) -> Iterator[Measurement]:
        """Runs one check; an error in the block fails only this check."""
        measurement, began = Measurement(), time.perf_counter()
        state: State = "ok"
        try:
            yield measurement
        except NotRunError as reason:
            state, measurement.figure = "not run", str(reason)
        except Exception as error:
            traceback.print_exc()
            state = "failed"
            first = next(iter(str(error).splitlines()), "") or type(error).__name__
            problem = first if isinstance(error, AssertionError) else f"{type(error).__name__}: {first}"
            measurement.figure = f"{problem} ({measurement.figure})" if measurement.figure else problem
        sys.stderr.flush()
        self._emit(
            Check(
                part=self.part,
                name=name,
                state=state,
                figure=measurement.figure,
                values=measurement.values,
                seconds=time.perf_counter() - began,
            )
        )
