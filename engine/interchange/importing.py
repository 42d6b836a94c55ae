"""Makes runs from other programs' files: TensorBoard's event files and W&B's offline folders.

As in TensorBoard, each folder with event files is one run. Damaged parts are left out, counted and named, in an event
of the run and in a message; the rest of the file and the folder's other runs are still imported.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.lock import RunLock
from looptop.engine.interchange import tensorboard, wandb
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter, storable
from looptop.engine.runs.about import write_about
from looptop.engine.runs.delete import delete
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, visible

OnRun = Callable[[RunFolder], object]
"""Receives each imported run."""
OnMessage = Callable[[str], object]
"""Receives sentences about what was left out."""

TENSORBOARD, WANDB = "tensorboard", "wandb"
"""The kinds of imported runs."""

# The levels of a nested configuration that are kept.
_MAX_DEPTH = 20


def import_folder(folder: Path, on_run: OnRun, on_message: OnMessage, *, again: bool = False) -> bool:
    """Imports everything in a folder.

    Args:
        folder: A folder with event files or `.wandb` files in it or below it; links in it are followed.
        on_run: Receives each run when it is complete.
        on_message: Receives what was left out, and why.
        again: Import again what was imported before.

    Returns:
        Whether everything could be read. Values that a run of looptop does not hold (histograms, texts, tables) and
        what was imported before count as read.

    Raises:
        LooptopError: The folder holds nothing that can be imported.
    """
    try:
        is_folder = folder.is_dir()
    except ValueError:  # a NUL in the name
        is_folder = False
    if not is_folder:
        raise LooptopError(f"there is no folder {visible(folder)}")
    sources = [(WANDB, path, [path]) for path in wandb.files(folder)]
    by_folder: dict[Path, list[Path]] = {}
    for file in tensorboard.event_files(folder):
        by_folder.setdefault(file.parent, []).append(file)
    sources += [(TENSORBOARD, path, files) for path, files in by_folder.items()]
    if not sources:
        raise LooptopError(
            f"{visible(folder)} holds neither TensorBoard's event files (*tfevents*) nor W&B's offline files (*.wandb)"
        )
    earlier = {} if again else _earlier_imports()
    complete = True
    for kind, path, files in sources:
        source = str(path.resolve())  # the same, whatever link leads to it
        if source in earlier:
            on_message(f"{visible(path)} is already imported as {earlier[source]}; --again imports it once more")
            continue
        name = path.parent.name if kind == WANDB else _name(folder, path)
        report = _Report(path, on_message)
        try:
            on_run(_import(kind, source, name, files, report))
        except LooptopError as error:
            complete = False
            on_message(str(error))
        except Exception as error:  # an error in another program's file does not stop the import of the others
            complete = False
            on_message(f"{visible(path)} cannot be imported: {error_text(error)}")
        complete = complete and report.complete
    return complete


class _Report:
    """Reports what was not imported from a source, in events of its run and in messages."""

    def __init__(self, path: Path, on_message: OnMessage) -> None:
        self.path = path
        self.complete = True
        """Whether everything could be read."""
        self._on_message = on_message

    def report_damage(self, writer: JournalWriter, text: str, time: float | None = None) -> None:
        """Reports that something could not be read."""
        self.complete = False
        self._say(writer, text, "warning", time)

    def note(self, writer: JournalWriter, text: str, time: float | None = None) -> None:
        """Reports something that is not an error."""
        self._say(writer, text, "info", time)

    def report_left_out(self, writer: JournalWriter, left_out: Counter[str], time: float | None) -> None:
        """Reports what was left out because it is damaged."""
        if left_out:
            self.report_damage(writer, f"damaged: {_counts_text(left_out)}", time)

    def report_other_kinds(self, writer: JournalWriter, kinds: Counter[str], time: float | None) -> None:
        """Reports values of kinds that are not imported."""
        if kinds:
            self.note(writer, f"not imported: {_counts_text(kinds)}; a run of looptop holds numbers only", time)

    def _say(self, writer: JournalWriter, text: str, level: str, time: float | None) -> None:
        writer.event("import", text, level=level, time=time)
        self._on_message(f"{visible(self.path)}: {text}")


def _import(kind: str, source: str, name: str, files: list[Path], report: _Report) -> RunFolder:
    run = RunFolder.create(kind, {"kind": kind, "name": storable(name), "source": storable(source)})
    try:
        with RunLock(run.lock, run.id):
            writer = JournalWriter(run.db)
            try:
                write_about(run.path, title=_one_line(name))
                if kind == WANDB:
                    _read_wandb(report, writer, run, source)
                else:
                    _read_tensorboard(files, report, writer)
            finally:
                complete = writer.close()
        if not complete:
            raise LooptopError(f"the journal of {run.id} could not be written completely; is the disk full?")
    except BaseException:
        # Half a run would look like a complete one.
        with contextlib.suppress(LooptopError):
            delete(run)
        raise
    return run


def _read_tensorboard(files: list[Path], report: _Report, writer: JournalWriter) -> None:
    folder, reader = report.path, tensorboard.EventReader()
    broken: list[str] = []
    for path in files:
        try:
            reader.read(path)
        except tensorboard.Damaged:
            broken.append(f"{visible(path.name)} was cut short, or is damaged")
        except OSError as error:
            broken.append(f"{visible(path.name)} cannot be read: {error.strerror}")
    curves = {tag: curve for tag, curve in reader.curves.items() if curve.steps}
    if not curves:
        others = reader.unreadable + reader.other
        reasons = [f"it holds: {_counts_text(others)}"] if others else []
        raise LooptopError("; ".join([f"{visible(folder)} holds no scalars and is left out", *reasons, *broken]))
    first = min(curve.times[0] for curve in curves.values())
    last = max(curve.times[-1] for curve in curves.values())
    for tag, curve in curves.items():
        for step, time, value in zip(curve.steps, curve.times, curve.values, strict=True):
            writer.metrics(step, {tag: value}, time)
    writer.facts(total_steps=max(curve.steps[-1] for curve in curves.values()))
    writer.state(RunState.RUNNING, time=first)
    for text in broken:
        report.report_damage(writer, f"{text}; what could be read is imported", last)
    report.report_left_out(writer, reader.unreadable, last)
    report.report_other_kinds(writer, reader.other, last)
    if reader.superseded:
        report.note(
            writer,
            f"the run was restarted and wrote {counted(reader.superseded, 'earlier value')} again; the first writing is"
            " left out, as in TensorBoard",
            last,
        )
    if reader.shared:
        tags = ", ".join(visible(tag) for tag in sorted(reader.shared)[:5])
        report.report_damage(
            writer,
            f"two files wrote to {tags} at the same time: the values of the file with the later name are used, as in"
            " TensorBoard; give each writer a folder of its own",
            last,
        )
    count = sum(len(curve.steps) for curve in curves.values())
    writer.event("import", f"{counted(count, 'value')} from {visible(folder)}", time=last)
    writer.state(RunState.FINISHED, "imported from TensorBoard's event files", time=last)


def _read_wandb(report: _Report, writer: JournalWriter, run: RunFolder, source: str) -> None:
    path, description = report.path, wandb.RunDescription()
    last, total = 0.0, 0
    names: set[str] = set()
    try:
        for step in wandb.steps(path, description):
            writer.metrics(step.number, step.values, step.time or None)
            last, total = max(last, step.time), max(total, step.number)
            names.update(step.values)
    except OSError as error:
        raise LooptopError(f"cannot read {visible(path)}: {error.strerror}") from None
    last = last or description.started
    # Values that the run only set in its summary have no step of their own.
    ends = {name: value for name, value in description.summary.items() if name not in names and name[:1] != "_"}
    if ends:
        writer.metrics(total, ends, last or None)
    if not description.whole:
        text = f"{visible(path.name)} was cut short, or is damaged at its end: everything before is imported"
        report.report_damage(writer, text, last or None)
    report.report_left_out(writer, description.unreadable, last or None)
    if description.off_axis:
        axes = _counts_text(description.off_axis)
        report.note(writer, f"values whose axis has no whole number are at W&B's own step: {axes}", last or None)
    report.report_other_kinds(writer, description.other, last or None)
    for title, text, moment in description.alerts:
        writer.event("alert", f"{title}: {text}" if title else text, level="warning", time=moment or None)
    writer.facts(total_steps=total, wandb_id=description.run_id, project=description.project)
    writer.state(RunState.RUNNING, time=description.started or last or None)
    if description.exit_code is not None:
        state = RunState.FINISHED if description.exit_code == 0 else RunState.FAILED
        reason = "imported from W&B" if description.exit_code == 0 else f"exit code {description.exit_code}"
        writer.state(state, reason, time=max(last, description.started) or None)
    write_about(run.path, title=_one_line(description.name or path.stem), note=description.notes[:10_000])
    run.write_settings(
        {
            "kind": WANDB,
            "name": storable(description.name),
            "source": storable(source),
            "project": storable(description.project),
            "config": _as_toml(description.config),
        }
    )


def _counts_text(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} ({count:,})" for kind, count in kinds.items())


def _earlier_imports() -> dict[str, str]:
    """The ids of earlier imports, by source."""
    imported = {}
    for run in RunFolder.all():
        if run.kind in (TENSORBOARD, WANDB):
            with contextlib.suppress(LooptopError):
                imported[str(run.settings().get("source", ""))] = run.id
    return imported


def _name(folder: Path, path: Path) -> str:
    below = path.relative_to(folder.resolve())
    return folder.absolute().name if str(below) == "." else f"{folder.absolute().name}/{below}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _as_toml(value: Any, depth: int = 0) -> Any:
    """The value without what TOML cannot hold, or TOML readers cannot read."""
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {storable(str(key)): _as_toml(item, depth + 1) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_as_toml(item, depth + 1) for item in value if item is not None]
    if isinstance(value, int) and abs(value) >= 2**63:
        return "…"
    return value if isinstance(value, bool | int | float) else storable(str(value))
