from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.images import decode
from looptop.engine.vqa.images.decode import check_image, has_image_suffix, open_image, thumbnail


def halves(left: object, right: object, mode: str = "RGB", size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Left half one colour, right half another."""
    image = Image.new(mode, size, left)  # type: ignore[arg-type]
    image.paste(right, (size[0] // 2, 0, *size))  # type: ignore[arg-type]
    return image


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    assert image.mode == "RGB"
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def near(colour: tuple[int, ...], wanted: tuple[int, int, int], tolerance: int = 3) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(colour, wanted, strict=True))


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


# What is wrong ----------------------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(LooptopError) as error:
        open_image(path)
    with pytest.raises(LooptopError):
        check_image(path)
    with pytest.raises(LooptopError):
        thumbnail(path, (8, 8))
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_missing_image(tmp_path: Path) -> None:
    assert "there is no image" in refused(tmp_path / "none.png")
    assert "none.png" in refused(tmp_path / "none.png")


def test_an_empty_image(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.png")


def test_a_directory(tmp_path: Path) -> None:
    assert "is a directory" in refused(tmp_path)


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "there is no image" in refused(tmp_path / "file" / "a.png")


def test_a_name_no_file_can_have(tmp_path: Path) -> None:
    assert "cannot open the image" in refused(tmp_path / ("x" * 300))
    assert "cannot open the image" in refused(Path("a\0b.png"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "is not a file" in refused(tmp_path / "pipe.png")


def test_a_text_file_named_png(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    assert "is not an image" in refused(tmp_path / "text.png")


def test_a_postscript_file_is_not_given_to_ghostscript(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    assert "is not an image" in refused(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_truncated_image(tmp_path: Path, suffix: str, kept: float, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"cut.{suffix}"
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(LooptopError, match=r"damaged or cut off|is not an image"):
        open_image(path)
    if suffix in ("png", "jpg"):
        with pytest.raises(LooptopError, match="damaged or cut off"):
            check_image(path)
    assert capfd.readouterr() == ("", "")


def test_only_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    refused(tmp_path / "a.png")
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    refused(tmp_path / "a.jpg")


def test_escape_sequences_in_a_name_do_not_act(tmp_path: Path) -> None:
    assert "\x1b" not in refused(tmp_path / "\x1b[31m.png")


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_an_image_or_one_sentence(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    suffix = ["png", "jpg", "gif", "webp", "bmp", "tiff", "ico", "tga"][seed % 8]
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    for offset in random.integers(0, len(data), 8):
        data[offset] = random.integers(0, 256)
    path.write_bytes(data)
    for read in (open_image, check_image):
        try:
            read(path)
        except LooptopError as error:
            assert "\n" not in str(error)


# Sizes ------------------------------------------------------------------------------------------------------------


def test_one_pixel(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.gif"):
        Image.new("RGB", (1, 1), RED).save(tmp_path / name)
        check_image(tmp_path / name)
        assert open_image(tmp_path / name).size == thumbnail(tmp_path / name, (9, 9)).size == (1, 1)
        assert near(pixel(open_image(tmp_path / name), 0, 0), RED)


def png_header(width: int, height: int) -> bytes:
    """A valid PNG as far as its size; its pixels are cut off."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * width)))
        + chunk(b"IEND", b"")
    )


def test_a_png_of_20000_by_20000_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(20_000, 20_000))
    assert "has more than 178 million pixels; make it smaller first" in refused(tmp_path / "huge.png")


def test_a_jpeg_of_20000_by_20000_is_decoded_at_a_smaller_scale(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    picture = Image.new("L", (20_000, 20_000), 200)
    picture.paste(50, (10_000, 0, 20_000, 20_000))
    picture.save(path)
    del picture
    # In a process of its own, whose greatest use of memory can be read.
    script = (
        "import resource; from looptop.engine.vqa.images.decode import open_image, check_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"check_image({str(path)!r}); image = open_image({str(path)!r})\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(*image.size, image.getpixel((100, 100))[0], image.getpixel((image.width - 100, 100))[0], after - before)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    width, height, left, right, kilobytes = map(int, out.split())
    assert (width, height, left, right) == (5_000, 5_000, 200, 50)
    assert kilobytes < 300_000
    assert thumbnail(path, (100, 50)).size == (50, 50)


def test_a_huge_progressive_jpeg_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (300, 300)).save(tmp_path / "a.jpg", progressive=True)
    Image.new("L", (300, 300)).save(tmp_path / "b.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    monkeypatch.setattr(decode, "MAX_UNSCALED_PIXELS", 30_000)
    assert "million pixels" in refused(tmp_path / "a.jpg")
    assert open_image(tmp_path / "b.jpg").size == (150, 150)


def test_pillows_warnings_do_not_reach_the_screen(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")
    script = (
        "from PIL import Image; from looptop.engine.vqa.images.decode import open_image\n"
        f"Image.MAX_IMAGE_PIXELS = 1_000; open_image({str(tmp_path / 'a.jpg')!r})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


# Kinds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tiff", "ppm", "tga"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    halves(RED, BLUE, size=(64, 32)).save(path, **({"lossless": True} if suffix == "webp" else {}))  # type: ignore[arg-type]
    check_image(path)
    image = open_image(path)
    assert image.size == (64, 32)
    assert near(pixel(image, 5, 16), RED) and near(pixel(image, 60, 16), BLUE)
    assert has_image_suffix(path.name) and has_image_suffix(path.name.upper())


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    halves((0, 255, 255, 0), (255, 0, 255, 0), "CMYK", (64, 32)).save(path)
    image = open_image(path)
    assert near(pixel(image, 5, 16), RED, 6) and near(pixel(image, 60, 16), GREEN, 6)


def test_16_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.tile(np.array([0, 257, 32768, 65535], dtype=np.uint16), (4, 1))
    for name in ("a.png", "a.tiff"):
        Image.fromarray(values).save(tmp_path / name)
        image = open_image(tmp_path / name)
        assert [pixel(image, x, 0)[0] for x in range(4)] == [0, 1, 128, 255]
    (tmp_path / "a.pgm").write_bytes(b"P5 4 4 65535\n" + values.astype(">u2").tobytes())
    image = open_image(tmp_path / "a.pgm")
    assert [pixel(image, x, 0)[0] for x in range(4)] == [0, 1, 128, 255]
    (tmp_path / "b.tiff").write_bytes(_big_endian_tiff(values))
    image = open_image(tmp_path / "b.tiff")
    assert [pixel(image, x, 0)[0] for x in range(4)] == [0, 1, 128, 255]


def _big_endian_tiff(values: np.ndarray) -> bytes:
    data = values.astype(">u2").tobytes()
    height, width = values.shape
    tags = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 3, height), (279, 4, len(data))]
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1) + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in tags
    )
    return b"MM\0*" + struct.pack(">I", 8 + len(data)) + data + struct.pack(">H", len(tags)) + entries + bytes(4)


def test_floating_point_images(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)).save(tmp_path / "a.tiff")
    assert [pixel(open_image(tmp_path / "a.tiff"), x, 0)[0] for x in range(3)] == [0, 128, 255]
    Image.fromarray(np.array([[-10.0, np.nan, 10.0]], dtype=np.float32)).save(tmp_path / "b.tiff")
    assert [pixel(open_image(tmp_path / "b.tiff"), x, 0)[0] for x in range(3)] == [0, 128, 255]


def test_a_palette_with_transparency_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (40, 20), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (20, 0, 40, 20))
    image.save(tmp_path / "a.png", transparency=0)
    image.save(tmp_path / "a.gif", transparency=0)
    image.save(tmp_path / "b.png", transparency=bytes([128, 255]))
    for name in ("a.png", "a.gif"):
        assert pixel(open_image(tmp_path / name), 5, 5) == WHITE
        assert pixel(open_image(tmp_path / name), 30, 5) == BLUE
    assert near(pixel(open_image(tmp_path / "b.png"), 5, 5), (255, 127, 127))


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_rgba_lies_on_white(tmp_path: Path, suffix: str) -> None:
    image = halves((255, 0, 0, 255), (0, 0, 0, 0), "RGBA")
    image.paste((0, 0, 255, 128), (0, 0, 40, 10))
    path = tmp_path / f"a.{suffix}"
    image.save(path, **({"lossless": True, "exact": True} if suffix == "webp" else {}))  # type: ignore[arg-type]
    opened = open_image(path)
    assert pixel(opened, 5, 15) == RED
    assert pixel(opened, 30, 15) == WHITE
    assert near(pixel(opened, 5, 5), (127, 127, 255))


def test_grey_with_alpha_lies_on_white(tmp_path: Path) -> None:
    halves((100, 255), (0, 0), "LA").save(tmp_path / "a.png")
    assert pixel(open_image(tmp_path / "a.png"), 5, 5) == (100, 100, 100)
    assert pixel(open_image(tmp_path / "a.png"), 30, 5) == WHITE


@pytest.mark.parametrize(("mode", "left", "right"), [("RGB", RED, BLUE), ("L", 10, 200)])
def test_one_colour_as_transparent(tmp_path: Path, mode: str, left: object, right: object) -> None:
    halves(left, right, mode).save(tmp_path / "a.png", transparency=left)
    assert pixel(open_image(tmp_path / "a.png"), 5, 5) == WHITE
    assert pixel(open_image(tmp_path / "a.png"), 30, 5) != WHITE


@pytest.mark.parametrize(("mode", "left", "right"), [("1", 0, 1), ("L", 0, 255)])
def test_black_and_white(tmp_path: Path, mode: str, left: int, right: int) -> None:
    halves(left, right, mode).save(tmp_path / "a.png")
    assert pixel(open_image(tmp_path / "a.png"), 5, 5) == (0, 0, 0)
    assert pixel(open_image(tmp_path / "a.png"), 30, 5) == WHITE


TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_rotated_image_comes_out_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = halves(RED, BLUE, size=(64, 32))
    upright.paste(GREEN, (0, 16, 32, 32))
    turn = TURNED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    (upright if turn is None else upright.transpose(turn)).save(path, exif=exif, quality=95)
    for image in (open_image(path), thumbnail(path, (64, 64))):
        assert image.size == (64, 32)
        assert near(pixel(image, 8, 4), RED, 20)
        assert near(pixel(image, 8, 28), GREEN, 20)
        assert near(pixel(image, 56, 16), BLUE, 20)


def test_damaged_exif_does_not_matter(tmp_path: Path) -> None:
    halves(RED, BLUE, size=(64, 32)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")
    assert open_image(tmp_path / "a.jpg").size == (64, 32)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, GREEN, BLUE)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {}))  # type: ignore[arg-type]
    check_image(path)
    assert near(pixel(open_image(path), 10, 10), RED)


def test_bytes_after_the_end_of_a_jpeg_are_no_damage(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(bytes(100))
    check_image(tmp_path / "a.jpg")


# Thumbnails -------------------------------------------------------------------------------------------------------


def test_a_thumbnail_keeps_proportions_and_colours(tmp_path: Path) -> None:
    halves(RED, BLUE, size=(1600, 800)).save(tmp_path / "a.jpg", quality=95)
    small = thumbnail(tmp_path / "a.jpg", (100, 100))
    assert small.size == (100, 50)
    assert near(pixel(small, 20, 25), RED, 6) and near(pixel(small, 80, 25), BLUE, 6)


def test_the_module_does_without_torch() -> None:
    script = (
        "import sys, looptop.engine.vqa.images.decode; print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
