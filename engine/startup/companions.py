"""The companions of a run, its further processes: starts them, watches them, and is the program that each one runs.

A companion trains as the first process does, with a journal and controls in a temporary folder that nobody reads, so
it may end at any moment. It ends when the first process ends, for whatever reason. If a companion ends before the run
does, the run fails, with the companion's last line of output as the reason. Run as
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
from looptop.engine.errors import MAX_ERROR_LENGTH, LooptopError, error_text
from looptop.engine.files.private import append_private
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.context import RunContext, RunStoppedError, out_of_memory_reason
from looptop.engine.runs.distributed import connect_processes
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.processes import Processes
from looptop.engine.startup.kinds import training_of
from looptop.engine.text import visible

PROGRAM = (sys.executable, "-P", "-m", "looptop.engine.startup.companions")

_EXIT_SECONDS = 5.0
"""Seconds that companions may take to exit by themselves after the run."""
_FIRST_ENDED_SECONDS = 0.5
"""Seconds that a companion that fails waits to see whether the first process has exited."""
_REASON_SECONDS = 20.0
"""Seconds to wait for the reason of a companion that has failed: on a busy machine, PyTorch takes long to end."""


@contextmanager
def with_companions(
    folder: RunFolder, count: int, device: str, on_loss: Callable[[str], object]
) -> Iterator[Processes]:
    """Starts the companions of a run, of which this process is the first; they live as long as the block runs.

    Args:
        folder: The run.
        count: How many processes the run has, this one included; more than one.
        device: As in the configuration.
        on_loss: Called in another thread, with the reason, when a companion exits before the run has ended.

    Raises:
        LooptopError: The machine does not have a device for each of them, or one of them ended before the run did.
    """
    on_gpus = _on_gpus(device, count)
    with tempfile.TemporaryDirectory(prefix="looptop-") as private:
        rendezvous_file = Path(private) / "rendezvous"
        companions: list[_Companion] = []
        with contextlib.ExitStack() as started:
            # If one does not start, those before it are ended, and not asked for a reason that they do not have.
            for index in range(1, count):
                companions.append(_Companion(folder, rendezvous_file, index, count, on_loss))
                started.callback(companions[-1].end)
            with (
                _watched(companions),
                connect_processes(rendezvous_file, 0, count, on_gpus=on_gpus) as processes,
                _watched(companions),
            ):
                yield processes


@contextmanager
def _watched(companions: Sequence[_Companion]) -> Iterator[None]:
    """Ends the companions when the block ends. If the block failed because a companion had, raises that reason."""
    try:
        yield
    except (LooptopError, RunStoppedError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # Any other error here comes from the connection to a companion.
        for companion in companions:
            if reason := companion.failure(_REASON_SECONDS):
                raise LooptopError(reason) from error
        raise
    finally:
        for companion in companions:
            companion.end()


class _Companion:
    """One companion, seen from the first process."""

    def __init__(
        self, folder: RunFolder, rendezvous_file: Path, index: int, count: int, on_loss: Callable[[str], object]
    ) -> None:
        self.name = f"process {index + 1} of {count}"
        self._ended = False
        self._reason = ""
        with append_private(folder.log) as log:
            # Its input stays open as long as this process lives. It has a session of its own, so that ctrl-C in a
            # terminal reaches only the program that started the run.
            self._process = subprocess.Popen(
                [*PROGRAM, str(folder.path), str(rendezvous_file), str(index), str(count)],
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

    def failure(self, seconds: float) -> str:
        """Why the process exited before the run ended; empty if it has not exited within this many seconds."""
        self._watch.join(seconds)
        return "" if self._watch.is_alive() else self._reason

    def end(self) -> None:
        """Ends the process: closes its input, and kills it if it does not end by itself."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watch.join()

    def _wait(self, on_loss: Callable[[str], object]) -> None:
        lines = self._process.stdout.read().splitlines()  # type: ignore[union-attr]
        code = self._process.wait()
        if self._ended or not code:
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else "ended before the run did"
        self._reason = f"{self.name}: {visible(lines[-1])}" if lines else f"{self.name} {how}; see the log"
        on_loss(self._reason)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a companion.

    Args:
        arguments: Its command line.

    Returns:
        The exit code: 1 if it failed; the last line on stdout is the reason.
    """
    parser = argparse.ArgumentParser(prog="python -m looptop.engine.startup.companions")
    parser.add_argument("folder", type=Path)
    parser.add_argument("rendezvous_file", type=Path)
    parser.add_argument("index", type=int)
    parser.add_argument("count", type=int)
    given = parser.parse_args(arguments)
    private = given.rendezvous_file.parent
    first_ended = threading.Event()
    exiting = threading.Thread(target=_exit_with_the_first, args=(private, first_ended), daemon=True)
    exiting.start()
    # The first process logs what all of them would log.
    logging.getLogger("looptop").setLevel(logging.ERROR)
    # Prints of libraries go to stderr: the first process reads the reason of a failure from stdout.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", errors="backslashreplace")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    folder = RunFolder(given.folder)
    config = folder.config()
    on_gpus = _on_gpus(config.training.device, given.count)
    context: RunContext | None = None
    try:
        with connect_processes(given.rendezvous_file, given.index, given.count, on_gpus=on_gpus) as processes:
            unseen = RunFolder(private / str(given.index))
            unseen.controls.mkdir(parents=True)
            journal = JournalWriter(unseen.db)
            gate = Gate(unseen, journal)
            gate.processes = processes
            context = RunContext(folder, config, journal, gate)
            context.share_resume_point()
            training_of(config.kind)(context)
    except RunStoppedError:
        return 0
    except BaseException as error:
        traceback.print_exc()
        output.write(f"{_reason(error, context)}\n")
        output.flush()
        # If this failed because the first process has exited, that thread removes the folder and ends this process.
        if first_ended.wait(_FIRST_ENDED_SECONDS):
            exiting.join()
        return 1
    return 0


def _reason(error: BaseException, context: RunContext | None) -> str:
    if context is not None and is_out_of_memory(error):
        return out_of_memory_reason(error, context)
    return (visible(error) if isinstance(error, LooptopError) else error_text(error))[:MAX_ERROR_LENGTH]


def _exit_with_the_first(private: Path, first_ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    first_ended.set()
    # If the first process was killed, nobody else removes the folder. Other threads may still write into it.
    end = time.monotonic() + _EXIT_SECONDS
    while private.exists() and time.monotonic() < end:
        shutil.rmtree(private, ignore_errors=True)
        time.sleep(0.01)
    os._exit(0)


def _on_gpus(device: str, count: int) -> bool:
    """Whether each process has a GPU of its own; otherwise they share the CPU.

    Raises:
        LooptopError: The machine does not have that many GPUs, or the device takes one process only.
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
