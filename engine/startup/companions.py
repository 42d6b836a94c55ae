"""Starts the other processes of a run, watches over them, and is what each of them runs.

A companion trains as the first process does, with a journal and controls that nobody sees: it keeps nothing, so it may
end at any moment. It ends with the process that started it, however that one ends; and where a companion ends before
the run does, the run has failed, with what the companion said last. Run as
`python -m looptop.engine.startup.companions FOLDER MEETING INDEX COUNT`.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from looptop.engine.compute.device import Device, pick
from looptop.engine.compute.out_of_memory import is_out_of_memory
from looptop.engine.errors import LONGEST, LooptopError, said_of
from looptop.engine.files.private import append_private
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.context import RunContext, RunStoppedError, why_out_of_memory
from looptop.engine.runs.distributed import joined
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.processes import Processes
from looptop.engine.startup.kinds import training_of
from looptop.engine.text import visible

PROGRAM = (sys.executable, "-P", "-m", "looptop.engine.startup.companions")

_FAREWELL_SECONDS = 5.0
"""How long companions have to end by themselves when the run has ended."""
_FIRST_SECONDS = 0.5
"""How long a companion that fails looks whether the first has ended."""
_WORD_SECONDS = 3.0
"""How long one that has broken off has to say why."""


@contextmanager
def together(folder: RunFolder, count: int, device: str, on_loss: Callable[[str], object]) -> Iterator[Processes]:
    """The run's processes, of which this one is the first, for as long as the block runs.

    Args:
        folder: The run.
        count: How many processes it has, more than one; the others are started here.
        device: As in the configuration.
        on_loss: Told, in another thread, when a companion ended before the run did, and why.

    Raises:
        LooptopError: The machine has no device for each of them, or one of them ended before the run did.
    """
    on_gpus = _on_gpus(device, count)
    with tempfile.TemporaryDirectory(prefix="looptop-") as private:
        meeting = Path(private) / "meeting"
        companions: list[_Companion] = []
        with _watched(companions):
            # One that does not start takes those before it along.
            for index in range(1, count):
                companions.append(_Companion(folder, meeting, index, count, on_loss))
            with joined(meeting, 0, count, on_gpus=on_gpus) as processes, _watched(companions):
                yield processes


@contextmanager
def _watched(companions: Sequence[_Companion]) -> Iterator[None]:
    """While the block runs: says why it broke off where a companion knows, and lets the companions go at its end."""
    try:
        yield
    except (LooptopError, RunStoppedError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # What else breaks here is the connection.
        for companion in companions:
            if reason := companion.why_it_broke_off(_WORD_SECONDS):
                raise LooptopError(reason) from error
        raise
    finally:
        for companion in companions:
            companion.dismiss()


class _Companion:
    """One of them, seen from the first process."""

    def __init__(
        self, folder: RunFolder, meeting: Path, index: int, count: int, on_loss: Callable[[str], object]
    ) -> None:
        self.name = f"process {index + 1} of {count}"
        self._dismissed = False
        self._reason = ""
        with append_private(folder.log) as log:
            # Its input stays open for as long as this process lives. It has a session of its own: ctrl-C in a terminal
            # is for who started the run.
            self._process = subprocess.Popen(
                [*PROGRAM, str(folder.path), str(meeting), str(index), str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                text=True,
                errors="replace",
            )
        self._watch = threading.Thread(target=self._wait, args=(on_loss,), name=f"{folder.id} {self.name}", daemon=True)
        self._watch.start()

    def why_it_broke_off(self, seconds: float) -> str:
        """Why it ended before the run did, in words; empty where it has not within so many seconds."""
        self._watch.join(seconds)
        return "" if self._watch.is_alive() else self._reason

    def dismiss(self) -> None:
        """Lets it end."""
        self._dismissed = True
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watch.join()

    def _wait(self, on_loss: Callable[[str], object]) -> None:
        lines = self._process.stdout.read().splitlines()  # type: ignore[union-attr]
        code = self._process.wait()
        if self._dismissed or not code:
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else "ended before the run did"
        self._reason = f"{self.name}: {visible(lines[-1])}" if lines else f"{self.name} {how}; see the log"
        on_loss(self._reason)


def main(arguments: Sequence[str] | None = None) -> int:
    """A companion, from its start to its end.

    Args:
        arguments: What stands on its command line.

    Returns:
        The exit code: 1 where it failed; the last line on stdout says why.
    """
    parser = argparse.ArgumentParser(prog="python -m looptop.engine.startup.companions")
    parser.add_argument("folder", type=Path)
    parser.add_argument("meeting", type=Path)
    parser.add_argument("index", type=int)
    parser.add_argument("count", type=int)
    given = parser.parse_args(arguments)
    private = given.meeting.parent
    with_the_first = threading.Thread(target=_end_with_the_first, args=(private,), daemon=True)
    with_the_first.start()
    # What all of them would say, the first one says.
    logging.getLogger("looptop").setLevel(logging.ERROR)
    # Libraries may print what they like; who started this reads one line.
    word = os.fdopen(os.dup(sys.stdout.fileno()), "w", errors="backslashreplace")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    folder = RunFolder(given.folder)
    config = folder.config()
    on_gpus = _on_gpus(config.training.device, given.count)
    context: RunContext | None = None
    try:
        with joined(given.meeting, given.index, given.count, on_gpus=on_gpus) as processes:
            unseen = RunFolder(private / str(given.index))
            unseen.controls.mkdir(parents=True)
            journal = JournalWriter(unseen.db)
            gate = Gate(unseen, journal)
            gate.processes = processes
            context = RunContext(folder, config, journal, gate)
            context.begin_together()
            training_of(config.kind)(context)
    except RunStoppedError:
        return 0
    except BaseException as error:
        traceback.print_exc()
        word.write(f"{_why(error, context)}\n")
        word.flush()
        # Where it was the first's end that broke this off, that is all there is to it.
        with_the_first.join(_FIRST_SECONDS)
        return 1
    return 0


def _why(error: BaseException, context: RunContext | None) -> str:
    if context is not None and is_out_of_memory(error):
        return why_out_of_memory(error, context)
    return (visible(error) if isinstance(error, LooptopError) else said_of(error))[:LONGEST]


def _end_with_the_first(private: Path) -> None:
    sys.stdin.buffer.read()
    # Where the first was killed, nobody else does. This process's other threads may write there all the while.
    end = time.monotonic() + _FAREWELL_SECONDS
    while private.exists() and time.monotonic() < end:
        shutil.rmtree(private, ignore_errors=True)
        time.sleep(0.01)
    os._exit(0)


def _on_gpus(device: str, count: int) -> bool:
    """Whether each process has a GPU of its own, or a part of the processor.

    Raises:
        LooptopError: The machine has not as many GPUs, or the device is one that cannot be shared.
    """
    chosen: Device = pick(device)
    if ":" in device or chosen.torch_device == "mps":
        raise LooptopError(
            f"training.processes is {count}, and the device '{chosen.torch_device}' takes one process;"
            " let training.device be auto, cuda or cpu"
        )
    on_gpus = chosen.torch_device.startswith("cuda")
    if on_gpus and torch.cuda.device_count() < count:
        has = torch.cuda.device_count()
        raise LooptopError(
            f"training.processes is {count}, and this machine has {has} GPU{'s' * (has != 1)}: each process needs one"
        )
    return on_gpus


if __name__ == "__main__":
    raise SystemExit(main())
