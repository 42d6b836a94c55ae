"""What the app keeps in looptop's home from one start to the next: theme, last screen, recent images and models.

The questions and their answers are kept by the engine; settings that a person writes are in `settings.toml`.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from looptop.engine.encoding import encode_json, restored
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import read_regular
from looptop.engine.files.replacing import replace_private
from looptop.engine.home import home

FILE = "app-state.json"

MAX_RECENT = 20
"""How many images, and how many models, are kept."""


class KeptState(Struct, frozen=True):
    """The state. Empty texts and lists if nothing is kept."""

    theme: str = ""
    """The name of the theme."""
    screen: str = ""
    """The main screen that was shown last: `ask`, `train`, `ppo` or `runs`."""
    images: tuple[str, ...] = ()
    """Absolute paths of the images that a question was asked about, the latest first."""
    models: tuple[str, ...] = ()
    """Names of the models that were asked, the latest first."""
    start_seconds: float = 0.0
    """How long the answering process took to start last time; 0 if unknown."""


class StateFile:
    """The state, and its file in the home. Call it in the app's thread; it writes in a thread of its own.

    A file that is missing or damaged counts as empty, and one that cannot be written is left as it is: the state is
    a convenience. Of two apps, the one that writes last wins.
    """

    def __init__(self) -> None:
        self._path = home() / FILE
        self.state = _read(self._path)
        self._writing = threading.Lock()

    @property
    def recent_images(self) -> list[Path]:
        """The images that were asked about, the latest first; they may no longer exist."""
        return [Path(each) for each in self.state.images]

    @property
    def recent_models(self) -> tuple[str, ...]:
        """The models that were asked, the latest first; they may no longer exist."""
        return self.state.models

    def keep_theme(self, name: str) -> None:
        """Keeps the theme."""
        self._change(theme=name)

    def keep_screen(self, name: str) -> None:
        """Keeps the main screen."""
        self._change(screen=name)

    def keep_asked(self, image: Path, model: str) -> None:
        """Puts an image and a model first among the recent ones."""
        self._change(images=_first(str(image.absolute()), self.state.images), models=_first(model, self.state.models))

    def keep_start_seconds(self, seconds: float) -> None:
        """Keeps how long the answering process took to start."""
        self._change(start_seconds=round(seconds, 1))

    def _change(self, **values: Any) -> None:
        changed = msgspec.structs.replace(self.state, **values)
        if changed != self.state:
            self.state = changed
            threading.Thread(target=self._write, name="looptop-state", daemon=True).start()

    def _write(self) -> None:
        with self._writing, contextlib.suppress(OSError, LooptopError):
            replace_private(self._path, encode_json(self.state))


def _read(path: Path) -> KeptState:
    try:
        return msgspec.convert(restored(msgspec.json.decode(read_regular(path))), KeptState)
    except (OSError, LooptopError, *UNREADABLE):
        return KeptState()


def _first(new: str, others: tuple[str, ...]) -> tuple[str, ...]:
    return (new, *(each for each in others if each != new))[:MAX_RECENT]
