"""The program of the estimating process: `python -m looptop.engine.estimates.server`, started by an
`EstimateProcess`.

It first answers what needs no torch, and imports torch for the rest. It never uses the network: the memory of
a model whose configuration is not on this machine is unknown until that has been downloaded. Its prints go to
`estimates.log` in looptop's home.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from looptop.engine.config import RunConfig, from_dict
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.estimates.data import DataEstimate, count_steps, estimate_data
from looptop.engine.estimates.records import EstimateReply, EstimateRequest, MemoryEstimate
from looptop.engine.helpers.process import HelperState
from looptop.engine.helpers.server import HelperServer, run
from looptop.engine.text import visible

LOG = "estimates.log"


class PendingEstimate(NamedTuple):
    """A run whose data have been counted, and whose memory has not been estimated yet."""

    reply: EstimateReply
    """What is known already."""
    config: RunConfig
    data: DataEstimate


class Server(HelperServer[EstimateReply]):
    """Estimates runs.

    Data are counted immediately. Memory, which needs torch, is estimated in a thread: what is wrong with the data shows
    before torch is loaded. A newer request replaces one that waits for the thread.

    Args:
        replies: Where replies are written.
        log: The file for tracebacks; error messages name it.
    """

    def __init__(self, replies: IO[bytes], log: Path) -> None:
        super().__init__(EstimateReply, replies, log)
        self._data: tuple[object, DataEstimate] = (None, DataEstimate())
        self._memory: tuple[object, MemoryEstimate] | None = None
        self._program = 0
        self._waiting: PendingEstimate | None = None
        self._changed = threading.Condition()
        self._writes = threading.Lock()
        threading.Thread(target=self._estimate_memories, name="memory", daemon=True).start()

    def reply(self, reply: EstimateReply) -> None:
        """Writes one line, from either thread."""
        with self._writes:
            super().reply(reply)

    def answer(self, line: bytes) -> None:
        """Estimates one run: its data now, its memory soon."""
        request = msgspec.json.decode(line, type=EstimateRequest)
        self.request_id = request.id
        config = from_dict(request.settings)
        self.report("reading the data")
        of_data = (config.data, config.training.seed, config.kind)
        if self._data[0] != of_data:
            try:
                self._data = (of_data, estimate_data(config))
            except SettingError as error:
                self.reply(EstimateReply(id=request.id, error=str(error), key=error.key, state=HelperState.READY))
                return
            except LooptopError as error:
                self.reply(EstimateReply(id=request.id, error=str(error), key="data.source", state=HelperState.READY))
                return
        data = self._data[1]
        known = EstimateReply(
            id=request.id,
            splits=data.splits,
            left_out=data.left_out,
            steps=count_steps(config, data),
            activity="estimating the memory",
        )
        self.reply(known)
        with self._changed:
            replaced, self._waiting = self._waiting, PendingEstimate(known, config, data)
            self._changed.notify()
        if replaced is not None:
            self.reply(
                msgspec.structs.replace(replaced.reply, state=HelperState.READY, unknown="another run was asked about")
            )

    def _estimate_memories(self) -> None:
        while True:
            with self._changed:
                while (waiting := self._waiting) is None:
                    self._changed.wait()
                self._waiting = None
            memory = self._estimate_memory(waiting.config, waiting.data)
            self.reply(
                msgspec.structs.replace(
                    waiting.reply,
                    state=HelperState.READY,
                    memory=memory if isinstance(memory, MemoryEstimate) else None,
                    unknown=memory if isinstance(memory, str) else "",
                )
            )

    def _estimate_memory(self, config: RunConfig, data: DataEstimate) -> MemoryEstimate | str:
        """The memory, or why it is not known."""
        # These change no tensor: with fixed values, changing them does not estimate again.
        training = msgspec.structs.replace(
            config.training, num_train_epochs=1.0, max_steps=-1, learning_rate=1.0, warmup_steps=0.0, weight_decay=0.0
        )
        wanted = msgspec.structs.replace(config, training=training), data.splits
        if self._memory is not None and self._memory[0] == wanted:
            return self._memory[1]
        try:
            if not self._program:
                self._program = _program_bytes(config.kind)
            from looptop.engine.estimates.memory import estimate_memory

            memory = estimate_memory(config, data.counts, self._program)
        # What is unknown is not kept: a model may be downloaded or repaired meanwhile.
        except LooptopError as error:
            return str(error)
        except OSError:
            return "a model's configuration has not been downloaded to this machine yet"
        except Exception as error:  # a model of a kind that cannot be counted
            traceback.print_exc()
            sys.stderr.flush()
            kind = visible(type(error).__name__)
            return f"the memory of these models cannot be estimated ({kind}); see {visible(self.log)}"
        self._memory = (wanted, memory)
        return memory


def _program_bytes(kind: str) -> int:
    """The memory of this process once it has loaded what a run's process loads."""
    from looptop.engine.startup.kinds import training_of

    training_of(kind)
    import psutil

    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    run(Server, LOG, "looptop.engine.estimates.data")
