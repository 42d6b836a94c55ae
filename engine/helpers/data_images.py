"""The app's side of the process that reads a run's data: images with their questions, one split at a time.

    process = DataImagesProcess()
    process.start()
    process.ask(DataImagesRequest(id=1, run=folder.path, split="validation"))
    while not (reply := process.read()).done: ...    # in a thread of the caller's

The process runs `data_images_server.py`. It reads the data as the run does, with the same images held out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from looptop.engine.helpers.process import HelperProcess, HelperReply
from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry


class DataImagesRequest(Struct, frozen=True, kw_only=True):
    """Asks for the images of one split of a run's data."""

    id: int
    """Chosen by the caller, above 0; the replies carry it."""
    run: Path
    """The run's folder."""
    split: str


class WireRequest(Struct, frozen=True, kw_only=True):
    """A request as it is sent. The path is bytes, because it may not be valid text, which JSON requires."""

    id: int
    run: bytes
    split: str


class WireEntry(Struct, frozen=True, array_like=True):
    """An image as it is sent."""

    image: bytes
    """The path, as bytes for the same reason."""
    questions: tuple[AskedQuestion, ...]

    def to_image_entry(self, split: str) -> ImageEntry:
        """The image, as every list holds it."""
        return ImageEntry(Path(os.fsdecode(self.image)), split, self.questions)


class DataImagesReply(HelperReply, frozen=True, kw_only=True):
    """Some images of the split, or what the process is doing. The last reply is `ready`."""

    images: tuple[WireEntry, ...] = ()
    splits: tuple[str, ...] = ()
    """All splits of the run's data, once they are known."""
    done_rows: int = 0
    """The number of rows read so far."""


class DataImagesProcess(HelperProcess[DataImagesReply]):
    """Starts and talks to the process. `start`, `ask` and `close` from any thread, `read` from one."""

    SERVER: ClassVar[str] = "looptop.engine.helpers.data_images_server"
    NAME: ClassVar[str] = "the process that reads a run's data"

    def __init__(self) -> None:
        super().__init__(DataImagesReply)

    def ask(self, request: DataImagesRequest) -> None:
        """Sends a request; its replies come from `read`. Requests are answered one after another.

        Raises:
            LooptopError: The process is not running; start it again.
        """
        self.send(request.id, WireRequest(id=request.id, run=os.fsencode(request.run), split=request.split))
