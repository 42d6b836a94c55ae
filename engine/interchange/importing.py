"""Makes runs of other programs' records: TensorBoard's event files, W&B's offline folders.

As in TensorBoard, each folder with event files is one run. What is damaged is left out, counted and named, as an event
of the run and to whoever imports; the rest of the file and the folder's other runs are imported all the same.
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
from looptop.engine.text import visible

OnRun = Callable[[RunFolder], object]
OnWord = Callable[[str], object]

TENSORBOARD, WANDB = "tensorboard", "wandb"
"""The kinds of imported runs."""

# Levels of a configuration that are kept.
_DEEPEST = 20


def import_folder(folder: Path, on_run: OnRun, on_word: OnWord, *, again: bool = False) -> bool:
    """Imports all that a folder holds.

    Args:
        folder: With event files or `.wandb` files in it, or below it; links in it are followed.
        on_run: Is given each run when it is whole.
        on_word: Is told what was left out, and why.
        again: Also what was imported before.

    Returns:
        Whether everything could be read. Kinds of values that a run of looptop has no room for (histograms, texts,
        tables) and what was imported before count as read.

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
    known = {} if again else _known()
    complete = True
    for kind, path, files in sources:
        source = str(path.resolve())  # the same by whatever link it is reached
        if source in known:
            on_word(f"{visible(path)} is {known[source]} already; --again imports it once more")
            continue
        name = path.parent.name if kind == WANDB else _name(folder, path)
        report = _Report(path, on_word)
        try:
            on_run(_import(kind, source, name, files, report))
        except LooptopError as error:
            complete = False
            on_word(str(error))
        except Exception as error:  # somebody else's file: the others are imported all the same
            complete = False
            on_word(f"{visible(path)} cannot be imported: {error_text(error)}")
        complete = complete and report.complete
    return complete


class _Report:
    """Says what of a source was not imported: as events of its run, and to whoever imports."""

    def __init__(self, path: Path, on_word: OnWord) -> None:
        self.path = path
        self.complete = True
        """Whether everything could be read."""
        self._on_word = on_word

    def damaged(self, writer: JournalWriter, text: str, time: float | None = None) -> None:
        """Something could not be read."""
        self.complete = False
        self._say(writer, text, "warning", time)

    def note(self, writer: JournalWriter, text: str, time: float | None = None) -> None:
        """Something that is good to know."""
        self._say(writer, text, "info", time)

    def counted(self, writer: JournalWriter, left_out: Counter[str], time: float | None) -> None:
        """What was left out because it is damaged."""
        if left_out:
            self.damaged(writer, f"damaged: {_counts(left_out)}", time)

    def other(self, writer: JournalWriter, kinds: Counter[str], time: float | None) -> None:
        """What is of a kind that is not imported."""
        if kinds:
            self.note(writer, f"not imported: {_counts(kinds)}; a run of looptop holds numbers only", time)

    def _say(self, writer: JournalWriter, text: str, level: str, time: float | None) -> None:
        writer.event("import", text, level=level, time=time)
        self._on_word(f"{visible(self.path)}: {text}")


def _import(kind: str, source: str, name: str, files: list[Path], report: _Report) -> RunFolder:
    run = RunFolder.create(kind, {"kind": kind, "name": storable(name), "source": storable(source)})
    try:
        with RunLock(run.lock, run.id):
            writer = JournalWriter(run.db)
            try:
                write_about(run.path, title=_line(name))
                if kind == WANDB:
                    _read_wandb(report, writer, run, source)
                else:
                    _read_tensorboard(files, report, writer)
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
        reasons = [f"it holds: {_counts(others)}"] if others else []
        raise LooptopError("; ".join([f"{visible(folder)} holds no scalars and is left out", *reasons, *broken]))
    first = min(curve.times[0] for curve in curves.values())
    last = max(curve.times[-1] for curve in curves.values())
    for tag, curve in curves.items():
        for step, time, value in zip(curve.steps, curve.times, curve.values, strict=True):
            writer.metrics(step, {tag: value}, time)
    writer.facts(total_steps=max(curve.steps[-1] for curve in curves.values()))
    writer.state(RunState.RUNNING, time=first)
    for text in broken:
        report.damaged(writer, f"{text}; what could be read is here", last)
    report.counted(writer, reader.unreadable, last)
    report.other(writer, reader.other, last)
    if reader.superseded:
        report.note(
            writer,
            f"the run was started again: {reader.superseded:,} values that it went back over are left out, as in"
            " TensorBoard",
            last,
        )
    if reader.shared:
        tags = ", ".join(visible(tag) for tag in sorted(reader.shared)[:5])
        report.damaged(
            writer,
            f"two files wrote at the same time to {tags}: what the file with the later name says stands, as in"
            " TensorBoard; a folder for each writer keeps them apart",
            last,
        )
    count = sum(len(curve.steps) for curve in curves.values())
    writer.event("import", f"{count:,} values from {visible(folder)}", time=last)
    writer.state(RunState.FINISHED, "imported from TensorBoard's event files", time=last)


def _read_wandb(report: _Report, writer: JournalWriter, run: RunFolder, source: str) -> None:
    path, described = report.path, wandb.Described()
    last, total = 0.0, 0
    names: set[str] = set()
    try:
        for step in wandb.steps(path, described):
            writer.metrics(step.number, step.values, step.time or None)
            last, total = max(last, step.time), max(total, step.number)
            names.update(step.values)
    except OSError as error:
        raise LooptopError(f"cannot read {visible(path)}: {error.strerror}") from None
    last = last or described.started
    # What a run only said at its end has no step of its own.
    ends = {name: value for name, value in described.summary.items() if name not in names and name[:1] != "_"}
    if ends:
        writer.metrics(total, ends, last or None)
    if not described.whole:
        text = f"{visible(path.name)} was cut short, or is damaged at its end: what came before is here"
        report.damaged(writer, text, last or None)
    report.counted(writer, described.unreadable, last or None)
    if described.off_axis:
        axes = _counts(described.off_axis)
        report.note(writer, f"values whose axis gives no whole number stand at W&B's own step: {axes}", last or None)
    report.other(writer, described.other, last or None)
    for title, text, moment in described.alerts:
        writer.event("alert", f"{title}: {text}" if title else text, level="warning", time=moment or None)
    writer.facts(total_steps=total, wandb_id=described.run_id, project=described.project)
    writer.state(RunState.RUNNING, time=described.started or last or None)
    if described.exit_code is not None:
        state = RunState.FINISHED if described.exit_code == 0 else RunState.FAILED
        reason = "imported from W&B" if described.exit_code == 0 else f"exit code {described.exit_code}"
        writer.state(state, reason, time=max(last, described.started) or None)
    write_about(run.path, title=_line(described.name or path.stem), note=described.notes[:10_000])
    run.write_settings(
        {
            "kind": WANDB,
            "name": storable(described.name),
            "source": storable(source),
            "project": storable(described.project),
            "config": _plain(described.config),
        }
    )


def _counts(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} ({count:,})" for kind, count in kinds.items())


def _known() -> dict[str, str]:
    """What was imported before: source -> the run's id."""
    imported = {}
    for run in RunFolder.all():
        if run.id.startswith((f"{TENSORBOARD}-", f"{WANDB}-")):
            with contextlib.suppress(LooptopError):
                imported[str(run.settings().get("source", ""))] = run.id
    return imported


def _name(folder: Path, path: Path) -> str:
    below = path.relative_to(folder.resolve())
    return folder.absolute().name if str(below) == "." else f"{folder.absolute().name}/{below}"


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _plain(value: Any, depth: int = 0) -> Any:
    """The value without what TOML has no word for, or what no reader of TOML takes back."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {storable(str(key)): _plain(item, depth + 1) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value if item is not None]
    if isinstance(value, int) and abs(value) >= 2**63:
        return "…"
    return value if isinstance(value, bool | int | float) else storable(str(value))
