"""An image of an unsupported format is named, with what to do, in the same sentence at every door."""

from __future__ import annotations

import csv
import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image, features

import looptop.engine as looptop
from looptop.engine import config
from looptop.engine.cli.main import main
from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.vqa.data.load import load_data
from looptop.engine.vqa.images.decode import (
    UnsupportedFormatError,
    check_image,
    has_image_suffix,
    open_image,
    thumbnail,
)


def boxes(major: bytes, *compatible: bytes) -> bytes:
    """The beginning of a HEIF file, and some bytes."""
    brands = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(range(200))


def dng() -> bytes:
    """A TIFF with a small preview, as a camera's raw file begins."""
    entries = [(254, 4, 1), (256, 3, 2), (257, 3, 2), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 3, 2), (279, 4, 4), (330, 4, 8), (50706, 4, 1)]
    ifd = b"".join(struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 12) + bytes(4) + struct.pack("<H", len(entries)) + ifd + bytes(4)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'
HEIC = boxes(b"heic", b"mif1", b"heic")
UNREAD = [
    ("photo.heic", HEIC, "HEIC", "heif-convert"),
    ("photo.jpg", HEIC, "HEIC", "heif-convert"),
    ("IMG_1.HEIC", boxes(b"mif1", b"mif1", b"heic", b"miaf"), "HEIC", "heif-convert"),
    ("burst.heic", boxes(b"hevc", b"msf1"), "HEIC", "heif-convert"),
    ("photo.hif", boxes(b"mif1", b"mif1", b"miaf"), "HEIF", "heif-convert"),
    ("a.svg", SVG, "SVG", "rsvg-convert"),
    ("a.svg", b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n' + SVG, "SVG", "rsvg-convert"),
    ("a.png", b"\n  " + SVG, "SVG", "rsvg-convert"),
    ("a.svgz", gzip.compress(SVG, mtime=0), "SVG", "rsvg-convert"),
    ("a.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF", "pdftoppm"),
    ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript", "gs"),
    ("a.psd", b"8BPS\0\1" + bytes(50), "PSD", "magick"),
    ("a.jxl", b"\xff\x0a" + bytes(50), "JPEG XL", "djxl"),
    ("a.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL", "djxl"),
    ("a.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(50), "camera RAW (CR2)", "darktable-cli"),
    ("a.cr3", boxes(b"crx ", b"crx ", b"isom"), "camera RAW (CR3)", "darktable-cli"),
    ("a.nef", b"MM\0*\0\0\0\x08" + bytes(50), "camera RAW (NEF)", "darktable-cli"),
    ("a.raf", b"FUJIFILMCCD-RAW 0201" + bytes(50), "camera RAW (RAF)", "darktable-cli"),
    ("a.orf", b"IIRO\x08\0\0\0" + bytes(50), "camera RAW (ORF)", "darktable-cli"),
    ("a.rw2", b"IIU\0\x18\0\0\0" + bytes(50), "camera RAW (RW2)", "darktable-cli"),
    ("a.dng", dng(), "camera RAW (DNG)", "darktable-cli"),
    ("a.tiff", dng(), "camera RAW", "darktable-cli"),
    ("a.dcm", bytes(128) + b"DICM" + bytes(50), "DICOM", "dcm2pnm"),
    ("a.exr", b"v/1\1" + bytes(50), "OpenEXR", "magick"),
    ("a.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance HDR", "magick"),
    ("a.hdr", b"#?RGBE\nFORMAT=32-bit_rle_rgbe\n", "Radiance HDR", "magick"),
    ("a.png", b"\x93NUMPY\1\0" + bytes(50), "NumPy array", "python"),
    ("a.mp4", boxes(b"isom", b"iso2", b"mp41"), "video", "ffmpeg"),
]


@pytest.mark.parametrize(("name", "content", "named", "program"), UNREAD)
def test_a_format_that_is_not_read_is_named(
    tmp_path: Path, name: str, content: bytes, named: str, program: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    readers: list[Callable[[], object]] = [
        lambda: open_image(path),
        lambda: check_image(path),
        lambda: thumbnail(path, (9, 9)),
    ]
    for read in readers:
        with pytest.raises(UnsupportedFormatError) as error:
            read()
        sentence = f"{named} is not supported; convert it to JPEG or PNG, for example with `{program} "
        assert sentence in str(error.value) and str(path) in str(error.value)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
OTHERS = [
    (LFS, "a Git LFS pointer, not the image itself; fetch the image with `git lfs pull`"),
    (b"<!DOCTYPE html>\n<title>Not found</title>", "a web page (HTML), not an image"),
    (b"\xef\xbb\xbf\n<HTML lang='en'>", "a web page (HTML), not an image"),
    (b"<html><body>404</body></html>", "a web page (HTML), not an image"),
    (b"<?xml version='1.0'?><!-- a --><!DOCTYPE html><svg>", "a web page (HTML), not an image"),
    (b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "XML text, not an image"),
    (b'{"error": "not found"}', "JSON text, not an image"),
    (b'[\n {"a": 1}]', "JSON text, not an image"),
]


@pytest.mark.parametrize(("content", "named"), OTHERS)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (open_image, check_image):
        with pytest.raises(UnsupportedFormatError) as error:
            read(path)
        assert str(error.value).startswith(f"{path} is {named}")


@pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a.svg", "a.dng", "a.nef", "a.jxl", "a.psd", "a.hdr"])
def test_images_of_such_formats_are_listed(name: str) -> None:
    assert has_image_suffix(name)


@pytest.mark.parametrize("brand", [b"avif", b"mif1"])
def test_avif_is_named_only_where_it_is_not_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brand: bytes
) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(boxes(brand, b"mif1", b"avif"))
    with pytest.raises(LooptopError, match="damaged") as error:
        open_image(path)
    assert not isinstance(error.value, UnsupportedFormatError)
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(LooptopError, match=r"AVIF is not supported; convert it to JPEG or PNG"):
        open_image(path)


@pytest.mark.parametrize(
    "content", [b"<b>404</b>", b"text", b"[text]", b"{text}", b"ftyp", b"\0\0\0\x08ftyp", b"II*\0"]
)
def test_what_is_of_no_known_format_is_not_guessed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(LooptopError, match="is not an image that looptop can read") as error:
        open_image(tmp_path / "a.png")
    assert not isinstance(error.value, UnsupportedFormatError)


def picture(path: Path, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(values).save(path, "PNG")


def sentence_of(path: Path) -> str:
    with pytest.raises(UnsupportedFormatError) as error:
        open_image(path)
    return str(error.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images, of which one is a HEIC, with a table; and the same in the official formats."""
    images = tmp_path / "data"
    images.mkdir()
    for number in range(5):
        picture(images / f"{number}.png", number)
    (images / "5.heic").write_bytes(HEIC)
    names = [*(f"{n}.png" for n in range(5)), "5.heic"]
    with (images / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "question", "answer"], *([name, "what is it?", "red"] for name in names)])
    asked = [{"question_id": n, "image_id": n, "question": "what is it?"} for n in range(6)]
    (tmp_path / "q.json").write_text(json.dumps({"questions": asked}))
    answered = [{"question_id": n, "answers": ["red"] * 10} for n in range(6)]
    (tmp_path / "a.json").write_text(json.dumps({"annotations": answered}))
    return images


KIND = "image of an unsupported format"


def test_the_same_sentence_in_tables_vqa_v2_and_prepared_sets(folder: Path) -> None:
    sentence = sentence_of(folder / "5.heic")
    official = DataConfig(
        source="vqa-v2",
        annotations=str(folder.parent / "a.json"),
        questions=str(folder.parent / "q.json"),
        images=str(folder),
    )
    for source in (DataConfig(source=str(folder)), official):
        for _ in range(2):
            data = load_data(source)
            assert len(data.train) + len(data.validation) == 5
            assert data.problems.summary() == [(KIND, f"1 ({sentence})")]
    rows = {"image": [(folder / "0.png").read_bytes(), HEIC, (folder / "1.png").read_bytes()]}
    rows |= {"question": ["q"] * 3, "answer": ["a"] * 3}  # type: ignore[list-item]
    datasets.Dataset.from_dict(rows).save_to_disk(str(folder.parent / "set"))
    data = load_data(DataConfig(source=str(folder.parent / "set")))
    assert data.problems.counts == {KIND: 1}
    assert "HEIC is not supported; convert it to JPEG or PNG" in str(data.problems.collected[0])


def test_a_converted_image_is_taken_up(folder: Path) -> None:
    assert len(load_data(DataConfig(source=str(folder))).problems) == 1
    picture(folder / "5.heic", 5)
    assert len(load_data(DataConfig(source=str(folder))).problems) == 0


def test_all_of_it_not_read_says_what_to_do(folder: Path) -> None:
    for number in range(5):
        (folder / f"{number}.png").write_bytes(HEIC)
    with pytest.raises(LooptopError) as error:
        load_data(DataConfig(source=str(folder)))
    assert f"can be used: {KIND}: 6 ({sentence_of(folder / '0.png')}, " in str(error.value)


def test_the_same_sentence_in_ask_eval_and_predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = sentence_of(folder / "5.heic")
    assert main(["ask", str(folder / "5.heic"), "what is it?"]) == 2
    assert capsys.readouterr().err.strip().endswith(sentence)
    assert main(["eval", "bundled", "--data", str(folder)]) == 0
    assert f"left out: {KIND}: 1 ({sentence})" in capsys.readouterr().err
    files = ["--questions", str(folder.parent / "q.json"), "--images", str(folder)]
    assert main(["predict", "bundled", *files, "--out", str(folder.parent / "r.json")]) == 0
    assert f"question 5 has no answer: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["keep_features=true", "keep_features=false"])
def test_training_counts_them_and_says_why(folder: Path, setting: str) -> None:
    """Those that a table names, and those that a prepared set names, which are opened when a batch needs them."""
    names = {
        "image": [*(str(folder / f"{n}.png") for n in range(5)), str(folder / "5.heic")],
        "question": ["what is it?"] * 6,
        "answer": ["red"] * 6,
    }
    datasets.Dataset.from_dict(names).save_to_disk(str(folder.parent / "set"))
    few = ["max_steps=2", "per_device_train_batch_size=1", "per_device_eval_batch_size=1", "validation_fraction=0.5"]
    for source in (folder, folder.parent / "set"):
        run = looptop.start(config.override(config.preset("tiny"), [f"source={source}", *few, setting]))
        run.wait(120)
        assert run.state is RunState.FINISHED, run.reason
        assert run.journal.facts()["left_out"] == {KIND: 1}
        warnings = [event for event in run.journal.events() if event.level == "warning"]
        (event,) = [event.text for event in warnings if event.kind != "alert"]
        assert sentence_of(folder / "5.heic") in event
