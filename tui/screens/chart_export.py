"""Writes a chart for other programs and for people: its values as CSV, the chart itself as SVG, PNG and plain text."""

from __future__ import annotations

import csv
import heapq
import io
import math
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.exports import exports_folder
from looptop.engine.files.private import append_private, write_private
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.step_positions import StepPositions
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible
from looptop.tui.plots.composing import RunCurves, compose_wall
from looptop.tui.plots.picture import PngCanvas, SvgCanvas, paint
from looptop.tui.plots.spec import ChartSpec
from looptop.tui.plots.text_picture import text_picture
from looptop.tui.plots.view import Span, View
from looptop.tui.screens.curve_reader import CurveReader, CurveRequest, read_overlaid
from looptop.tui.screens.watch import RunWatcher

ENDINGS = ("csv", "svg", "png", "txt")
COLUMNS = 1600
"""The columns in which a curve is read for a picture."""
PAGE = 10_000
"""Values that are read at a time for the CSV."""

Point = tuple[int, int, float | None, float | None]
"""A step, the index of its metric, its value and its average."""


def export_chart(spec: ChartSpec, runs: Sequence[RunFolder], view: View, axis_name: str) -> list[Path]:
    """Writes the chart of these runs, as it is shown, into `exports` in looptop's home.

    Args:
        spec: The chart.
        runs: The runs; the screen's own first.
        view: The window, the scale, the smoothing, the unit of the axis.
        axis_name: What a step is called.

    Returns:
        The files, one of each of `ENDINGS`.

    Raises:
        LooptopError: A run cannot be read, or a file cannot be written.
    """
    request = CurveRequest(tuple(spec.metrics), COLUMNS, view)
    curves = _curves(runs, request)
    data = compose_wall([spec], curves, view)
    chart, span = data.charts[spec.key], data.span(view.window)
    stem = _free_stem(f"{runs[0].file_name}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', spec.key).strip('.-') or 'chart'}"[:80])
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ENDINGS]
    table, svg, png, text = paths
    unit, log = data.view.unit, view.log
    try:
        _write_csv(table, spec, runs, curves, view, span)
        for path, canvas in ((svg, SvgCanvas()), (png, PngCanvas())):
            write_private(path, paint(canvas, spec.title, chart, span, unit, log=log, axis_name=axis_name))
        drawn = text_picture(spec.title, chart, span, unit, log=log, axis_name=axis_name)
        write_private(text, drawn.encode("utf-8", "replace"))
    except OSError as error:
        raise LooptopError(f"cannot write the chart to {visible(stem.parent)}: {error_text(error)}") from None
    return paths


def _curves(runs: Sequence[RunFolder], request: CurveRequest) -> list[RunCurves]:
    curves: list[RunCurves] = []
    for run in runs:
        journal = Journal(run.db)
        watcher, reader = RunWatcher(run, journal), CurveReader(run, journal)
        if not curves:
            _, outline = watcher.refresh()
            curves.append(reader.read(outline, request, watcher.settings))
        else:
            curves.append(read_overlaid(watcher, reader, curves[0], request) or RunCurves(run.id))
    return curves


def _free_stem(name: str) -> Path:
    """A path without ending in `exports` for which no file of this name exists."""
    folder, number = exports_folder(), 1
    stem = folder / name
    while any(stem.with_name(f"{stem.name}.{ending}").exists() for ending in ENDINGS):
        number += 1
        stem = folder / f"{name}-{number}"
    return stem


def _write_csv(
    path: Path, spec: ChartSpec, runs: Sequence[RunFolder], curves: Sequence[RunCurves], view: View, span: Span
) -> None:
    """Writes every value that is shown, not only those that the screen has columns for."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    metrics = spec.metrics
    smoothed = [line.metric for line in spec.lines if not line.dots] if view.weight else []
    head = ["run", "step", "epoch", "seconds", *metrics, *(f"{each} (smoothed {view.weight:g})" for each in smoothed)]
    try:
        with append_private(part) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(head)
            for run, shown in zip(runs, curves, strict=True):
                writer.writerows(_rows(run, metrics, smoothed, view.weight, _steps(shown, view, span)))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _steps(curves: RunCurves, view: View, span: Span) -> Span | None:
    """The steps of a run that are shown; None if all are."""
    if view.window is None:
        return None
    positions = curves.step_positions
    return span if positions is None else Span(positions.step(span.first), positions.step(span.last))


def _rows(
    run: RunFolder, metrics: Sequence[str], smoothed: Sequence[str], weight: float, shown: Span | None
) -> Iterator[list[object]]:
    journal = Journal(run.db)
    epochs, seconds = journal.step_positions("epoch", ""), journal.step_positions("time", metrics[0])
    points = [_points(journal, metric, index, weight) for index, metric in enumerate(metrics)]
    for step, group in groupby(heapq.merge(*points, key=lambda point: point[0]), key=lambda point: point[0]):
        if shown is not None and not shown.first <= step <= shown.last:
            continue
        values: dict[str, object] = {}
        averages: dict[str, object] = {}
        for _, index, value, average in group:
            values[metrics[index]] = "nan" if value is None else value
            averages[metrics[index]] = "" if average is None else average
        yield [
            *(run.id, step, _position(epochs, step, 4), _position(seconds, step, 3)),
            *(values.get(metric, "") for metric in metrics),
            *(averages.get(metric, "") for metric in smoothed),
        ]


def _position(positions: StepPositions | None, step: int, digits: int) -> object:
    return "" if positions is None else round(positions.position(step), digits)


def _points(journal: Journal, metric: str, index: int, weight: float) -> Iterator[Point]:
    """All values of a metric with their exponential averages, which are those of `Journal.smoothed`."""
    after, total, share = -(2**63), 0.0, 0.0
    while page := journal.values(metric, after, PAGE):
        for point in page:
            average = None
            if point.value is not None and math.isfinite(point.value):
                total = weight * total + (1 - weight) * point.value
                share = weight * share + (1 - weight)
                average = total / share
            yield point.step, index, point.value, average
        after = page[-1].step
