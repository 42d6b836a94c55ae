"""Summaries of all runs, each read once for as long as its files stay as they are: thousands of runs list at once.

What was read is kept in `summaries.msgpack` in the home as well, for the next program that asks. It can be deleted at
any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import write_private
from looptop.engine.home import home
from looptop.engine.journal.records import RunSummary
from looptop.engine.runs.folder import RunFolder

_VERSION = 3
_WATCHED = ("run.db", "run.db-wal", "about.toml", "config.toml")
# So many new ones are worth a write of the file.
_WORTH_WRITING = 20


class _Kept(msgspec.Struct):
    stamp: tuple[int, ...]
    live: str
    summary: RunSummary


class _File(msgspec.Struct):
    version: int
    kept: dict[str, _Kept]


class Summaries:
    """Reads the runs' summaries, from any thread."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._loaded = False
        self._fresh = 0
        self._one_at_a_time = threading.Lock()

    def all(self, on_part: Callable[[list[RunSummary]], object] | None = None) -> list[RunSummary]:
        """Of all runs of this machine, the newest first.

        Args:
            on_part: Is given what is known so far, now and then while many are read for the first time.
        """
        with self._one_at_a_time:
            return self._read(on_part)

    def _read(self, on_part: Callable[[list[RunSummary]], object] | None) -> list[RunSummary]:
        if not self._loaded:
            self._loaded = True
            self._kept = _load()
        folders = RunFolder.all()
        summaries = []
        for number, folder in enumerate(folders):
            summaries.append(self._one(folder))
            if on_part is not None and self._fresh and number % 200 == 199:
                on_part(list(summaries))
        if len(self._kept) > len(folders):
            ids = {folder.id for folder in folders}
            self._kept = {run_id: kept for run_id, kept in self._kept.items() if run_id in ids}
        if self._fresh >= _WORTH_WRITING:
            _store(self._kept)
            self._fresh = 0
        return summaries

    def _one(self, folder: RunFolder) -> RunSummary:
        stamp = _stamp(folder.path)
        kept = self._kept.get(folder.id)
        if kept is not None and kept.stamp == stamp:
            # What has ended by its own word and has not been touched since does not live.
            if kept.summary.state.ended and not kept.live:
                return kept.summary
            if folder.live_by() == kept.live:
                return kept.summary
        summary = folder.summary()
        self._kept[folder.id] = _Kept(stamp, summary.live, summary)
        self._fresh += 1
        return summary


def _stamp(folder: Path) -> tuple[int, ...]:
    stamp: list[int] = []
    for name in _WATCHED:
        try:
            status = os.stat(f"{folder}/{name}")  # noqa: PTH116 (thousands of them, twice a second)
            stamp += [status.st_mtime_ns, status.st_size]
        except OSError:
            stamp += [0, 0]
    # A live run touches its lock every two seconds: only its size says that it was written.
    try:
        stamp.append(os.stat(f"{folder}/run.lock").st_size)  # noqa: PTH116
    except OSError:
        stamp.append(0)
    return tuple(stamp)


def _path() -> Path:
    return home() / "summaries.msgpack"


def _load() -> dict[str, _Kept]:
    try:
        file = msgspec.msgpack.decode(_path().read_bytes(), type=_File)
    except (OSError, LooptopError, *UNREADABLE):
        return {}
    return file.kept if file.version == _VERSION else {}


def _store(kept: dict[str, _Kept]) -> None:
    with contextlib.suppress(OSError, LooptopError):
        draft = _path().with_name(f".summaries-{secrets.token_hex(6)}")
        try:
            try:
                msgspec.msgpack.encode(kept)
            except UnicodeEncodeError:  # a title that is not UTF-8: its run is read anew by each program
                kept = {name: each for name, each in kept.items() if _can_be_kept(each)}
            write_private(draft, msgspec.msgpack.encode(_File(_VERSION, kept)))
            draft.rename(_path())
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()


def _can_be_kept(each: _Kept) -> bool:
    try:
        msgspec.msgpack.encode(each)
    except UnicodeEncodeError:
        return False
    return True
