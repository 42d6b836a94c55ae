"""The program of the estimating process: `python -m looptop.engine.estimates.server`, started by an
`EstimateProcess`.

It first answers what needs no torch, and imports torch for the rest. It never uses the network: a model whose
configuration is not on this machine is counted once the run has fetched it. Its prints go to `estimates.log` in
looptop's home.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

import msgspec

from looptop.engine.config import RunConfig, from_dict
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.estimates.records import EstimateReply, EstimateRequest, MemoryEstimate
from looptop.engine.helpers.server import HelperServer, run

LOG = "estimates.log"


class Server(HelperServer[EstimateReply]):
    """Estimates runs; the data and the memory of the last one stay known.

    Args:
        replies: Where replies are written.
        log: The file for tracebacks; error messages name it.
    """

    def __init__(self, replies: IO[bytes], log: Path) -> None:
        super().__init__(EstimateReply, replies, log)
        self._data: tuple[object, Any] = (None, None)
        self._memory: tuple[object, MemoryEstimate | str] = (None, "")
        self._program = 0

    def answer(self, line: bytes) -> None:
        """Estimates one run."""
        from looptop.engine.estimates.data import count_steps, estimate_data

        request = msgspec.json.decode(line, type=EstimateRequest)
        self.request_id = request.id
        config = from_dict(request.settings)
        self.report("looking at the data")
        of_data = (config.data, config.training.seed, config.kind)
        if self._data[0] != of_data:
            try:
                self._data = (of_data, estimate_data(config))
            except SettingError as error:
                self.reply(EstimateReply(id=request.id, error=str(error), key=error.key, status="ready"))
                return
            except LooptopError as error:
                self.reply(EstimateReply(id=request.id, error=str(error), key="data.source", status="ready"))
                return
        data = self._data[1]
        known = EstimateReply(
            id=request.id,
            splits=data.splits,
            left_out=data.left_out,
            steps=count_steps(config, data),
            status="counting the memory",
        )
        self.reply(known)
        memory = self._estimate_memory(config, data)
        self.reply(
            msgspec.structs.replace(
                known,
                status="ready",
                memory=memory if isinstance(memory, MemoryEstimate) else None,
                unknown=memory if isinstance(memory, str) else "",
            )
        )

    def _estimate_memory(self, config: RunConfig, data: Any) -> MemoryEstimate | str:
        """The memory, or why it is not known."""
        training = msgspec.structs.replace(
            config.training, num_train_epochs=1.0, max_steps=-1, learning_rate=1.0, warmup_steps=0.0, weight_decay=0.0
        )
        wanted = msgspec.structs.replace(config, training=training), data.splits
        if self._memory[0] == wanted:
            return self._memory[1]
        if not self._program:
            self._program = _program_bytes(config.kind)
        from looptop.engine.estimates.memory import estimate_memory

        try:
            result: MemoryEstimate | str = estimate_memory(config, data.counts, self._program)
        except LooptopError as error:
            result = str(error)
        except OSError:
            result = "a model's configuration is not on this machine yet"
        self._memory = (wanted, result)
        return result


def _program_bytes(kind: str) -> int:
    """The memory of this process once it has loaded what a run's process loads."""
    from looptop.engine.startup.kinds import training_of

    training_of(kind)
    import psutil

    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    run(Server, LOG, "looptop.engine.estimates.data")
