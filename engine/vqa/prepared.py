"""Rows as a `datasets.Dataset`, kept on disk and opened again at once while their sources are the same.

A kept set lies in looptop's home under the digest of what it was made from (paths, sizes, times, options), with what
was wrong in it. Of the images only the faulty ones are looked at again: one that has been mended makes the set anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa  # type: ignore[import-untyped]
from datasets.table import InMemoryTable

from looptop.engine.errors import LooptopError, said_of
from looptop.engine.runs.folder import home
from looptop.engine.text import visible
from looptop.engine.vqa.problems import BROKEN_IMAGE, MISSING_IMAGE, Problems
from looptop.engine.vqa.rows import Row

FORMAT = 1
"""Part of every digest: sets of an older format are made anew."""

CHUNK = 10_000
"""Rows held as Python objects at once."""

FEATURES = datasets.Features(
    {name: datasets.Value("string") for name in ("image", "image_id", "question_id", "question", "answer")}
    | {"answers": datasets.List(datasets.Value("string"))}
    | {name: datasets.Value("string") for name in ("question_type", "answer_type")}
)


def to_dataset(rows: Iterable[Row]) -> datasets.Dataset:
    """The rows as a table in memory."""
    schema = FEATURES.arrow_schema
    rows = iter(rows)
    chunks = []
    while chunk := list(islice(rows, CHUNK)):
        chunks.append(pa.table({name: [getattr(row, name) for row in chunk] for name in FEATURES}, schema=schema))
    table = pa.concat_tables(chunks) if chunks else schema.empty_table()
    return datasets.Dataset(InMemoryTable(table), info=datasets.DatasetInfo(features=FEATURES))


def kept(
    key: dict[str, Any], files: Iterable[Path], make: Callable[[Problems], Iterable[Row]], problems: Problems
) -> datasets.Dataset:
    """The set that was made from these sources, from disk where it has been made before.

    Args:
        key: The options that the rows depend on.
        files: The files and folders that they depend on.
        make: Makes the rows, and notes what is wrong.
        problems: Is told what was wrong, now or when the set was made.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, key, [_stamp(file) for file in files]]).encode()).hexdigest()
    folder = home() / "data-sets" / digest[:32]
    dataset = _open_kept(folder, problems)
    if dataset is not None:
        return dataset
    found = Problems(problems.on_problem)
    dataset = to_dataset(make(found))
    problems.all.extend(found.all)
    if len(dataset) and _keep(dataset, found, folder):
        # From disk it is mapped, not held.
        return _open_kept(folder, Problems()) or dataset
    return dataset


def rows_where(dataset: datasets.Dataset, chosen: list[bool]) -> datasets.Dataset:
    """The chosen rows, copied: `Dataset.select` would make every later look at a column ten times as slow."""
    table = dataset.with_format("arrow")[:].filter(pa.array(chosen))
    return datasets.Dataset(InMemoryTable(table), info=datasets.DatasetInfo(features=dataset.features))


def open_folder(folder: Path) -> dict[str, datasets.Dataset]:
    """What `save_to_disk` wrote, by split; a single set is `train`.

    Raises:
        LooptopError: It cannot be read or has not the columns `image`, `question` and `answer`.
    """
    try:
        with quiet():
            found = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise LooptopError(f"cannot open the prepared data set {visible(folder)}: {said_of(error)}") from None
    splits = dict(found) if isinstance(found, datasets.DatasetDict) else {"train": found}
    for name, dataset in splits.items():
        missing = [column for column in ("image", "question", "answer") if column not in dataset.column_names]
        if missing:
            raise LooptopError(
                f"the prepared data set {visible(folder)} ({name}) has no column {' and no '.join(missing)}"
            )
        splits[name] = _with_all_columns(dataset)
    if "train" not in splits:
        raise LooptopError(f"the prepared data set {visible(folder)} has no split called train")
    return splits


def is_prepared(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of `datasets`' own: they would be drawn into a log or a screen."""
    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()


def _with_all_columns(dataset: datasets.Dataset) -> datasets.Dataset:
    if list(dataset.features) == list(FEATURES):
        return dataset
    rows = (
        Row(
            image=str(row["image"]),
            image_id=str(row.get("image_id", row["image"])),
            question_id=str(row.get("question_id", place)),
            question=row["question"],
            answer=row["answer"],
            answers=list(row.get("answers") or [row["answer"]]),
            question_type=row.get("question_type") or "",
            answer_type=row.get("answer_type") or "",
        )
        for place, row in enumerate(dataset)
    )
    return to_dataset(rows)


def _open_kept(folder: Path, problems: Problems) -> datasets.Dataset | None:
    try:
        notes = json.loads((folder / "problems.json").read_text("utf-8"))
        if any(_stamp(Path(name)) != stamp for name, stamp in notes["faulty"]):
            raise ValueError("an image has changed")
        with quiet():
            dataset = datasets.load_from_disk(str(folder))
        known = [(kind, name, detail) for kind, name, detail in notes["problems"]]
    except FileNotFoundError:
        return None
    except Exception:  # Half written, of another version of `datasets`, out of date: it is made anew.
        shutil.rmtree(folder, ignore_errors=True)
        return None
    for kind, name, detail in known:
        problems.add(kind, name, detail)
    return dataset


def _keep(dataset: datasets.Dataset, problems: Problems, folder: Path) -> bool:
    """Writes beside and renames into place; a disk without room costs only the next start's time."""
    faulty = [one.name for one in problems.all if one.kind in (BROKEN_IMAGE, MISSING_IMAGE)]
    notes = {
        "problems": [(one.kind, one.name, one.detail) for one in problems.all],
        "faulty": [(name, _stamp(Path(name))) for name in faulty],
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as temporary:
            new = Path(temporary) / "set"
            with quiet():
                dataset.save_to_disk(str(new))
            (new / "problems.json").write_text(json.dumps(notes), "utf-8")
            new.rename(folder)
    except OSError:
        return folder.is_dir()
    return True


def _stamp(path: Path) -> list[Any]:
    """What tells whether a file is still the same."""
    try:
        info = path.stat()
    except (OSError, ValueError):
        return [str(path.absolute()), None, None]
    return [str(path.absolute()), None if path.is_dir() else info.st_size, info.st_mtime_ns]
