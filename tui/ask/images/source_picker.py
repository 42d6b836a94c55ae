"""Chooses where the images come from: the benchmark, files, recent images, or the data of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted
from looptop.tui.ask.images.panel import ImagePanel
from looptop.tui.ask.sources import base as sources
from looptop.tui.ask.sources.base import ImageSource
from looptop.tui.ask.sources.easy_vqa import Benchmark
from looptop.tui.ask.sources.folder import FolderSource
from looptop.tui.ask.sources.run_data import RunSource
from looptop.tui.background import in_thread
from looptop.tui.screens.picker import Choice, Picker
from looptop.tui.text import safe

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder

EASY_VQA = "easy-vqa"
"""The name by which a configuration means the benchmark."""


class Offer(NamedTuple):
    """A source that can be chosen."""

    name: str
    label: str
    make: Callable[[], ImageSource]


async def choose_source(panel: ImagePanel, recent: Sequence[Path]) -> None:
    """Offers all sources, and shows the images of the chosen one.

    Args:
        panel: The panel with the list.
        recent: Images that were asked about lately.
    """
    choices = await in_thread(partial(offers, panel.benchmark, panel.folder, recent))

    def take(name: str | None) -> None:
        for each in choices:
            if each.name == name:
                panel.open_source(each.make())

    lines = [Choice(each.name, safe(each.name, "bold") + safe(f"  {each.label}", "$text-muted")) for each in choices]
    panel.app.push_screen(Picker("Choose images", lines, ""), take)


async def show_data_of(panel: ImagePanel, model: str) -> None:
    """Shows the images that a model was trained with, unless they are the benchmark's."""
    run = await in_thread(partial(data_of, model))
    if run is not None and not (isinstance(panel.source, RunSource) and panel.source.run == run):
        panel.open_source(RunSource(run))


def offers(benchmark: Benchmark, folder: Path, recent: Sequence[Path]) -> list[Offer]:
    """All sources that can be chosen. Reads the list of runs: call it in a thread.

    Args:
        benchmark: The benchmark.
        folder: The folder whose files are offered.
        recent: Images that were asked about lately.
    """
    images = benchmark.images()
    listed = [
        Offer(
            "easy-VQA",
            f"the benchmark's {counted(len(images), 'test image')}",
            lambda: sources.of_benchmark(benchmark, images),
        )
    ]
    files = Offer("files", f"the folder {folder}", lambda: FolderSource(folder))
    asked = Offer("recent images", f"{len(recent):,} that you asked about", lambda: sources.recent(recent))
    return [*(listed if images else []), files, *([asked] if recent else []), *_runs()]


def data_of(model: str) -> RunFolder | None:
    """The run of a model that was trained on other data than the benchmark; None for any other model.

    Args:
        model: A run's name, or that of one of its checkpoints.
    """
    from looptop.engine.vqa.model.saved_models import run_of

    run = run_of(model)
    return run if run is not None and _source(run) not in ("", EASY_VQA) else None


def _runs() -> list[Offer]:
    from looptop.engine.runs.folder import RunFolder

    return [
        Offer(run.id, f"its data: {source}", _maker(run))
        for run in RunFolder.all()
        if run.kind == "vqa" and (source := _source(run))
    ]


def _maker(run: RunFolder) -> Callable[[], ImageSource]:
    return lambda: RunSource(run)


def _source(run: RunFolder) -> str:
    """Where a VQA run's data comes from; empty for other runs, and if that cannot be read."""
    try:
        settings = run.settings()
    except LooptopError:
        return ""
    data = settings.get("data")
    return str(data.get("source", "")) if settings.get("kind") == "vqa" and isinstance(data, dict) else ""
