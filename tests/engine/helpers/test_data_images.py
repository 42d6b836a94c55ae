"""The images of a run's data, as the run itself reads it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec
import pytest

from looptop.engine.config import preset
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.helpers import data_images_server
from looptop.engine.helpers.data_images import DataImagesProcess, DataImagesReply, DataImagesRequest, WireRequest
from looptop.engine.helpers.data_images_server import Server
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.data.load import load_data
from looptop.engine.vqa.images.entries import ImageEntry
from tests.factories.vqa_data import write_table

LINES = "image,question,answer\n" + "".join(
    f"pictures/{image}.jpg,{question},{answer}\n"
    for image in range(3)
    for question, answer in (("how many?", "2"), ("is it red?", "yes"))
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    write_table(tmp_path, "table.csv", LINES)
    config = preset("tiny")
    assert isinstance(config, VqaRunConfig)
    data = msgspec.structs.replace(config.data, source=str(tmp_path / "table.csv"))
    return RunFolder.create("vqa", msgspec.structs.replace(config, data=data))


def ask(server: Server, run: RunFolder, split: str) -> list[DataImagesReply]:
    server.replies = written = io.BytesIO()
    server.serve(msgspec.json.encode(WireRequest(id=1, run=os.fsencode(run.path), split=split)))
    return [msgspec.json.decode(line, type=DataImagesReply) for line in written.getvalue().splitlines()]


def entries(replies: list[DataImagesReply], split: str) -> list[ImageEntry]:
    return [each.to_image_entry(split) for reply in replies for each in reply.images]


def test_the_same_images_are_held_out_as_in_the_run(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_images_server, "IMAGES_PER_REPLY", 1)
    server = Server(io.BytesIO(), tmp_path / "log")
    replies = {split: ask(server, run, split) for split in ("validation", "train")}
    config = run.config()
    assert isinstance(config, VqaRunConfig)
    data = load_data(config.data, config.training.seed)
    for split, rows in (("validation", data.validation), ("train", data.train)):
        listed = entries(replies[split], split)
        assert {str(entry.image) for entry in listed} == set(rows["image"])
        assert sum(len(entry.questions) for entry in listed) == len(rows)
        assert replies[split][-1].done and replies[split][-1].splits == ("train", "validation")
    entry = entries(replies["train"], "train")[0]
    assert entry.split == "train"
    assert [(each.question, each.answer, each.answer_type) for each in entry.questions] == [
        ("how many?", "2", "number"),
        ("is it red?", "yes", "yes/no"),
    ]


def test_what_cannot_be_read_is_one_sentence(run: RunFolder, tmp_path: Path) -> None:
    server = Server(io.BytesIO(), tmp_path / "log")
    assert ask(server, run, "test")[-1].error == f"the data of {run.id} has no test split; it has: train, validation"
    other = RunFolder.create("ppo", preset("tiny", "ppo"))
    assert ask(server, other, "train")[-1].error == f"{other.id} is a ppo run; only VQA runs have images"
    (tmp_path / "table.csv").unlink()
    server = Server(io.BytesIO(), tmp_path / "log")
    assert "there is no data" in str(ask(server, run, "train")[-1].error)


@pytest.mark.slow
def test_the_process_answers(run: RunFolder) -> None:
    process = DataImagesProcess()
    process.start()
    process.ask(DataImagesRequest(id=7, run=run.path, split="validation"))
    replies = []
    while not (reply := process.read()).done:
        assert not reply.ended
        replies.append(reply)
    process.close()
    assert (reply.id, reply.error) == (7, None)
    assert len(entries(replies, "validation")) == 1
