"""What a run will need, known before it starts: its data, its steps, its parameters, its memory.

    process = EstimateProcess()
    process.start()
    process.ask(EstimateRequest(id=1, settings=to_dict(config)))
    while not (reply := process.read()).ended: ...    # in a thread of the caller's

The process runs `server.py`. A request has two replies: first one with data and steps, then, once torch is
loaded, one with the memory as well.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct

from looptop.engine.encoding import sendable
from looptop.engine.helpers.process import HelperProcess, HelperReply


class SplitSize(Struct, frozen=True):
    """How much a split of the data has."""

    name: str
    rows: int
    """Questions, texts or pairs."""
    images: int = 0


class StepCount(Struct, frozen=True):
    """How many steps a run makes."""

    total: int
    per_epoch: int = 0
    """0 if the data has no end."""
    samples: int = 0
    """In one step, over all processes."""


class MemoryEstimate(Struct, frozen=True):
    """The memory of one of the run's processes while it trains, in bytes."""

    device: str
    """As torch names it."""
    precision: str
    parameters: int
    trainable: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    """The most at one moment besides weights, gradients and the optimiser's numbers."""
    features: int
    """Kept features of frozen encoders, in the machine's memory."""
    program: int
    """Python and its libraries, in the machine's memory."""
    peak: int
    """The most of all these at one moment, in the device's memory."""
    free: int
    """Free on the device now."""


class EstimateRequest(Struct, frozen=True, kw_only=True):
    """A run that is not started yet."""

    id: int
    settings: dict[str, Any]
    """Its whole configuration, as plain data."""


class EstimateReply(HelperReply, frozen=True, kw_only=True):
    """What is known of the run so far. An `error` is why it could not start."""

    key: str = ""
    """The setting that causes the error; empty if none does."""
    splits: tuple[SplitSize, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    """Rows and images that cannot be used: kinds, each with the number and the first names."""
    steps: StepCount | None = None
    memory: MemoryEstimate | None = None
    unknown: str = ""
    """Why the memory is not known."""


class EstimateProcess(HelperProcess[EstimateReply]):
    """Starts and talks to the estimation process. `start`, `ask` and `close` from any thread, `read` from one."""

    SERVER: ClassVar[str] = "looptop.engine.estimates.server"
    NAME: ClassVar[str] = "the estimation process"

    def __init__(self) -> None:
        super().__init__(EstimateReply)

    def ask(self, request: EstimateRequest) -> None:
        """Sends a request; its replies come from `read`. Requests are answered one after another.

        Raises:
            LooptopError: The process is not running; start it again.
        """
        self.send(request.id, EstimateRequest(id=request.id, settings=sendable(request.settings)))
