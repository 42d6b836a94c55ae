"""The program of the evaluating process: `python -m looptop.engine.helpers.evaluation_server`, started by an
`EvaluationProcess`.

Its prints, and tracebacks of programming errors, go to `evaluations.log` in looptop's home.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO

import msgspec

from looptop.engine.helpers.evaluations import EvaluationReply, EvaluationRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.helpers.server import HelperServer, run
from looptop.engine.runs.progress import ProgressMeter

LOG = "evaluations.log"

SECONDS_BETWEEN_REPORTS = 0.5


class Server(HelperServer[EvaluationReply]):
    """Evaluates models, one after another.

    Args:
        replies: Where replies are written.
        log: The file for tracebacks; error messages name it.
    """

    def __init__(self, replies: IO[bytes], log: Path) -> None:
        super().__init__(EvaluationReply, replies, log)
        self._meter = ProgressMeter()
        self._reported = 0.0
        self._text = ""

    def answer(self, line: bytes) -> None:
        """Evaluates one model."""
        from looptop.engine.vqa.evaluation.evaluate import evaluate

        request = msgspec.json.decode(line, type=EvaluationRequest)
        self.request_id = request.id
        done = evaluate(
            request.model,
            request.data or None,
            request.settings,
            request.limit,
            data_of=request.data_of,
            on_progress=self._report_progress,
        )
        self.reply(EvaluationReply(id=request.id, state=HelperState.READY, notes=tuple(done.notes)))

    def _report_progress(self, text: str, done: int, total: int) -> None:
        progress = self._meter.measure(text, done, total)
        now = time.monotonic()
        if text == self._text and now - self._reported < SECONDS_BETWEEN_REPORTS:
            return
        self._text, self._reported = text, now
        self.reply(EvaluationReply(id=self.request_id, activity="evaluating", progress=progress))


if __name__ == "__main__":
    run(Server, LOG, "looptop.engine.vqa.evaluation.evaluate")
