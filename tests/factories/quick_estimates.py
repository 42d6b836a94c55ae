"""An estimating process that is none: it answers at once with what a test wants."""

from __future__ import annotations

import queue

from looptop.engine.estimates.records import EstimateReply, EstimateRequest, MemoryEstimate, SplitSize, StepCount
from looptop.engine.helpers.process import HelperState

MIB = 2**20
MEMORY = MemoryEstimate(
    device="cpu",
    precision="fp32",
    parameters=1_121_856,
    trainable=501_888,
    weights=4 * MIB,
    gradients=2 * MIB,
    optimizer=4 * MIB,
    activations=27 * MIB,
    features=0,
    program=470 * MIB,
    peak=507 * MIB,
    free=2**34,
)
KNOWN = EstimateReply(
    splits=(SplitSize("train", 36_694, 3_800), SplitSize("validation", 1_881, 200)),
    left_out=(("missing image", "2 (7.png, 8.png)"),),
    steps=StepCount(720, 72, 512),
    memory=MEMORY,
    state=HelperState.READY,
)


class QuickEstimates:
    """Stands for an `EstimateProcess`.

    Attributes:
        asked: The configurations that were asked about.
        reply: What is answered.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.reply = KNOWN
        self._replies: queue.SimpleQueue[EstimateReply] = queue.SimpleQueue()

    def start(self) -> None:
        """Does nothing."""

    def ask(self, request: EstimateRequest) -> None:
        import msgspec

        self.asked.append(request.settings)
        self._replies.put(msgspec.structs.replace(self.reply, id=request.id))

    def read(self) -> EstimateReply:
        return self._replies.get()

    def close(self) -> None:
        self._replies.put(EstimateReply(state=HelperState.ENDED))
