"""The folder of a run: its files, and how the runs of this machine are listed.

A new folder is built under another name and then renamed. So nobody sees half of a run, and two processes that start
runs at the same time never get the same id.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import hashlib
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from looptop.engine import config as configuration
from looptop.engine.config import RunConfig, versions
from looptop.engine.encoding import dump_toml, parse_toml
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files import lock
from looptop.engine.files.lock import Owner as Owner
from looptop.engine.files.lock import RunLock as RunLock
from looptop.engine.files.private import (
    UnsafeFileError,
    read_regular,
    refuse_if_read_only,
    refuse_unsafe,
    refuse_unsafe_folder,
    write_private,
)
from looptop.engine.files.replacing import replace_private_with
from looptop.engine.home import home as home
from looptop.engine.home import home_path
from looptop.engine.journal.decode import result_step
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState as RunState
from looptop.engine.journal.records import RunSummary as RunSummary
from looptop.engine.journal.schema import SIDE_SUFFIXES
from looptop.engine.paths import path_of
from looptop.engine.runs.about import About, read_about
from looptop.engine.runs.about import damage as about_damage
from looptop.engine.runs.origins import TOKEN, functions_of, record_origin
from looptop.engine.text import visible

RUNS = "runs"
"""The folder of the runs in looptop's home."""

AFTER_FACT = "after"
"""The fact that names the run which a queued run waits for, by its `RunFolder.name`."""

TRAINED_ELSEWHERE = ("trainer", "tensorboard", "wandb")
"""Kinds of runs that other programs train, or trained."""

_ID = re.compile(r"([a-z]+)-([1-9][0-9]*)")


@dataclass(frozen=True)
class RunFolder:
    """A run, by its folder. Each property reads only what it needs, when it is used."""

    path: Path

    @property
    def id(self) -> str:
        """What a person types: `vqa-7`. Outside this home, the name of the folder, safe to show."""
        return visible(self.path.name)

    @property
    def name(self) -> str:
        """A name that means this run only: its id, or its path if it is outside this home, where ids can repeat."""
        return self.id if self.is_in_home() else str(self.path)

    @property
    def shell_name(self) -> str:
        """Its name, quoted for a shell and safe to show."""
        return visible(shlex.quote(self.name))

    @property
    def file_name(self) -> str:
        """A name for files about this run, different for two runs of the same id."""
        if self.is_in_home():
            return self.id
        return f"{self.id.replace(os.sep, '_')}-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:8]}"

    @cached_property
    def kind(self) -> str:
        """What it trains: `vqa`, `ppo`, `reward`; `trainer` for somebody's own Trainer or loop.

        A folder may have been copied or renamed, so its configuration tells, read once; `vqa` if it names none. Only if
        it cannot be read does the id tell. Empty if neither does.
        """
        return self._kind(self._settings_or_damage()[0])

    def _kind(self, settings: Mapping[str, Any]) -> str:
        if settings:
            return visible(settings.get("kind", "vqa"))
        match = _ID.fullmatch(self.id)
        return match[1] if match else ""

    @property
    def db(self) -> Path:
        """The journal."""
        return self.path / "run.db"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.path / "run.lock"

    # Cached, because a run reads this folder at nearly every step.
    @cached_property
    def controls(self) -> Path:
        """The folder that controls are sent to."""
        return self.path / "controls"

    @property
    def config_file(self) -> Path:
        """The whole configuration."""
        return self.path / "config.toml"

    @property
    def log(self) -> Path:
        """All that was printed."""
        return self.path / "log.txt"

    @property
    def checkpoints(self) -> Path:
        """The folder of `checkpoint-N` folders."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The result."""
        return self.path / "model"

    @classmethod
    def create(cls, kind: str, config: RunConfig | Mapping[str, Any]) -> RunFolder:
        """Makes the folder of a new run, with the next free number of its kind.

        Raises:
            LooptopError: The folder cannot be made.
        """
        settings = configuration.to_dict(config) if isinstance(config, RunConfig) else dict(config)
        refuse_if_read_only()
        runs = _runs()
        draft = runs / f".new-{secrets.token_hex(8)}"
        try:
            runs.mkdir(mode=0o700, exist_ok=True)
            draft.mkdir(mode=0o700)
            for name in ("controls", "checkpoints"):
                (draft / name).mkdir(mode=0o700)
            write_private(draft / "config.toml", dump_toml(versions.with_version(settings)))
            number = max((_number(path.name, kind) for path in runs.iterdir()), default=0)
            while True:
                number += 1
                with contextlib.suppress(FileExistsError, NotADirectoryError):
                    made = _move(draft, runs / f"{kind}-{number}")
                    break
        except BaseException as error:
            shutil.rmtree(draft, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise LooptopError(f"cannot make a run's folder in {visible(runs)}: {error.strerror}") from None
        record_origin(made, [function for _, function in functions_of(settings)])
        return cls(made)

    def is_in_home(self) -> bool:
        """Whether it is a run of this home, and not a folder elsewhere; reads no file."""
        return self.path == home_path() / RUNS / self.path.name and _ID.fullmatch(self.path.name) is not None

    @classmethod
    def find(cls, run_id: str) -> RunFolder:
        """The run of this id, or the run in this folder.

        Raises:
            LooptopError: There is none; the message names similar ids.
        """
        if _ID.fullmatch(run_id) and os.path.lexists(_runs() / run_id / "config.toml"):
            return cls(_runs() / run_id)
        path = path_of(run_id)
        if os.sep in run_id and path.is_dir():
            if any(os.path.lexists(path / name) for name in ("config.toml", "run.db")):
                return cls(path.absolute())
            raise LooptopError(f"the folder {visible(path)} is not a run's: it holds neither config.toml nor run.db")
        known = [folder.id for folder in cls.all()]
        near = difflib.get_close_matches(run_id, known, n=3, cutoff=0.5) or known[:3]
        others = f" and {len(known) - len(near)} more" if len(known) > len(near) else ""
        hint = f"; there are: {', '.join(near)}{others}" if near else "; there are no runs yet"
        raise LooptopError(f"there is no run '{visible(run_id)}'{hint}")

    @classmethod
    def named(cls, name: str) -> RunFolder | None:
        """The run with this id or in this folder; None if the name means no run."""
        run = next((run for run in cls.all() if run.id == name), None)
        if run is not None or os.sep not in name:
            return run
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            path = path_of(name)
            if path.is_dir() and any(os.path.lexists(path / file) for file in ("config.toml", "run.db")):
                return cls(path.absolute())
        return None

    @classmethod
    def all(cls) -> list[RunFolder]:
        """All runs of this machine, the newest first."""
        folders = []
        with contextlib.suppress(FileNotFoundError):
            for path in _runs().iterdir():
                with contextlib.suppress(OSError):
                    if _ID.fullmatch(path.name):
                        folders.append(((path / "config.toml").lstat().st_mtime, _number(path.name), path))
        return [cls(path) for *_, path in sorted(folders, reverse=True)]

    def settings(self) -> dict[str, Any]:
        """The configuration as plain data, whatever kind of run it is.

        Raises:
            LooptopError: It cannot be read.
        """
        try:
            data = parse_toml(read_regular(self.config_file))
        except OSError as error:
            raise LooptopError(f"cannot read the configuration of {self.id}: {error.strerror}") from None
        except UNREADABLE:
            raise LooptopError(f"the configuration of {self.id} is damaged: {visible(self.config_file)}") from None
        return versions.upgraded(data, f"the configuration of {self.id}")

    def _settings_or_damage(self) -> tuple[dict[str, Any], str]:
        """The configuration, and why it cannot be read: one of them is empty."""
        try:
            return self.settings(), ""
        except LooptopError as error:
            return {}, str(error)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Replaces the configuration: a callback learns of it only bit by bit, and a resumed run may change it.

        The file keeps its time, which is when the run was made.

        Raises:
            LooptopError: It cannot be written.
        """

        def write(draft: Path) -> None:
            write_private(draft, dump_toml(versions.with_version(settings)))
            made = self.config_file.stat()
            os.utime(draft, ns=(made.st_atime_ns, made.st_mtime_ns))

        try:
            replace_private_with(self.config_file, write, make_folder=False)
        except OSError as error:
            raise LooptopError(f"cannot write {visible(self.config_file)}: {error.strerror}") from None

    def config(self) -> RunConfig:
        """The typed configuration, of a run that the engine trains.

        Raises:
            LooptopError: It cannot be read, or is another program's or a newer looptop's.
        """
        settings = self.settings()
        if self._kind(settings) in TRAINED_ELSEWHERE:
            raise LooptopError(f"{self.id} is a run of another program: looptop cannot train it or use its model")
        return configuration.from_dict(settings, where=f"the configuration of {self.id}")

    def refuse_unsafe(self) -> None:
        """Checks that everything in the folder is a regular file or folder, before a run writes there.

        Raises:
            UnsafeFileError: Something is a link, a pipe or a device; the message names it.
        """
        for name in ("config.toml", "about.toml", "run.lock", "log.txt", "run.db", TOKEN):
            refuse_unsafe(self.path / name)
        for suffix in SIDE_SUFFIXES:
            refuse_unsafe(self.path / f"run.db{suffix}")
        # A result is written to `.new-model` and renamed when it is complete.
        for folder in (self.controls, self.checkpoints, self.model, self.path / ".new-model"):
            refuse_unsafe_folder(folder)

    def what_is_unsafe(self) -> str:
        """The reason that `refuse_unsafe` gives; empty if the folder is safe."""
        try:
            self.refuse_unsafe()
        except UnsafeFileError as error:
            return error.brief
        return ""

    def is_live(self) -> bool:
        """Whether a process holds the run's lock here, or its heartbeat on another host is recent."""
        return lock.is_held(self.lock) or lock.is_live_elsewhere(self.lock)

    def live_by(self) -> str:
        """How it is known that the run is live: `lock`, `heartbeat` (on another host); empty if it is not."""
        if lock.is_held(self.lock):
            return "lock"
        return "heartbeat" if lock.is_live_elsewhere(self.lock) else ""

    def about(self) -> About:
        """The run's title, note and notify command."""
        return read_about(self.path)

    def owner(self) -> Owner | None:
        """The process that holds, or last held, the lock."""
        return lock.read_owner(self.lock)

    def state(self) -> RunState:
        """The run's state.

        Raises:
            LooptopError: The journal comes from a newer looptop, or is damaged.
        """
        # The lock is read first: a run journals its end before it releases the lock.
        live = self.is_live()
        return Journal(self.db).state()[0].observed(live)

    def summary(self) -> RunSummary:
        """One line of the list of runs. Never raises: if the journal cannot be read, that is the reason shown."""
        live, unsafe = self.live_by(), self.what_is_unsafe()
        owner, about = self.owner(), self.about()
        settings, unreadable = self._settings_or_damage()
        damages = [
            lock.damage(self.lock),
            about_damage(self.path) if about == About() else "",
            unreadable if self.config_file.exists() else "",
        ]
        common: dict[str, Any] = {
            "kind": self._kind(settings),
            "created": self._created(),
            "title": about.title,
            "note": about.note,
            "live": live,
            "host": owner.host if owner else "",
        }
        try:
            facts = Journal(self.db).outline()
        except LooptopError as error:
            state = RunState.RUNNING if live else RunState.INTERRUPTED
            trouble = "; ".join(filter(None, [unsafe or str(error), *damages]))
            return RunSummary(id=self.id, state=state, reason=unsafe or str(error), trouble=trouble, **common)
        latest = facts.latest
        step = max((point.step for name, point in latest.items() if not name.startswith("test_")), default=None)
        values: dict[str, Any] = {
            name: latest[name].value for name in ("loss", "eval_loss", "eval_accuracy", "epoch") if name in latest
        }
        return RunSummary(
            id=self.id,
            state=facts.state.observed(bool(live)),
            reason=unsafe or facts.reason,
            step=step,
            total_steps=facts.facts.get("total_steps"),
            after=str(facts.facts.get(AFTER_FACT) or "") if facts.state is RunState.QUEUED else "",
            started=facts.started,
            ended=facts.ended,
            idle=facts.idle,
            preset=str(settings.get("preset", "")),
            device=str(facts.facts.get("device") or ""),
            metrics={name: point.value for name, point in latest.items()},
            alerts=facts.alerts,
            alert_codes=facts.alert_codes,
            result_step=result_step(facts.facts),
            evaluation_step=max(
                (point.step for name, point in latest.items() if name.startswith("eval_")), default=None
            ),
            trouble="; ".join(filter(None, [unsafe, *damages])),
            **values,
            **common,
        )

    def _created(self) -> float | None:
        try:
            return self.config_file.lstat().st_mtime
        except OSError:
            return None


def _runs() -> Path:
    return home() / RUNS


def _number(name: str, kind: str | None = None) -> int:
    """The number in a run's id; 0 if the name is not an id, or is of another kind."""
    match = _ID.fullmatch(name)
    return int(match[2]) if match and kind in (None, match[1]) else 0


def _move(draft: Path, path: Path) -> Path:
    """Renames a draft. Raises FileExistsError if a run has that name; the system says that its folder is not empty."""
    try:
        return draft.rename(path)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(error.errno, error.strerror) from None
        raise
