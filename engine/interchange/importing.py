"""Makes runs of other programs' records: TensorBoard's event files, W&B's offline folders.

As in TensorBoard, each folder with event files is one run. What is cut short is read as far as it goes, with a word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.interchange import tensorboard, wandb
from looptop.engine.runs.about import write_about
from looptop.engine.runs.delete import delete
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.lock import RunLock
from looptop.engine.runs.records import RunState
from looptop.engine.runs.writer import JournalWriter
from looptop.engine.text import visible

OnRun = Callable[[RunFolder], object]
OnWord = Callable[[str], object]

TENSORBOARD, WANDB = "tensorboard", "wandb"
"""The kinds of imported runs."""


def import_folder(folder: Path, on_run: OnRun, on_word: OnWord, *, again: bool = False) -> None:
    """Imports all that a folder holds.

    Args:
        folder: With event files or `.wandb` files in it, or below it.
        on_run: Is given each run when it is whole.
        on_word: Is told what was left out, and why.
        again: Also what was imported before.

    Raises:
        LooptopError: The folder holds nothing that can be imported.
    """
    if not folder.is_dir():
        raise LooptopError(f"there is no folder {visible(folder)}")
    sources = [(WANDB, path) for path in wandb.files(folder)]
    sources += [(TENSORBOARD, path) for path in dict.fromkeys(file.parent for file in tensorboard.event_files(folder))]
    if not sources:
        raise LooptopError(
            f"{visible(folder)} holds neither TensorBoard's event files (*tfevents*) nor W&B's offline files (*.wandb)"
        )
    known = {} if again else _known()
    for kind, path in sources:
        source = str(path.absolute())
        if source in known:
            on_word(f"{visible(path)} is {known[source]} already; --again imports it once more")
            continue
        read = _read_wandb if kind == WANDB else _read_tensorboard
        name = path.parent.name if kind == WANDB else _name(folder, path)
        try:
            on_run(_import(kind, source, name, lambda writer, run, r=read, p=path: r(p, writer, run)))  # type: ignore[misc]
        except LooptopError as error:
            on_word(str(error))


def _import(kind: str, source: str, name: str, read: Callable[[JournalWriter, RunFolder], None]) -> RunFolder:
    run = RunFolder.create(kind, {"kind": kind, "name": name, "source": source})
    try:
        with RunLock(run.lock, run.id):
            writer = JournalWriter(run.db)
            try:
                write_about(run.path, title=_line(name))
                read(writer, run)
            finally:
                whole = writer.close()
        if not whole:
            raise LooptopError(f"the journal of {run.id} could not be written to its end; is the disk full?")
    except BaseException:
        # Half of a run would look like a whole one.
        with contextlib.suppress(LooptopError):
            delete(run)
        raise
    return run


def _read_tensorboard(folder: Path, writer: JournalWriter, _run: RunFolder) -> None:
    first, last, steps, count = float("inf"), 0.0, 0, 0
    files = sorted(path for path in folder.glob("*tfevents*") if path.is_file())
    for path in files:
        for found in _whole(path, writer):
            writer.metrics(found.step, {found.tag: found.value}, found.time)
            first, last, steps = min(first, found.time), max(last, found.time), max(steps, found.step)
            count += 1
    if not count:
        raise LooptopError(f"{visible(folder)} holds no scalars and is left out")
    writer.facts(total_steps=steps)
    writer.state(RunState.RUNNING, time=first)
    writer.event("import", f"{count:,} values from {visible(folder)}", time=last)
    writer.state(RunState.FINISHED, "imported from TensorBoard's event files", time=last)


def _whole(path: Path, writer: JournalWriter) -> Iterator[tensorboard.Scalar]:
    try:
        yield from tensorboard.scalars(path)
    except tensorboard.Damaged:
        text = f"{visible(path.name)} was cut short, or is damaged: what came before is here"
        writer.event("import", text, level="warning")
    except OSError as error:
        writer.event("import", f"{visible(path.name)} cannot be read: {error.strerror}", level="warning")


def _read_wandb(path: Path, writer: JournalWriter, run: RunFolder) -> None:
    described = wandb.Described()
    last, total = 0.0, 0
    try:
        for step in wandb.steps(path, described):
            writer.metrics(step.number, step.values, step.time or None)
            last, total = max(last, step.time), max(total, step.number)
    except OSError as error:
        raise LooptopError(f"cannot read {visible(path)}: {error.strerror}") from None
    if not described.whole:
        writer.event(
            "import", f"{visible(path.name)} was cut short: what came before is here", level="warning", time=last
        )
    for title, text, moment in described.alerts:
        writer.event("alert", f"{title}: {text}" if title else text, level="warning", time=moment)
    writer.facts(total_steps=total, wandb_id=described.run_id, project=described.project)
    writer.state(RunState.RUNNING, time=described.started or last)
    if described.exit_code is not None:
        state = RunState.FINISHED if described.exit_code == 0 else RunState.FAILED
        reason = "imported from W&B" if described.exit_code == 0 else f"exit code {described.exit_code}"
        writer.state(state, reason, time=max(last, described.started))
    write_about(run.path, title=_line(described.name or path.stem), note=described.notes[:10_000])
    run.write_settings(
        {
            "kind": WANDB,
            "name": described.name,
            "source": str(path.absolute()),
            "project": described.project,
            "config": _plain(described.config),
        }
    )


def _known() -> dict[str, str]:
    """What was imported before: source -> the run's id."""
    found = {}
    for run in RunFolder.all():
        if run.id.startswith((f"{TENSORBOARD}-", f"{WANDB}-")):
            with contextlib.suppress(LooptopError):
                found[str(run.settings().get("source", ""))] = run.id
    return found


def _name(folder: Path, path: Path) -> str:
    below = path.relative_to(folder)
    return path.absolute().name if str(below) == "." else f"{folder.absolute().name}/{below}"


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _plain(value: Any) -> Any:
    """The value without what TOML has no word for."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if item is not None]
    return value if isinstance(value, bool | int | float | str) else str(value)
