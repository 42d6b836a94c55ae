"""Asks for the path of an image or a folder; tab completes it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.events import Paste
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from looptop.engine.errors import LooptopError
from looptop.tui.actions import bindings
from looptop.tui.ask.images.opened_paths import read_with_notice
from looptop.tui.background import in_thread, work
from looptop.tui.paths import may_be_paths, pasted_paths, typed_path
from looptop.tui.screens.base import Overlay
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.field import Field

MAX_NAMES = 8
"""The most names that are shown when several complete what was typed."""


class PathField(Field):
    """A field for a path."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("path")]

    @dataclass
    class Pasted(Message):
        """What was pasted may be several paths."""

        text: str

    class Incomplete(Message):
        """What is typed is to be completed."""

    def action_complete(self) -> None:
        """Completes the path."""
        self.post_message(self.Incomplete())

    def _on_paste(self, event: Paste) -> None:
        super()._on_paste(event)
        if may_be_paths(event.text):
            self.post_message(self.Pasted(event.text))


class PathQuestion(Overlay[list[Path]]):
    """Asks for the path of an image or a folder."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dialog")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("dialog", "path")

    def compose(self) -> Iterable[Widget]:
        """One field, and what was wrong with the path, or the names that complete it."""
        box = Vertical(
            PathField(placeholder="path, typed, pasted or dropped; tab completes it", id="path"),
            Static("", id="wrong"),
            classes="box -question",
        )
        box.border_title = "Open an image or a folder"
        yield box
        yield KeyBar()

    @on(Input.Submitted, "#path")
    def _submitted(self, event: Input.Submitted) -> None:
        self.workers.cancel_group(self, "completion")  # Its names would replace what is shown about the path.
        work(self, self._take(event.value), "opening", exclusive=True)

    async def _take(self, typed: str) -> None:
        try:
            self.dismiss(await read_with_notice(lambda: pasted_paths(typed) or [typed_path(typed)], self._say_slow))
        except LooptopError as error:
            self._show(str(error), "$text-error")

    @on(PathField.Pasted)
    def _pasted(self, event: PathField.Pasted) -> None:
        self.workers.cancel_group(self, "completion")
        work(self, self._take_several(event.text), "opening", exclusive=True)

    async def _take_several(self, text: str) -> None:
        """Takes several pasted paths; a single one stays in the field."""
        paths = await read_with_notice(lambda: pasted_paths(text), self._say_slow)
        if len(paths) > 1:
            self.dismiss(paths)
        else:
            self._show("", "$text-muted")

    def _say_slow(self) -> None:
        self._show("reading …", "$text-muted")

    @on(PathField.Incomplete)
    def _complete(self) -> None:
        field = self.query_one(PathField)
        typed = field.value[: field.cursor_position]

        async def complete() -> None:
            completed, names = await in_thread(partial(completion, typed))
            if field.value.startswith(typed) and field.is_attached:
                if completed != typed:
                    field.value = completed
                    field.cursor_position = len(completed)
                more = f"  and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
                self._show("  ".join(names[:MAX_NAMES]) + more, "$text-muted")

        work(self, complete(), "completion", exclusive=True)

    def _show(self, text: str, style: str) -> None:
        self.query_one("#wrong", Static).update(safe(text, style))


def completion(typed: str) -> tuple[str, list[str]]:
    """Completes a path as far as it is clear. Reads a folder: call it in a thread.

    Args:
        typed: The beginning of a path of an image or a folder.

    Returns:
        The longer path, and the names that can follow if there are several.
    """
    from looptop.engine.vqa.images.decode import has_image_suffix
    from looptop.engine.vqa.images.folders import natural_order

    above, slash, begun = typed.rpartition("/")
    try:
        folder = typed_path(above + slash) if above or slash else Path.cwd()
        with os.scandir(folder) as entries:
            names = natural_order(
                [
                    name
                    for entry in entries
                    if (name := entry.name + ("/" if entry.is_dir() else "")).lower().startswith(begun.lower())
                    and (name.endswith("/") or has_image_suffix(name))
                    and (begun.startswith(".") or not name.startswith("."))
                ]
            )
    except (OSError, LooptopError, ValueError):
        return typed, []
    exact = [name for name in names if name.startswith(begun)] or names
    shared = _shared_start(exact)
    return above + slash + (shared if len(shared) >= len(begun) else begun), [] if len(names) == 1 else names


def _shared_start(names: list[str]) -> str:
    first, last = min(names, default=""), max(names, default="")
    different = (position for position, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(different, len(first))]
