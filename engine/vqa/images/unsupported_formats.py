"""Recognises files of unsupported formats by their first bytes, and suggests how to convert them."""

from __future__ import annotations

import re
from pathlib import Path

HEAD_BYTES = 4096
"""The number of bytes at the beginning of a file that are needed to recognise it."""

SUFFIXES = frozenset(
    f".{suffix}"
    for names in (
        "heic heif hif jxl svg svgz psd exr hdr dcm",
        "dng cr2 cr3 nef nrw arw srf sr2 raf orf rw2 pef srw x3f",
    )
    for suffix in names.split()
)
"""Endings of images of unsupported formats. The app lists them too, and says why they cannot be opened."""

MAGICK = "magick FILE photo.png"
_HEIF = "heif-convert FILE photo.jpg"
CONVERT_RAW = "darktable-cli FILE photo.jpg"
_NUMPY = """python -c 'import numpy, PIL.Image; PIL.Image.fromarray(numpy.load("FILE")).save("photo.png")'"""
_FRAME = "ffmpeg -i FILE -frames:v 1 photo.png"

_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), ("HEIC", _HEIF)),
    **dict.fromkeys((b"mif1", b"msf1", b"mif2"), ("HEIF", _HEIF)),
    **dict.fromkeys((b"avif", b"avis"), ("AVIF", MAGICK)),
    b"crx ": ("camera RAW (CR3)", CONVERT_RAW),
    **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"M4V ", b"qt  "), ("video", _FRAME)),
}
"""By the brand after `ftyp`: the format, and a command that converts it."""

_BEGINNINGS = (
    (b"%PDF-", "PDF", "pdftoppm -png -singlefile FILE photo"),
    (b"%!PS", "PostScript", "gs -sDEVICE=png16m -o photo.png FILE"),
    (b"\xc5\xd0\xd3\xc6", "PostScript", "gs -sDEVICE=png16m -o photo.png FILE"),
    (b"8BPS", "PSD", MAGICK),
    (b"\xff\x0a", "JPEG XL", "djxl FILE photo.png"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL", "djxl FILE photo.png"),
    (b"v/1\x01", "OpenEXR", MAGICK),
    (b"gimp xcf", "XCF", MAGICK),
    (b"#?RADIANCE", "Radiance HDR", MAGICK),
    (b"#?RGBE", "Radiance HDR", MAGICK),
    (b"\x93NUMPY", "NumPy array", _NUMPY),
    (b"FUJIFILMCCD-RAW", "camera RAW (RAF)", CONVERT_RAW),
    (b"IIRO", "camera RAW (ORF)", CONVERT_RAW),
    (b"IIRS", "camera RAW (ORF)", CONVERT_RAW),
    (b"MMOR", "camera RAW (ORF)", CONVERT_RAW),
    (b"IIU\0", "camera RAW (RW2)", CONVERT_RAW),
    (b"FOVb", "camera RAW (X3F)", CONVERT_RAW),
    (b"SIMPLE  =", "FITS", MAGICK),
    (b"qoif", "QOI", MAGICK),
    (b"DDS ", "DDS", MAGICK),
    (b"\x1aE\xdf\xa3", "video", _FRAME),
    (b"AT&TFORM", "DjVu", "ddjvu -format=tiff FILE photo.tiff"),
    (b"\xd7\xcd\xc6\x9a", "WMF", MAGICK),
)
_RAW_SUFFIXES = {".nef", ".nrw", ".arw", ".srf", ".sr2", ".pef", ".srw", ".3fr", ".iiq", ".dng", ".cr2"}

_DOWNLOAD = "download the image itself"
_OTHER_CONTENT = (
    (rb"version https://git-lfs\.", "a Git LFS pointer, not the image itself; fetch the image with `git lfs pull`"),
    (
        rb"(?:<\?xml.*?\?>\s*|<!--.*?-->\s*)*+<(?:!doctype\s+html|html|head|body)\b",
        f"a web page (HTML), not an image; {_DOWNLOAD}",
    ),
    (rb"<\?xml(?!.*<svg)", f"XML text, not an image; {_DOWNLOAD}"),
    (rb"\{\s*[\"}]|\[\s*[\[{\"\]]", f"JSON text, not an image; {_DOWNLOAD}"),
)
"""The beginnings of texts that a failed download or checkout leaves in place of an image."""


def other_content(head: bytes) -> str | None:
    """What a file is that is not an image, and what to do; None if it may be an image."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((advice for form, advice in _OTHER_CONTENT if re.match(form, text, re.DOTALL | re.IGNORECASE)), None)


def unsupported_format(path: Path, head: bytes) -> tuple[str, str] | None:
    """The format of a file that Pillow did not open, and a command that converts it; None if it is unknown."""
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), len(head))
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
        # HEIC files may have HEIF's general brand first and their own among the others: a more specific brand wins.
        known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return next((one for one in known if one[0] != "HEIF"), known[0]) if known else None
    for beginning, name, command in _BEGINNINGS:
        if head.startswith(beginning):
            return name, command
    if head[128:132] == b"DICM":
        return "DICOM", "dcm2pnm +on FILE photo.png"
    if is_raw_tiff(path, head):
        return f"camera RAW ({path.suffix[1:].upper() or 'TIFF'})", CONVERT_RAW
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb"<svg[\s>]", text) or (text.startswith((b"<?xml", b"<!DOCTYPE svg", b"<!--")) and b"<svg" in text):
        return "SVG", "rsvg-convert FILE -o photo.png"
    if head[:2] == b"\x1f\x8b" and path.suffix.lower() == ".svgz":
        return "SVG", "rsvg-convert FILE -o photo.png"
    return None


def is_raw_tiff(path: Path, head: bytes) -> bool:
    """Whether a TIFF is a camera's raw file, of which Pillow would open the small preview."""
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    return head[8:10] == b"CR" or path.suffix.lower() in _RAW_SUFFIXES
