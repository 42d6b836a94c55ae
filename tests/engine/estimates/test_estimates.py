"""What is known of a run before it starts, beside what the run then has."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from looptop.engine.config import override, preset, to_dict
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.estimates.data import DataEstimate, count_steps, estimate_data
from looptop.engine.estimates.records import EstimateReply, EstimateRequest, SplitSize
from looptop.engine.estimates.server import Server
from looptop.engine.models.names import resolve
from looptop.engine.vqa.data.counts import count_data
from looptop.engine.vqa.data.load import load_data
from tests.support import eventually


def table(folder: Path, images: int, missing: int = 0) -> Path:
    """A folder of images with a table, some of whose images are not there."""
    folder.mkdir()
    with (folder / "questions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question", "answer"])
        for number in range(images + missing):
            if number < images:
                Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
            writer.writerows([[f"{number}.png", f"what is {each}?", "red"] for each in range(3)])
    return folder


@pytest.mark.parametrize("source", ["easy-vqa", "folder"])
def test_the_counts_are_those_that_the_run_will_have(source: str, tmp_path: Path) -> None:
    name = str(table(tmp_path / "data", 20, missing=2)) if source == "folder" else source
    config = override(preset("tiny"), [f"source={name}", "max_images=16", "validation_fraction=0.2"])
    counts = count_data(config.data, 7)
    data = load_data(config.data, 7)
    loaded = {"train": data.train, "validation": data.validation, "test": data.test}
    for split, rows in loaded.items():
        counted = counts.of(split)
        assert (counted is None) == (rows is None)
        if counted is not None and rows is not None:
            assert (counted.questions, counted.images) == (len(rows), len(set(rows["image"])))
    assert set(counts.questions) == set(data.train["question"])


def test_what_will_be_left_out_is_announced(tmp_path: Path) -> None:
    config = override(preset("tiny"), [f"source={table(tmp_path / 'data', 4, missing=2)}"])
    estimate = estimate_data(config)
    assert [kind for kind, _ in estimate.left_out] == ["missing image"]
    assert estimate.left_out[0][1].startswith("2 (")


def test_data_that_cannot_be_used_is_refused_by_its_setting(tmp_path: Path) -> None:
    for settings, key, words in (
        ([f"source={tmp_path}"], "data.source", "holds no table"),
        (["source=vqa-v2"], "data.annotations", "is not given"),
        (["images=/nowhere", f"source={table(tmp_path / 'one', 2)}"], "data.images", "which is not there"),
    ):
        with pytest.raises(SettingError, match=words) as caught:
            estimate_data(override(preset("tiny"), settings))
        assert caught.value.key.endswith(key.partition(".")[2])


def test_data_without_a_question_or_a_second_image_are_refused(tmp_path: Path) -> None:
    for settings, words in (
        (["start_at=50000"], r"holds none from data.start_at \(50,000\) on$"),
        (
            ["start_at=50000", "end_at=60000"],
            r"none between data.start_at \(50,000\) and data.end_at \(60,000\)$",
        ),
        ([f"source={table(tmp_path / 'alone', 1)}"], "only one image; a second one is needed"),
    ):
        config = override(preset("tiny"), settings)
        for read in (lambda: estimate_data(config), lambda: load_data(config.data, 7)):  # noqa: B023
            with pytest.raises(LooptopError, match=words):
                read()


def test_a_batch_is_no_larger_than_the_data() -> None:
    config = override(preset("tiny"), ["per_device_train_batch_size=1000000"])
    steps = count_steps(config, DataEstimate((SplitSize("train", 40, 4),)))
    assert steps is not None and (steps.per_epoch, steps.samples) == (1, 40)


@pytest.mark.parametrize(
    ("kind", "settings", "rows", "total"),
    [
        ("vqa", [], 36_694, 720),
        ("vqa", ["gradient_accumulation_steps=4"], 36_694, 180),
        ("vqa", ["num_train_epochs=0.5"], 1024, 1),
        ("vqa", ["max_steps=30"], 36_694, 30),
        ("ppo", [], 0, 280),
        ("ppo", ["max_steps=-1", "num_train_epochs=2"], 100, 6),
        ("ppo", ["max_steps=-1"], 0, None),
    ],
)
def test_steps_are_counted_as_the_trainer_counts_them(
    kind: str, settings: list[str], rows: int, total: int | None
) -> None:
    config = override(preset("tiny", kind), settings)
    steps = count_steps(config, DataEstimate((SplitSize("train", rows),)))
    assert (None if steps is None else steps.total) == total


def test_the_texts_of_a_ppo_run_are_counted(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": f"text {n}"}) + "\n" for n in range(100)))
    config = override(preset("tiny", "ppo"), [f"source={tmp_path / 'texts.jsonl'}"])
    assert estimate_data(config).splits == (SplitSize("train", 36), SplitSize("held out", 64))
    assert estimate_data(preset("tiny", "ppo")).splits == ()


def asked(server: Server, output: io.BytesIO, config: Any) -> list[EstimateReply]:
    begin = len(output.getvalue())
    server.serve(msgspec.json.encode(EstimateRequest(id=1, settings=to_dict(config))))

    def replies() -> list[EstimateReply]:
        lines = output.getvalue()[begin:].split(b"\n")[:-1]
        return [msgspec.json.decode(line, type=EstimateReply) for line in lines]

    eventually(lambda: replies()[-1].done)
    return replies()


def test_the_process_says_what_a_run_needs(tmp_path: Path) -> None:
    output = io.BytesIO()
    server = Server(output, tmp_path / "log")
    small = ["max_images=10", "per_device_train_batch_size=32", "freeze=nothing"]
    config = override(preset("tiny"), small)
    _, data, last = asked(server, output, config)
    assert data.steps is not None and data.memory is None and not data.done
    memory = last.memory
    assert last.done and memory is not None and last.splits == data.splits
    assert memory.gradients == 4 * memory.trainable and memory.optimizer == 2 * memory.gradients
    assert memory.trainable < memory.parameters and memory.weights == 4 * memory.parameters
    assert 2**20 < memory.activations < 2**30 and memory.features == 0
    assert memory.peak > memory.program + memory.weights + memory.optimizer
    # Twice the batch needs more; frozen encoders less, and their features are kept.
    larger = asked(server, output, override(config, ["per_device_train_batch_size=64"]))[-1].memory
    frozen = asked(server, output, override(config, ["freeze=encoders"]))[-1].memory
    assert larger is not None and 1.5 < larger.activations / memory.activations < 2.1
    assert frozen is not None and frozen.features > 0 and frozen.activations < memory.activations
    ppo = asked(server, output, preset("tiny", "ppo"))[-1].memory
    assert ppo is not None and ppo.parameters > 2 * ppo.trainable and ppo.activations > 2**20
    refused = asked(server, output, override(config, [f"source={tmp_path}"]))[-1]
    assert refused.key == "data.source" and "holds no table" in str(refused.error)
    unknown = asked(server, output, override(config, ["decoder=nobody/nothing"]))[-1]
    assert unknown.memory is None and unknown.error is None and "nobody/nothing" in unknown.unknown


def test_a_model_that_is_repaired_is_counted_then(tmp_path: Path) -> None:
    decoder = Path(shutil.copytree(resolve("bundled:decoder"), tmp_path / "decoder"))
    config_text = (decoder / "config.json").read_text("utf-8")
    (decoder / "config.json").write_text(json.dumps({**json.loads(config_text), "n_embd": 7}))
    output = io.BytesIO()
    server = Server(output, tmp_path / "log")
    config = override(preset("tiny"), ["max_images=10", f"decoder={decoder}"])
    damaged = asked(server, output, config)[-1]
    assert damaged.memory is None and damaged.unknown, damaged
    (decoder / "config.json").write_text(config_text)
    assert asked(server, output, config)[-1].memory is not None


def test_an_unusable_row_is_an_error_of_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "t.csv").write_text("image,question,answer\n")
    with pytest.raises(LooptopError):
        estimate_data(override(preset("tiny"), [f"source={folder}"]))
