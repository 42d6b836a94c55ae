"""A terminal that draws images: it reads what is written to it and knows which images it shows, and where."""

from __future__ import annotations

import base64
import io
import re
from typing import NamedTuple

from PIL import Image

_SEQUENCE = re.compile(
    r"\x1b_G(?P<keys>[^;\x1b]*);?(?P<data>[^\x1b]*)\x1b\\"
    r"|\x1b\]1337;File=(?P<iterm>[^:]*):(?P<file>[^\x07]*)\x07"
    r"|\x1bP(?P<sixel>[^\x1b]*)\x1b\\"
    r"|\x1b\[(?P<row>\d+);(?P<column>\d+)H"
)


class ShownImage(NamedTuple):
    """An image on the terminal."""

    row: int
    column: int
    image: Image.Image
    columns: int
    rows: int


class ImageTerminal:
    """Reads kitty's, iTerm2's and sixel sequences; refuses what these protocols do not allow."""

    def __init__(self) -> None:
        self.images: dict[int, ShownImage] = {}
        """kitty's images, by their id."""
        self.drawn: list[ShownImage] = []
        """All images that were drawn, in order."""
        self.unread = ""
        self._cursor = (0, 0)
        self._chunks: list[str] = []
        self._keys: dict[str, str] = {}

    def write(self, text: str) -> None:
        """Reads what was written."""
        for match in _SEQUENCE.finditer(text):
            if match["row"]:
                self._cursor = (int(match["row"]) - 1, int(match["column"]) - 1)
            elif match["keys"] is not None:
                self._kitty(dict(each.split("=") for each in match["keys"].split(",")), match["data"])
            elif match["iterm"] is not None:
                self._iterm2(dict(each.split("=") for each in match["iterm"].split(";")), match["file"])
            else:
                image = decode_sixel(match["sixel"])
                self.drawn.append(ShownImage(*self._cursor, image, 0, 0))
        self.unread += _SEQUENCE.sub("", text)

    def _kitty(self, keys: dict[str, str], data: str) -> None:
        if keys.get("a") == "q":  # asks only
            return
        assert len(data) <= 4096 and keys.get("q") == "2"
        if keys.get("a") == "d":
            assert not self._chunks and not data
            self.images.pop(int(keys["i"]), None)
            return
        if not self._chunks:
            assert keys["a"] == "T" and keys["f"] == "100" and keys["C"] == "1"
            self._keys = keys
        else:
            assert set(keys) == {"q", "m"}
        self._chunks.append(data)
        if keys["m"] == "1":
            assert len(data) % 4 == 0
            return
        file = base64.b64decode("".join(self._chunks), validate=True)
        self._chunks = []
        image = Image.open(io.BytesIO(file), formats=["PNG"])
        shown = ShownImage(*self._cursor, image, int(self._keys["c"]), int(self._keys["r"]))
        self.images[int(self._keys["i"])] = shown
        self.drawn.append(shown)

    def _iterm2(self, keys: dict[str, str], data: str) -> None:
        file = base64.b64decode(data, validate=True)
        assert keys["inline"] == "1" and int(keys["size"]) == len(file) and keys["preserveAspectRatio"] == "0"
        image = Image.open(io.BytesIO(file), formats=["PNG", "JPEG"])
        self.drawn.append(ShownImage(*self._cursor, image, int(keys["width"]), int(keys["height"])))


def decode_sixel(text: str) -> Image.Image:
    """The image of a sixel string, without its introducer and terminator; what is not drawn is transparent."""
    match = re.fullmatch(r'0;1q"1;1;(\d+);(\d+)(.*)', text, re.DOTALL)
    assert match is not None
    width, height, rest = int(match[1]), int(match[2]), match[3]
    image = Image.new("RGBA", (width, height))
    pixels = image.load()
    assert pixels is not None
    palette: dict[int, tuple[int, int, int, int]] = {}
    colour, x, top = 0, 0, 0
    at = 0
    for part in re.finditer(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|(\$)|(-)", rest):
        assert part.start() == at, f"no sixel: {rest[at : at + 20]!r}"
        at = part.end()
        if part[1]:
            red, green, blue = (round(int(part[index]) * 255 / 100) for index in (2, 3, 4))
            palette[int(part[1])] = (red, green, blue, 255)
        elif part[5]:
            colour = int(part[5])
        elif part[9]:
            x = 0
        elif part[10]:
            x, top = 0, top + 6
        else:
            count, char = (int(part[6]), part[7]) if part[6] else (1, part[8])
            code = ord(char) - 63
            for column in range(x, x + count):
                for bit in range(6):
                    if code >> bit & 1:
                        pixels[column, top + bit] = palette[colour]  # raises outside of the image
            x += count
    assert at == len(rest)
    return image
