"""Takes a terminal's replies out of what comes from it.

A terminal answers questions about its colours, its name or its graphics, often late and to whoever reads then. Textual
knows few of these answers and would hand the rest on as typed letters.
"""

from __future__ import annotations

import re
import time

LONGEST_PAUSE = 1.0
"""Seconds after which the rest of a reply does not come any more: what comes then is typed."""

HELD = 0.1
"""Seconds that the beginning of what may be a reply is held back."""

# The strings of ECMA-48 that terminals answer with: OSC (colours, clipboard), DCS (name, capabilities), APC (graphics).
_STRING = re.compile(r"\x1b(?:\](?=\d{1,4}[;\x07\x1b])|P(?=[0-9>!$+|])|_(?=G))")
_END = re.compile(r"[\x00-\x1f]")
# Attributes, states, window sizes, the keyboard's flags; 48 is a change of size, which Textual takes.
_SEQUENCE = re.compile(r"\x1b\[(?:[?>=][\d;]*[cnuRS]|\d+n|(?!48;)\d+(?:;\d+)+t)")
_BEGINNING = re.compile(r"\x1b(?:\]\d{0,4}|P|_|\[[?>=]?[\d;]*\$?)$")
# The rest of a reply whose ESC came alone, and was taken for the key.
_WITHOUT_ESC = re.compile(r"(?:\]\d{1,4};|P[0-9>!$+|]|_G)[^\x00-\x1f]*(?:\x07|\x1b\\)|\[[?>=][\d;]*[cnuRS]")


class Replies:
    """Knows how far a reply has come, which may be cut anywhere."""

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._after_escape = False
        self._since = 0.0

    @property
    def deadline(self) -> float:
        """When `expired` has something, on the monotonic clock; infinity where nothing is held."""
        return self._since + HELD if self._held else float("inf")

    def expired(self) -> str:
        """What was held back too long: it was typed."""
        if time.monotonic() < self.deadline:
            return ""
        held, self._held, self._inside = self._held, "", False
        return held

    def without(self, data: str) -> str:
        """The data without replies."""
        now = time.monotonic()
        if self._inside and now > self._since + LONGEST_PAUSE:
            self._inside = False
        self._since = now
        data, self._held = self._held + data, ""
        if self._after_escape and (match := _WITHOUT_ESC.match(data)):
            data = data[match.end() :]
        kept = ""
        while data:
            if self._inside:
                data = self._rest_of_string(data)
            elif match := _STRING.search(data):
                kept += data[: match.start()]
                data, self._inside = data[match.end() :], True
            else:
                kept, data = kept + data, ""
        kept = _SEQUENCE.sub("", kept)
        if not self._inside and (match := _BEGINNING.search(kept)):
            kept, self._held = kept[: match.start()], match[0]
        self._after_escape = kept.endswith("\x1b")
        return kept

    def _rest_of_string(self, data: str) -> str:
        """What comes behind the string; nothing where its end has not come."""
        end = _END.search(data)
        if end is None:
            return ""
        at = end.start()
        if data[at] == "\x1b":
            if at + 1 == len(data):
                self._held = "\x1b"
                return ""
            self._inside = False
            return data[at + 2 :] if data[at + 1] == "\\" else data[at:]
        self._inside = False
        return data[at + 1 :] if data[at] == "\x07" else data[at:]
