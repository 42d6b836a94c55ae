"""What color a file's numbers mean, in every depth and kind that Pillow opens: compared with what they should be."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.images.decode import UnsupportedFormatError, check_image, open_image, thumbnail

SHAPE = (3, 5)
KEEPS_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = arrays(np.uint16, SHAPE)
TURNS = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""By EXIF orientation: the transposition that is undone by it."""


def opened(path: Path) -> np.ndarray:
    check_image(path)
    image = open_image(path)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def same(path: Path, wanted: Any, tolerance: int = 0) -> bool:
    """Whether the picture is the wanted one, `[height, width]` of grey or `[height, width, 3]`."""
    wanted = np.asarray(wanted).astype(float)
    wanted = wanted[..., None].repeat(3, -1) if wanted.ndim == 2 else wanted
    pixels = opened(path)
    assert pixels.shape == wanted.shape
    return bool(abs(pixels - wanted).max() <= tolerance)


def on_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    alpha = alpha.astype(float) / 255
    alpha = alpha[..., None] if color.ndim == 3 else alpha
    return color * alpha + 255 * (1 - alpha)


# PNG ------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes, *, damaged: bool = False) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ damaged)


def png(values: np.ndarray, depth: int, color_type: int, *between: bytes) -> bytes:
    """A PNG of `[height, width]` or `[height, width, channels]` numbers of so many bits."""
    height, width = values.shape[:2]
    flat = values.reshape(height, -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in flat]
    else:
        bits = ((flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(height, -1).astype(np.uint8)
        lines = [np.packbits(row).tobytes() for row in bits]
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(between) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("transparent", [False, True])
@KEEPS_FOLDER
@given(values=WORDS)
def test_grey_png(tmp_path: Path, values: np.ndarray, depth: int, transparent: bool) -> None:
    values = values >> (16 - depth)
    wanted = values >> 8 if depth == 16 else values.astype(int) * 255 // ((1 << depth) - 1)
    between = []
    if transparent:
        color = int(values[0, 0])
        between = [chunk(b"tRNS", struct.pack(">H", color))]
        wanted = np.where(values == color, 255, wanted)
    (tmp_path / "a.png").write_bytes(png(values, depth, 0, *between))
    assert same(tmp_path / "a.png", wanted)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", ["RGB", "RGB and a transparent color", "LA", "RGBA"])
@KEEPS_FOLDER
@given(values=arrays(np.uint16, (*SHAPE, 4)))
def test_color_png(tmp_path: Path, values: np.ndarray, depth: int, kind: str) -> None:
    values = values >> (16 - depth)
    high = (values >> (depth - 8)).astype(int)
    path = tmp_path / "a.png"
    if kind == "LA":
        path.write_bytes(png(values[..., :2], depth, 4))
        assert same(path, on_white(high[..., 0], high[..., 1]), 2)
    elif kind == "RGBA":
        path.write_bytes(png(values, depth, 6))
        assert same(path, on_white(high[..., :3], high[..., 3]), 2)
    elif kind == "RGB":
        path.write_bytes(png(values[..., :3], depth, 2))
        assert same(path, high[..., :3])
    else:
        color = values[0, 0, :3]
        path.write_bytes(png(values[..., :3], depth, 2, chunk(b"tRNS", color.astype(">u2").tobytes())))
        gone = (high[..., :3] == high[0, 0, :3]).all(-1, keepdims=True)
        assert same(path, np.where(gone, 255, high[..., :3]))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
@KEEPS_FOLDER
@given(values=WORDS, palette=arrays(np.uint8, (256, 3)), alphas=arrays(np.uint8, 256))
def test_palette_png(
    tmp_path: Path, values: np.ndarray, palette: np.ndarray, alphas: np.ndarray, depth: int, transparent: bool
) -> None:
    values, count = values >> (16 - depth), 1 << depth
    between = [chunk(b"PLTE", palette[:count].tobytes())]
    wanted = palette[values].astype(float)
    if transparent:
        between.append(chunk(b"tRNS", alphas[:count].tobytes()))
        wanted = on_white(wanted, alphas[values])
    (tmp_path / "a.png").write_bytes(png(values, depth, 3, *between))
    assert same(tmp_path / "a.png", wanted, 2)


# TIFF -----------------------------------------------------------------------------------------------------------


def tiff(
    values: np.ndarray,
    photometric: int,
    bits: int,
    sample_format: int = 1,
    order: str = "<",
    extra: int | None = None,
    compression: int = 1,
) -> bytes:
    """One channel, or several (`[height, width, channels]`, of 8 bits and more); `extra`: what the last one is."""
    height, width = values.shape[:2]
    if bits < 8 or bits == 12:
        bit_numbers = np.arange(bits - 1, -1, -1)
        planes = ((values[..., None].astype(int) >> bit_numbers) & 1).reshape(height, -1).astype(np.uint8)
        data = b"".join(np.packbits(row).tobytes() for row in planes)
    else:
        data = values.astype(values.dtype.newbyteorder(order)).tobytes()  # type: ignore[arg-type]
    tags = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, compression), (262, 3, photometric)]
    tags += [(273, 4, 8), (277, 3, values[0, 0].size), (278, 3, height), (279, 4, len(data))]
    tags += [] if extra is None else [(338, 3, extra)]
    tags += [(339, 3, sample_format)]
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, 1)
        + (struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value))
        for tag, kind, value in tags
    )
    data += bytes(len(data) % 2)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    return head + data + struct.pack(order + "H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@KEEPS_FOLDER
@given(values=WORDS)
def test_grey_tiff(tmp_path: Path, values: np.ndarray, bits: int, photometric: int, order: str) -> None:
    if bits == 12 and order == ">":
        pytest.skip("Pillow does not read it")
    values = values >> (16 - bits)
    wanted = values.astype(int) * 255 // ((1 << bits) - 1) if bits <= 8 else values >> (bits - 8)
    written = values.astype(np.uint8) if bits <= 8 else values
    (tmp_path / "a.tiff").write_bytes(tiff(written, photometric, bits, order=order))
    assert same(tmp_path / "a.tiff", 255 - wanted.astype(int) if photometric == 0 else wanted)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("kind", [np.float32, np.uint32])
def test_wide_grey_tiff(tmp_path: Path, kind: Any, photometric: int, order: str) -> None:
    steps = np.linspace(0, 1, 15).reshape(SHAPE)
    values = (steps * (1 if kind is np.float32 else 0xFFFFFFFF)).astype(kind)
    (tmp_path / "a.tiff").write_bytes(tiff(values, photometric, 32, 3 if kind is np.float32 else 1, order))
    assert same(tmp_path / "a.tiff", 255 * (1 - steps) if photometric == 0 else 255 * steps, 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("kind", ["signed", "alpha", "other"])
def test_grey_tiff_with_a_twin(tmp_path: Path, kind: str, photometric: int, order: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (*SHAPE, 2), dtype=np.uint8)
    grey = values[..., 0] if photometric == 1 else 255 - values[..., 0]
    if kind == "signed":
        data = tiff(values[..., 0], photometric, 8, 2, order)
    else:
        data = tiff(values, photometric, 8, order=order, extra=2 if kind == "alpha" else 0)
    (tmp_path / "a.tiff").write_bytes(data)
    assert same(tmp_path / "a.tiff", on_white(grey, values[..., 1]) if kind == "alpha" else grey, 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "channels", "options", "named"),
    [
        (np.float64, 1, {"photometric": 1, "sample_format": 3}, "TIFF of 64-bit floating-point grey"),
        (np.float64, 1, {"photometric": 0, "sample_format": 3}, "TIFF of 64-bit floating-point grey"),
        (np.float32, 3, {"photometric": 2, "sample_format": 3}, "TIFF of 32-bit floating-point RGB"),
        (np.uint16, 2, {"photometric": 1, "extra": 2}, "TIFF of 16-bit grey with alpha"),
        (np.uint8, 2, {"photometric": 1}, "TIFF of 8-bit grey with other channels"),
        (np.int8, 3, {"photometric": 2, "sample_format": 2}, "TIFF of 8-bit signed RGB"),
        (np.uint16, 1, {"photometric": 32803}, "TIFF of 16-bit CFA (a camera's unprocessed pixels)"),
        (np.uint8, 1, {"photometric": 1, "compression": 34712}, "TIFF with compression 34712"),
    ],
)
def test_a_tiff_that_is_not_read_is_named(
    tmp_path: Path, kind: Any, channels: int, options: dict[str, Any], named: str, order: str
) -> None:
    values = np.ones((3, 5, channels), kind)
    data = tiff(values, bits=values.itemsize * 8, order=order, **options)
    (tmp_path / "a.tiff").write_bytes(data)
    for read in (open_image, check_image):
        with pytest.raises(UnsupportedFormatError) as error:
            read(tmp_path / "a.tiff")
        assert f": {named} is not supported; convert it to JPEG or PNG, for example with `" in str(error.value)
    (tmp_path / "a.tiff").write_bytes(data[:20])
    with pytest.raises(LooptopError, match="or its beginning is damaged"):
        check_image(tmp_path / "a.tiff")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_compressed_16_bit_tiff(tmp_path: Path, compression: str, photometric: int) -> None:
    values = np.linspace(0, 65535, 15).astype(np.uint16).reshape(SHAPE)
    Image.fromarray(values).save(tmp_path / "a.tiff", compression=compression, tiffinfo={262: photometric})
    assert same(tmp_path / "a.tiff", 255 - (values >> 8).astype(int) if photometric == 0 else values >> 8)


def test_lab_tiff(tmp_path: Path) -> None:
    picture = Image.new("RGB", (6, 4), (200, 40, 90))
    picture.paste((100, 110, 120), (3, 0, 6, 4))
    lab = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "a.tiff")
    assert same(tmp_path / "a.tiff", np.asarray(picture), 4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "LA", "YCbCr"])
@KEEPS_FOLDER
@given(values=arrays(np.uint8, (*SHAPE, 4)))
def test_color_tiff(tmp_path: Path, values: np.ndarray, mode: str) -> None:
    if mode == "LA":
        image = Image.fromarray(np.ascontiguousarray(values[..., :2]), "LA")
    else:
        image = Image.frombytes(mode, (5, 3), np.ascontiguousarray(values[..., : Image.getmodebands(mode)]))
    image.save(tmp_path / "a.tiff")
    color = values[..., :3].astype(int)
    wanted = {
        "RGB": color,
        "RGBA": on_white(color, values[..., 3]),
        "LA": on_white(color[..., 0], values[..., 1]),
        "CMYK": (255 - color) * (255 - values[..., 3:].astype(int)) / 255,
        "YCbCr": from_ycc(color),
    }[mode]
    assert same(tmp_path / "a.tiff", wanted, 2)


def from_ycc(values: np.ndarray) -> np.ndarray:
    y, blue, red = (values[..., n].astype(float) for n in range(3))
    blue, red = blue - 128, red - 128
    return np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], -1).clip(0, 255)


# JPEG -----------------------------------------------------------------------------------------------------------


COLORS = np.random.default_rng(3).integers(20, 236, (2, 3, 4), dtype=np.uint8).repeat(16, 0).repeat(16, 1)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.fromarray(COLORS, "CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    color = COLORS.astype(int)
    assert same(tmp_path / "a.jpg", (255 - color[..., :3]) * (255 - color[..., 3:]) / 255, 4)


def test_ycck_jpeg(tmp_path: Path) -> None:
    """As Photoshop writes it: Adobe's mark says that the first three channels are Y, Cb and Cr of inverted inks."""
    inks = np.ascontiguousarray(COLORS[..., :3])
    values = COLORS.copy()
    # Pillow writes 255 less each value. The file holds the inks as YCC, and 255 less the black ink.
    values[..., :3] = 255 - np.asarray(Image.fromarray(inks).convert("YCbCr"))
    Image.fromarray(values, "CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    mark = data.index(b"Adobe")
    assert data[mark + 11] == 0
    data[mark + 11] = 2
    (tmp_path / "a.jpg").write_bytes(data)
    assert same(tmp_path / "a.jpg", (255 - inks.astype(int)) * (255 - COLORS[..., 3:].astype(int)) / 255, 5)


REMARKS = [
    (0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0"),
    (0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1"),
    (0xE2, b"ICC_PROFILE\0\1\1abcd"),
    (0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\1\0\4\0\0\0\1\0\0\0\2"),
    (0xED, b"Photoshop 3.0\x008BIM\3\xed\0\0\0\0\0\x10" + bytes(16)),
    (0xEE, b"Adobe\0d\0\0\0\0\1"),
]


@pytest.mark.parametrize(("kind", "content"), REMARKS)
def test_a_short_remark_does_not_make_a_jpeg_worse(tmp_path: Path, kind: int, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.ascontiguousarray(COLORS[..., :3])).save(path, quality=100, subsampling=0)
    whole, wanted = path.read_bytes(), opened(path)
    assert whole[2:4] == b"\xff\xe0"
    behind = 4 + int.from_bytes(whole[4:6], "big")
    for length in range(len(content)):
        remark = bytes((0xFF, kind)) + struct.pack(">H", length + 2) + content[:length]
        for rest in (whole[2:], whole[behind:]):
            path.write_bytes(whole[:2] + remark + rest)
            assert same(path, wanted), length


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"optimize": True, "quality": 30}]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_is_whole_if_its_pixels_are(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    """Cut off anywhere: what opens, with or without the end mark, shows every pixel as it was."""
    path = tmp_path / "a.jpg"
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((70, 50))
    picture.convert(mode).save(path, **options)
    whole, wanted = path.read_bytes(), opened(path)
    for cut in (1, 2):
        path.write_bytes(whole[:-cut])
        assert same(path, wanted)
    scans = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7\xda]", whole)][1:]
    for end in {*(len(whole) - cut for cut in range(3, 40)), *scans, *(scan + 2 for scan in scans)}:
        path.write_bytes(whole[:end])
        try:
            assert same(path, wanted), end
        except LooptopError:
            for read in (open_image, check_image):
                with pytest.raises(LooptopError, match="damaged or cut off"):
                    read(path)
        else:
            assert end >= len(whole) - 4, "nothing but the end of the last byte can be missing unseen"


# Turned ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *(("png", mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16")),
        *(("tiff", mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16", "F")),
        *(("jpg", mode) for mode in ("L", "RGB", "CMYK")),
        *(("webp", mode) for mode in ("RGB", "RGBA")),
        ("avif", "RGB"),
    ],
)
def test_orientation_in_every_kind(tmp_path: Path, suffix: str, mode: str) -> None:
    grey = np.zeros((16, 32), np.uint8)
    grey[:, :16] = 255
    grey[8:, :16] = 0 if mode == "1" else 128
    base = Image.fromarray(grey)
    if mode == "I;16":
        base = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "F":
        base = Image.fromarray(grey.astype(np.float32) / 255)
    elif mode != "L":
        base = (base if mode == "P" else base.convert("RGB")).convert(mode)
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = base if turn is None else base.transpose(Image.Transpose(turn))
        path = tmp_path / f"{orientation}.{suffix}"
        turned.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {"quality": 95}))
        assert same(path, grey, 12 if suffix in ("jpg", "avif") else 1), orientation
        assert thumbnail(path, (16, 16)).size == (16, 8)


def test_an_orientation_in_a_png_remark_is_honoured(tmp_path: Path) -> None:
    """As ImageMagick and drawing programs write it, before or behind the pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = exif.tobytes()
    profile = b"\nexif\n%8d\n" % len(data) + data.hex().encode() + b"\n"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    remarks = [
        chunk(b"eXIf", data.removeprefix(b"Exif\0\0")),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
        chunk(b"tEXt", b"Raw profile type exif\0" + profile),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
    ]
    values = np.array([[0, 1, 2], [3, 4, 5]], np.uint16) * 50
    for remark in remarks:
        whole = png(values, 8, 0)
        end = whole.index(b"IEND") - 4
        for data in (png(values, 8, 0, remark), whole[:end] + remark + whole[end:]):
            (tmp_path / "a.png").write_bytes(data)
            assert same(tmp_path / "a.png", np.rot90(values, -1)), remark[4:8]


# Metadata -------------------------------------------------------------------------------------------------------

PIXELS = np.arange(400, dtype=np.uint16).reshape(20, 20) % 251
BOMB = zlib.compress(bytes(80_000_000))
CONTENTS = [
    b"",
    b"x",
    b"\xff" * 300,
    b"abc\0\0 not compressed",
    b"abc\0\0" + BOMB,
    b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB,
    b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 3_000_000,
    b"Raw profile type exif\0\0" + BOMB,
    b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 3\nzz\n"),
    b"Raw profile type exif\0\0" + BOMB[:-9],
    b"\0" * 2_000_000,
]
KINDS = ("eXIf", "tEXt", "zTXt", "iTXt", "iCCP", "gAMA", "cHRM", "sRGB", "pHYs", "tIME", "bKGD", "hIST", "sBIT", "sPLT")
KINDS += ("cICP", "acTL", "fcTL", "fdAT", "prVt")  # type: ignore[assignment]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("behind", [False, True])
def test_remarks_do_not_make_a_png_worse(tmp_path: Path, kind: str, damaged: bool, behind: bool) -> None:
    whole = png(PIXELS, 8, 0)
    at = whole.index(b"IEND") - 4 if behind else whole.index(b"IDAT") - 4
    for content in CONTENTS:
        (tmp_path / "a.png").write_bytes(whole[:at] + chunk(kind.encode(), content, damaged=damaged) + whole[at:])
        assert same(tmp_path / "a.png", PIXELS), content[:30]


def test_a_palette_beside_colors_does_not_matter(tmp_path: Path) -> None:
    values = np.stack([PIXELS, PIXELS[::-1], PIXELS.T], -1)
    for content in (b"", b"xx", bytes(range(30))):
        for damaged in (False, True):
            (tmp_path / "a.png").write_bytes(png(values, 8, 2, chunk(b"PLTE", content, damaged=damaged)))
            assert same(tmp_path / "a.png", values)


def test_seventy_remarks_of_a_megabyte(tmp_path: Path) -> None:
    """Together more than Pillow reads of texts in one file."""
    remark = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_000_000)))
    (tmp_path / "a.png").write_bytes(png(PIXELS, 8, 0, *[remark] * 70))
    assert same(tmp_path / "a.png", PIXELS)


def test_a_png_is_whole_if_its_pixels_are(tmp_path: Path) -> None:
    """Cut off anywhere: refused within the pixels, opened behind them; and both looks agree."""
    rows = np.random.default_rng(1).integers(0, 256, (30, 30), dtype=np.uint16)
    whole = png(rows, 8, 0)
    end = whole.index(b"IEND") - 8
    whole = whole[: end + 4] + chunk(b"tEXt", b"a\0remark") + whole[end + 4 :]
    for cut in (*range(30, end - 4, 37), *range(end + 4, len(whole))):
        (tmp_path / "a.png").write_bytes(whole[:cut])
        if cut < end:
            for read in (open_image, check_image):
                with pytest.raises(LooptopError):
                    read(tmp_path / "a.png")
        else:
            assert same(tmp_path / "a.png", rows)


def test_pixels_cut_off_between_two_chunks_are_refused(tmp_path: Path) -> None:
    data = zlib.compress(np.random.default_rng(1).integers(0, 256, (30, 31), dtype=np.uint8).tobytes())
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 30, 8, 0, 0, 0, 0))
    for end in (b"", chunk(b"IEND", b"")):
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data[:400]) + end)
        with pytest.raises(LooptopError, match="damaged or cut off"):
            open_image(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data[:400]))
    with pytest.raises(LooptopError, match="damaged or cut off"):
        check_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", [b"IDAT", b"PLTE", b"IHDR"])
def test_damaged_pixels_are_refused(tmp_path: Path, kind: bytes) -> None:
    palette = chunk(b"PLTE", bytes(range(256)) * 3)
    data = bytearray(png(PIXELS, 8, 3, palette))
    data[data.index(kind) + 9] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(LooptopError):
        check_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\0\5", bytes(6), bytes(range(0, 200, 50)), bytes(300), bytes(2_000_000)]
)
@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("color_type", [0, 2, 3, 4, 6])
def test_damaged_transparency_does_not_make_a_png_worse(
    tmp_path: Path, content: bytes, damaged: bool, color_type: int
) -> None:
    channels = {2: 3, 4: 2, 6: 4}.get(color_type, 1)
    values = np.full((4, 4, channels), 255, np.uint16)
    values[..., : 2 if channels == 4 else 1] = np.arange(4)[:, None]
    palette = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)], np.uint8)
    before = [chunk(b"PLTE", palette.tobytes())] if color_type == 3 else []
    wanted = palette[values[..., 0]] if color_type == 3 else values[..., :3] if channels > 2 else values[..., 0]
    sound = b"" if damaged or len(content) > 1_000_000 else content
    if color_type == 3:
        wanted = on_white(wanted, np.array([*sound[:4], *[255] * 4])[:4][values[..., 0]])
    elif color_type in (0, 2) and len(sound) >= 2 * channels:
        gone = (values == np.frombuffer(sound[: 2 * channels], ">u2")).all(-1)
        wanted = np.where(gone if channels == 1 else gone[..., None], 255, wanted)
    (tmp_path / "a.png").write_bytes(png(values, 8, color_type, *before, chunk(b"tRNS", content, damaged=damaged)))
    assert same(tmp_path / "a.png", wanted, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.dictionaries(st.integers(0, 700), st.integers(0, 255), min_size=1, max_size=20))
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_damaged_exif_and_profiles_do_not_make_a_picture_worse(
    tmp_path: Path, suffix: str, damage: dict[int, int]
) -> None:
    picture = Image.fromarray((PIXELS % 2 * 200).astype(np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[0x010F] = "Maker" * 20
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / f"a.{suffix}"
    picture.save(path, exif=exif, icc_profile=icc, **({"lossless": True} if suffix == "webp" else {"quality": 100}))
    data = bytearray(path.read_bytes())
    wanted = open_image(path)
    if suffix == "jpg":
        first = data.index(b"Exif\0\0")
        inside = [*range(first, first + int.from_bytes(data[first - 2 : first], "big") - 2)]
    else:
        first = data.index(b"EXIF") + 8
        inside = [*range(first, first + int.from_bytes(data[first - 4 : first], "little"))]
        first = data.index(b"ICCP") + 8
        inside += [*range(first, first + int.from_bytes(data[first - 4 : first], "little"))]
    for number, value in damage.items():
        data[inside[number % len(inside)]] = value
    path.write_bytes(data)
    check_image(path)
    picture = open_image(path)
    # The damage may have made an orientation.
    turned = [wanted, *(wanted.transpose(turn) for turn in Image.Transpose)]
    assert picture.tobytes() in [one.tobytes() for one in turned if one.size == picture.size]
