"""The program that reads a run's data: `python -m looptop.engine.helpers.data_images_server`, started by a
`DataImagesProcess`. Its prints go to `run-images.log` in looptop's home.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.encoding import sendable
from looptop.engine.errors import LooptopError
from looptop.engine.helpers.data_images import DataImagesReply, WireEntry, WireRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.helpers.server import HelperServer, run
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.images.entries import AskedQuestion

if TYPE_CHECKING:
    from looptop.engine.vqa.data.load import VqaData

LOG = "run-images.log"

IMAGES_PER_REPLY = 500


class Server(HelperServer[DataImagesReply]):
    """Sends the images of a run's data; the data that was read last stays open.

    Args:
        replies: Where replies are written.
        log: The file for tracebacks; error messages name it.
    """

    def __init__(self, replies: IO[bytes], log: Path) -> None:
        super().__init__(DataImagesReply, replies, log)
        self.opened: tuple[Path, VqaData] | None = None

    def answer(self, line: bytes) -> None:
        """Sends one split."""
        request = msgspec.json.decode(line, type=WireRequest)
        self.request_id = request.id
        folder = RunFolder(Path(os.fsdecode(request.run)))
        data = self._data(folder)
        splits = {"train": data.train, "validation": data.validation, "test": data.test}
        known = tuple(name for name, rows in splits.items() if rows is not None)
        rows = splits.get(request.split)
        if rows is None:
            raise LooptopError(f"the data of {folder.id} has no {request.split} split; it has: {', '.join(known)}")
        images = grouped(rows.to_dict())
        while batch := tuple(islice(images, IMAGES_PER_REPLY)):
            self.reply(DataImagesReply(id=request.id, images=batch, splits=known, activity="reading"))
        self.reply(DataImagesReply(id=request.id, splits=known, state=HelperState.READY))

    def _data(self, folder: RunFolder) -> VqaData:
        from looptop.engine.vqa.data.load import load_data

        if self.opened is None or self.opened[0] != folder.path:
            config = folder.config()
            if not isinstance(config, VqaRunConfig):
                raise LooptopError(f"{folder.id} is a {config.kind} run; only VQA runs have images")
            self.opened = (folder.path, load_data(config.data, config.training.seed, progress=self._report))
        return self.opened[1]

    def _report(self, done: int, _total: int) -> None:
        self.reply(DataImagesReply(id=self.request_id, activity="reading", done_rows=done))


def grouped(columns: dict[str, list[Any]]) -> Iterator[WireEntry]:
    """The images in the order in which they first come, each with all its questions.

    Args:
        columns: The columns of a split: `image`, `question`, `answers`, `question_type` and `answer_type`.
    """
    rows: dict[str, list[int]] = {}
    for number, image in enumerate(columns["image"]):
        rows.setdefault(image, []).append(number)
    for image, numbers in rows.items():
        questions = (
            AskedQuestion(
                sendable(columns["question"][number]),
                tuple(map(sendable, columns["answers"][number])),
                sendable(columns["question_type"][number]),
                sendable(columns["answer_type"][number]),
            )
            for number in numbers
        )
        yield WireEntry(os.fsencode(Path(image).absolute()), tuple(questions))


if __name__ == "__main__":
    run(Server, LOG, "looptop.engine.vqa.data.load")
