"""Takes a terminal's replies out of what comes from it.

A terminal answers questions about its colours, its name or its graphics, often late and to whoever reads then. Textual
knows few of these answers and would hand the rest on as typed letters.

Dropped are strings (OSC, DCS, APC, and those titles, PM and SOS that have their end) and reports (CSI with `?`, `>` or
`=`, states, window sizes), in their 7-bit form behind ESC and in their 8-bit form, U+0080 to U+009F, which no key
sends. Text between the marks of a paste is left alone.

A reply may come in pieces with pauses between. What began as nothing that is typed is waited for, and dropped with its
rest. What may be typed too (alt+], alt+[, alt+X, esc and a bracket) is handed on after a moment; if then the rest of a
reply comes in one piece with its end, only that is dropped. Kept as typing is what cannot be told from it: an ESC that
came alone, which is the key; a rest that comes later than `MAX_PAUSE_SECONDS` in several pieces, or is a single letter.
"""

from __future__ import annotations

import re
import time

MAX_PAUSE_SECONDS = 1.0
"""Seconds after which the rest of a reply does not come any more, unless in one piece with its end."""

HOLD_SECONDS = 0.1
"""Seconds that the beginning of what may be a reply, or typing, is held back."""

_PASTE, _PASTE_END = "\x1b[200~", "\x1b[201~"
_END = r"(?:\x07|\x1b\\|\x9c)"
_TEXT = r"[^\x00-\x1f\x9c]*"
# What a string begins with that nobody types. Behind ESC, the same letters are keys with alt.
_STRING = r"(?:[\x90\x98\x9d\x9e\x9f]|\x1b(?:\](?=\d{1,4}[;\x07\x1b\x9c])|P(?=[0-9>!$+|])|_(?=G)))"
# Titles, PM, SOS: typing, unless their end comes too.
_PERHAPS = r"\x1b(?:\][lL]|[X^])"
_CSI = r"(?:\x1b\[|\x9b)"
# Attributes, states, window sizes, the keyboard's flags; 48 is a change of size, which Textual takes.
_REPORT = rf"{_CSI}(?:[?>=][\d;]*[cnuRS]|\d+n|(?!48;)\d+(?:;\d+)+t)"

_INTRODUCER = re.compile(r"[\x1b\x90\x98\x9b\x9d\x9e\x9f]")
_REPLY = re.compile(rf"(?:{_STRING}|{_PERHAPS}){_TEXT}{_END}|{_REPORT}")
# Keys, the mouse, states that Textual asks for.
_SEQUENCE = re.compile(rf"{_CSI}(?:[\d;:]*[ -/]*[@-~]|<[\d;]*[Mm]|\?[\d;]*\$y)")
_UNENDED = re.compile(rf"{_STRING}{_TEXT}")
_UNENDED_SEQUENCE = re.compile(r"(?:\x9b|\x1b\[(?=[<?>=]\d|\d+;))[<?>=]?[\d;:]*\$?")
_MAY_BEGIN = re.compile(rf"\x1b(?:\]\d{{0,4}}|[P_]|\[[<?>=]?\d*)?|{_PERHAPS}{_TEXT}\x1b?")
_REST_OF_STRING = re.compile(rf"{_TEXT}{_END}")
_REST_OF_SEQUENCE = re.compile(r"[<?>=]?[\d;:]+\$?[@-~]")

_OPEN_STRING = "\x9d"
"""Stands for a string of any kind whose end has not come."""


class Replies:
    """Knows how far a reply has come, which may be cut anywhere.

    Args:
        alone: Seconds after which an ESC is the key; 0 hands it on at once.
    """

    def __init__(self, alone: float = 0.0) -> None:
        self._alone = alone
        self._held = ""
        """The beginning of what may be a reply."""
        self._late = ""
        """Such a beginning whose rest did not come in time."""
        self._pasting = False
        self._began = self._since = 0.0

    @property
    def deadline(self) -> float:
        """When `expired` is to be asked, on the monotonic clock; infinity where nothing is held."""
        if not self._held or self._pasting:  # The end of a paste comes.
            return float("inf")
        if self._held == "\x1b":
            return self._since + self._alone
        if _is_no_typing(self._held):
            return self._since + MAX_PAUSE_SECONDS
        return min(self._since + HOLD_SECONDS, self._began + MAX_PAUSE_SECONDS)

    @property
    def is_key(self) -> bool:
        """Whether an ESC has been alone for long enough to be the key."""
        return self._held == "\x1b" and time.monotonic() >= self.deadline

    def expired(self) -> str:
        """What was held back too long and may have been typed."""
        if time.monotonic() < self.deadline:
            return ""
        held, self._held, self._late = self._held, "", self._held
        if not _is_no_typing(held):
            return held
        if held[0] == _OPEN_STRING and held[-1] == "\x1b":  # The end of the string, or the key.
            self._late = ""
            return "\x1b"
        return ""

    def without(self, data: str) -> str:
        """The data without replies."""
        before = self.expired() if _is_no_typing(self._held) else ""
        if self._late:
            data = _without_rest(self._late, data)
            self._late = ""
        self._since = time.monotonic()
        if not self._held:
            self._began = self._since
        text, self._held = before + self._held + data, ""
        kept = ""
        while text:
            if self._pasting:
                paste, end, text = text.partition(_PASTE_END)
                self._pasting = not end
                kept += paste + end
                if self._pasting:
                    self._hold_end_of_paste(kept)
                    kept = kept.removesuffix(self._held)
                continue
            match = _INTRODUCER.search(text)
            if match is None:
                return kept + text
            kept, text = kept + text[: match.start()], text[match.start() :]
            if text.startswith(_PASTE):
                self._pasting = True
                kept, text = kept + _PASTE, text.removeprefix(_PASTE)
            elif match := _REPLY.match(text):
                text = text[match.end() :]
            elif match := _SEQUENCE.match(text):
                kept, text = kept + match[0].replace("\x9b", "\x1b["), text[match.end() :]
            elif self._holds(text):
                break
            elif match := _UNENDED.match(text) or _UNENDED_SEQUENCE.match(text):
                text = text[match.end() :]
            else:
                kept, text = kept + text[0], text[1:]
        return kept

    def _holds(self, text: str) -> bool:
        """Holds the text back where it may be the beginning of a reply."""
        if (match := _UNENDED.match(text)) and text[match.end() :] in ("", "\x1b"):
            self._held = _OPEN_STRING + text[match.end() :]
        elif _UNENDED_SEQUENCE.fullmatch(text) or (_MAY_BEGIN.fullmatch(text) and (text != "\x1b" or self._alone)):
            self._held = text
        elif text == "\x1b":
            self._late = text
        return bool(self._held)

    def _hold_end_of_paste(self, text: str) -> None:
        sizes = range(len(_PASTE_END) - 1, 0, -1)
        self._held = next((_PASTE_END[:size] for size in sizes if text.endswith(_PASTE_END[:size])), "")


def _is_no_typing(held: str) -> bool:
    return bool(_UNENDED.match(held) or _UNENDED_SEQUENCE.match(held))


def _without_rest(late: str, data: str) -> str:
    """The data without the rest of a reply at their beginning; a single letter is none."""
    if _is_no_typing(late):
        match = (_REST_OF_STRING if late[0] == _OPEN_STRING else _REST_OF_SEQUENCE).match(data)
        end = match.end() if match else 0
    else:
        match = _REPLY.match(late + data)
        end = match.end() - len(late) if match else 0
        # Behind the key ESC, keys that are typed quickly look like a sequence of figures.
        if late == "\x1b" and data[:1] == "[" and data[1:2] not in ("?", ">", "="):
            end = 0
    return data[end:] if end > 1 or data[:1] == "\x9c" else data
