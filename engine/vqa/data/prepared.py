"""Keeps rows on disk as a `datasets.Dataset`, and opens data sets that people prepared with `save_to_disk`.

A cached set is in looptop's home under a digest of what it was made from (paths, sizes, times, options), together with
the problems in it. Of the images only the faulty ones are checked again: if one has changed, the set is made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from datasets.table import InMemoryTable

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.private import refuse_if_read_only
from looptop.engine.home import home
from looptop.engine.text import visible
from looptop.engine.training.quiet_datasets import quiet
from looptop.engine.vqa.data.cells import ANSWER_COLUMNS, Cells, RowError, checked_row, image_name
from looptop.engine.vqa.data.left_out import BROKEN_IMAGE, DUPLICATE_ID, MISSING_IMAGE, UNSUPPORTED_IMAGE, Problems
from looptop.engine.vqa.data.rows import (
    Progress,
    Row,
    answer_type,
    id_of_image,
    image_problem,
    none_left_error,
    reported,
)
from looptop.engine.vqa.data.table import SPLIT_OF_NAME
from looptop.engine.vqa.images.decode import check_image, has_image_suffix

CACHE_FORMAT = 4
"""Part of every digest, so that sets of an older format are made again."""

ROWS_PER_CHUNK = 10_000
"""The number of rows that are Python objects at the same time."""

ROWS_PER_READ = 100
"""The number of rows of a prepared set that are read together: each may contain a picture."""

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
    while chunk := list(islice(rows, ROWS_PER_CHUNK)):
        chunks.append(pa.table({name: [getattr(row, name) for row in chunk] for name in FEATURES}, schema=schema))
    table = pa.concat_tables(chunks) if chunks else schema.empty_table()
    return datasets.Dataset(InMemoryTable(table), info=datasets.DatasetInfo(features=FEATURES))


def cached(
    key: dict[str, Any], files: Iterable[Path], make: Callable[[Problems], Iterable[Row]], problems: Problems
) -> datasets.Dataset:
    """The data set made from these sources, from disk if it was made before.

    Args:
        key: The options that the rows depend on.
        files: The files and folders that the rows depend on.
        make: Makes the rows, and adds what is left out to the problems it is given.
        problems: Collects what was left out, now or when the set was made.
    """
    digest = hashlib.sha256(json.dumps([CACHE_FORMAT, key, [_stamp(file) for file in files]]).encode()).hexdigest()
    folder = home() / "data-sets" / digest[:32]
    dataset = _open_cached(folder, problems)
    if dataset is not None:
        return dataset
    new_problems = Problems(problems.on_problem)
    dataset = to_dataset(make(new_problems))
    problems.collected.extend(new_problems.collected)
    if len(dataset) and _write_cache(dataset, new_problems, folder):
        # Opened from disk, the set is mapped into memory and not loaded.
        return _open_cached(folder, Problems()) or dataset
    return dataset


def rows_where(dataset: datasets.Dataset, chosen: list[bool]) -> datasets.Dataset:
    """A copy of the chosen rows: after `Dataset.select`, reading a column is ten times as slow."""
    table = dataset.with_format("arrow")[:].filter(pa.array(chosen))
    return datasets.Dataset(InMemoryTable(table), info=datasets.DatasetInfo(features=dataset.features))


def open_folder(
    folder: Path, problems: Problems, images: Path | None = None, progress: Progress | None = None
) -> dict[str, datasets.Dataset]:
    """Opens what `save_to_disk` wrote, by split; a single set is `train`.

    Args:
        folder: What `save_to_disk` was given.
        problems: Collects what is left out.
        images: The folder of the images, if it is not the working folder.
        progress: Called as in `rows.reported`.

    Raises:
        LooptopError: The set cannot be read, lacks one of the columns `image`, `question` and `answer`, or has no
            usable row.
    """
    _refuse_empty(folder)
    try:
        with quiet():
            opened = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise LooptopError(f"cannot open the prepared data set {visible(folder)}: {error_text(error)}") from None
    splits = dict(opened) if isinstance(opened, datasets.DatasetDict) else {"train": opened}
    checked: dict[str, datasets.Dataset] = {}
    for name, dataset in splits.items():
        missing = [column for column in ("image", "question") if column not in dataset.column_names]
        if not set(ANSWER_COLUMNS) & set(dataset.column_names):
            missing.append("answer")
        if missing:
            raise LooptopError(
                f"the prepared data set {visible(folder)} ({visible(name)}) has no column {' and no '.join(missing)}"
            )
        split = SPLIT_OF_NAME.get(name, name)
        checked[split] = _checked(dataset, folder, split, images, problems, progress)
    if "train" not in checked:
        raise LooptopError(f"the prepared data set {visible(folder)} has no split called train")
    return checked


def is_prepared(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def _refuse_empty(folder: Path) -> None:
    """Refuses a set without rows: it has no files, and `datasets` fails with an unclear error."""
    for state in (folder / "state.json", *sorted(folder.glob("*/state.json"))):
        try:
            is_empty = json.loads(state.read_bytes()).get("_data_files") == []
        except (OSError, ValueError, AttributeError):  # `datasets` reports what is wrong with it.
            continue
        if is_empty:
            raise LooptopError(f"the prepared data set {visible(state.parent)} holds no rows; save it with some")


def _checked(
    dataset: datasets.Dataset,
    folder: Path,
    split: str,
    images: Path | None,
    problems: Problems,
    progress: Progress | None,
) -> datasets.Dataset:
    """The usable rows, in looptop's columns."""
    if images is None and list(dataset.features) == list(FEATURES) and _is_whole(dataset):
        return dataset
    files = [folder / "state.json", *(Path(file["filename"]) for file in dataset.cache_files)]
    key = {"kind": "prepared", "split": split, "images": str(images)}
    rows = cached(
        key,
        files,
        lambda noted: reported(_rows(dataset, folder, split, images, noted), progress, len(dataset)),
        problems,
    )
    if not len(rows):
        raise none_left_error(f"{folder} ({split})", problems)
    return rows


def _is_whole(dataset: datasets.Dataset) -> bool:
    """Whether a set in looptop's own columns can be used unchanged; checked by column."""
    table = dataset.with_format("arrow")[:]
    if any(
        pa.types.is_dictionary(kind) or not pa.types.is_string(kind) for kind in table.drop(["answers"]).schema.types
    ):
        return False
    answers = table["answers"]
    if any(column.null_count for column in table.columns) or not pa.types.is_list(answers.type):
        return False
    if not pa.types.is_string(answers.type.value_type) or pc.list_flatten(answers).null_count:
        return False
    texts = (pc.utf8_trim_whitespace(table[name]) for name in ("image", "question", "answer", "question_id"))
    shortest = [pc.min(pc.utf8_length(text)).as_py() or 0 for text in texts]
    shortest.append(pc.min(pc.list_value_length(answers)).as_py() or 0)
    return min(shortest) > 0 and pc.count_distinct(table["question_id"]).as_py() == len(table)


def _rows(
    dataset: datasets.Dataset, folder: Path, split: str, images: Path | None, problems: Problems
) -> Iterator[Row]:
    """The usable rows; pictures that are in the set itself become files."""
    columns = [name for name in Cells.__struct_fields__ if name in dataset.column_names]
    classes = {name: dataset.features[name] for name in columns if _has_classes(dataset.features[name])}
    seen: set[str] = set()
    for index, cells in enumerate(_cells(dataset, columns, classes, folder)):
        where = f"{split} row {index}"
        try:
            row = checked_row(cells)
            image, image_id = _image_of(cells.image, images)
        except RowError as error:
            problems.add(error.kind, where, error)
            continue
        key = row.question_id or str(index)
        if key in seen:
            problems.add(DUPLICATE_ID, f"question {key}", where)
            continue
        seen.add(key)
        yield Row(
            image=image,
            image_id=row.image_id or image_id,
            question_id=key,
            question=row.question,
            answer=row.answer,
            answers=row.votes,
            question_type=row.question_type,
            answer_type=row.answer_type or ("" if "answer_type" in columns else answer_type(row.answer)),
        )


def _has_classes(feature: Any) -> bool:
    """Whether a column holds class numbers, also inside lists or objects."""
    if isinstance(feature, dict):
        return any(map(_has_classes, feature.values()))
    return isinstance(feature, datasets.ClassLabel) or (hasattr(feature, "feature") and _has_classes(feature.feature))


def _with_names(value: Any, feature: Any) -> Any:
    """A cell with class names instead of class numbers; an unknown number becomes an empty cell."""
    if value is None:
        return None
    if isinstance(feature, datasets.ClassLabel):
        return feature.names[value] if 0 <= value < len(feature.names) else None
    if isinstance(feature, dict):
        return {name: _with_names(part, feature[name]) for name, part in value.items()}
    return [_with_names(part, feature.feature) for part in value] if hasattr(feature, "feature") else value


def _cells(dataset: datasets.Dataset, columns: list[str], classes: dict[str, Any], folder: Path) -> Iterator[Cells]:
    """Each row as Arrow holds it, with class names; pictures are not decoded."""
    try:
        for batch in dataset.select_columns(columns).with_format("arrow").iter(ROWS_PER_READ):
            for values in batch.to_pylist():
                for name, feature in classes.items():
                    values[name] = _with_names(values[name], feature)
                yield Cells(**values)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise LooptopError(f"cannot read the prepared data set {visible(folder)}: {error_text(error)}") from None


def _image_of(value: Any, images: Path | None) -> tuple[str, str]:
    """The path and the id of a row's image.

    Raises:
        RowError: The row names no image, or its bytes are not a complete image.
    """
    data, name = value, ""
    if isinstance(value, dict) and value.keys() & {"bytes", "path"}:  # a column of type `datasets.Image`
        data, name = value.get("bytes"), value.get("path") or ""
        data = name if data is None else data
    if isinstance(data, bytes):
        return _as_file(data, name)
    path = image_name(Cells(image=data))
    return str(images / path) if images else path, id_of_image(path, images or Path())


def _as_file(data: bytes, name: str) -> tuple[str, str]:
    """Writes a picture into looptop's home, under its digest, so that equal pictures share a file."""
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    path = home() / "data-sets" / "images" / (digest + (Path(name).suffix.lower() if has_image_suffix(name) else ""))
    try:
        if not path.exists() or path.stat().st_size != len(data):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix="new-", delete=False) as file:
                file.write(data)
            Path(file.name).replace(path)
    except OSError as error:
        raise LooptopError(
            f"cannot write the data set's images into {visible(path.parent)}: {error_text(error)}"
        ) from None
    try:
        check_image(path)
    except LooptopError as error:
        raise RowError(image_problem(error, str(path)), str(error)) from None
    return str(path), digest


def _open_cached(folder: Path, problems: Problems) -> datasets.Dataset | None:
    try:
        notes = json.loads((folder / "problems.json").read_text("utf-8"))
        if any(_stamp(Path(name)) != stamp for name, stamp in notes["faulty"]):
            raise ValueError("an image has changed")
        with quiet():
            dataset = datasets.load_from_disk(str(folder))
        known = [(kind, name, detail) for kind, name, detail in notes["problems"]]
    except FileNotFoundError:
        return None
    except Exception:  # Incomplete, out of date, or of another version of `datasets`: it is made again.
        shutil.rmtree(folder, ignore_errors=True)
        return None
    for kind, name, detail in known:
        problems.add(kind, name, detail)
    return dataset


def _write_cache(dataset: datasets.Dataset, problems: Problems, folder: Path) -> bool:
    """Writes the set atomically; on a full disk or with --readonly it is not cached, and is made again next time."""
    faulty = [one.item for one in problems.collected if one.kind in (BROKEN_IMAGE, MISSING_IMAGE, UNSUPPORTED_IMAGE)]
    notes = {
        "problems": [(one.kind, one.item, one.detail) for one in problems.collected],
        "faulty": [(name, _stamp(Path(name))) for name in faulty],
    }
    try:
        refuse_if_read_only()
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
    """Path, size and time of a file: they differ after a change."""
    try:
        info = path.stat()
    except (OSError, ValueError):
        return [str(path.absolute()), None, None]
    return [str(path.absolute()), None if path.is_dir() else info.st_size, info.st_mtime_ns]
