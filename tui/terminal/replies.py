"""Removes a terminal's replies from its input.

A terminal answers queries about its colours, its name or its graphics, often late, so that another program receives the
answer. Textual knows few of these replies and would treat the others as typed letters.

Removed are strings (OSC, DCS, APC, and complete titles, PM and SOS) and reports (CSI with `?`, `>` or `=`, states,
window sizes), in their 7-bit form after ESC and in their 8-bit form, U+0080 to U+009F, which no key sends. Pasted text
is left unchanged.

A reply may come in pieces with pauses between them. A beginning that nobody types is held back until its rest comes,
and both are removed. A beginning that can also be typed (alt+], alt+[, alt+X, esc and a bracket) is passed on after a
moment; if the rest of a reply comes later in one piece with its end, only that rest is removed. Input that could as
well be typed is kept: a lone ESC, which is the key; a rest that comes in several pieces later than `MAX_PAUSE_SECONDS`,
or that is a single letter.
"""

from __future__ import annotations

import re
import time

MAX_PAUSE_SECONDS = 1.0
"""Seconds after which the rest of a reply is only recognised if it comes in one piece with its end."""

HOLD_SECONDS = 0.1
"""Seconds for which a beginning that may be a reply or typed keys is held back."""

_PASTE, _PASTE_END = "\x1b[200~", "\x1b[201~"
_END = r"(?:\x07|\x1b\\|\x9c)"
_TEXT = r"[^\x00-\x1f\x9c]*"
# The beginnings of strings that nobody types; without these digits or marks, ESC and the letter are a key with alt.
_STRING = r"(?:[\x90\x98\x9d\x9e\x9f]|\x1b(?:\](?=\d{1,4}[;\x07\x1b\x9c])|P(?=[0-9>!$+|])|_(?=G)))"
# Titles, PM, SOS: typed keys, unless their end comes, too.
_PERHAPS = r"\x1b(?:\][lL]|[X^])"
_CSI = r"(?:\x1b\[|\x9b)"
# Attributes, states, window sizes, keyboard flags; 48 is a change of size, which Textual handles.
_REPORT = rf"{_CSI}(?:[?>=][\d;]*[cnuRS]|\d+n|(?!48;)\d+(?:;\d+)+t)"

_INTRODUCER = re.compile(r"[\x1b\x90\x98\x9b\x9d\x9e\x9f]")
_REPLY = re.compile(rf"(?:{_STRING}|{_PERHAPS}){_TEXT}{_END}|{_REPORT}")
# Keys, the mouse, and states that Textual queries.
_SEQUENCE = re.compile(rf"{_CSI}(?:[\d;:]*[ -/]*[@-~]|<[\d;]*[Mm]|\?[\d;]*\$y)")
_UNENDED = re.compile(rf"{_STRING}{_TEXT}")
_UNENDED_SEQUENCE = re.compile(r"(?:\x9b|\x1b\[(?=[<?>=]\d|\d+;))[<?>=]?[\d;:]*\$?")
_MAY_BEGIN = re.compile(rf"\x1b(?:\]\d{{0,4}}|[P_]|\[[<?>=]?\d*)?|{_PERHAPS}{_TEXT}\x1b?")
_REST_OF_STRING = re.compile(rf"{_TEXT}{_END}")
_REST_OF_SEQUENCE = re.compile(r"[<?>=]?[\d;:]+\$?[@-~]")

_OPEN_STRING = "\x9d"
"""Represents an open string of any kind."""


class Replies:
    """Removes replies from input that may be cut at any point.

    Args:
        alone: Seconds after which a lone ESC counts as the key; 0 passes it on immediately.
    """

    def __init__(self, alone: float = 0.0) -> None:
        self._alone = alone
        self._held = ""
        """Input that may be the beginning of a reply."""
        self._late = ""
        """A beginning that was passed on because its rest did not come in time."""
        self._pasting = False
        self._began = self._since = 0.0

    @property
    def deadline(self) -> float:
        """When to call `expired`, on the monotonic clock; infinity if nothing is held back."""
        if not self._held or self._pasting:  # A paste is held until its end comes.
            return float("inf")
        if self._held == "\x1b":
            return self._since + self._alone
        if _is_no_typing(self._held):
            return self._since + MAX_PAUSE_SECONDS
        return min(self._since + HOLD_SECONDS, self._began + MAX_PAUSE_SECONDS)

    @property
    def is_key(self) -> bool:
        """Whether a lone ESC has waited long enough to count as the key."""
        return self._held == "\x1b" and time.monotonic() >= self.deadline

    def expired(self) -> str:
        """Returns input that was held back too long, because it may have been typed."""
        if time.monotonic() < self.deadline:
            return ""
        held, self._held, self._late = self._held, "", self._held
        if not _is_no_typing(held):
            return held
        if held[0] == _OPEN_STRING and held[-1] == "\x1b":  # the start of the string's end, or the key
            self._late = ""
            return "\x1b"
        return ""

    def without(self, data: str) -> str:
        """Returns the data without replies; may hold a part back for later."""
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
        """Holds the text back if it may be the beginning of a reply; returns whether it does."""
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
    """The data without the rest of a reply at the start; a single letter does not count as a rest."""
    if _is_no_typing(late):
        match = (_REST_OF_STRING if late[0] == _OPEN_STRING else _REST_OF_SEQUENCE).match(data)
        end = match.end() if match else 0
    else:
        match = _REPLY.match(late + data)
        end = match.end() - len(late) if match else 0
        # After the ESC key, keys that are typed quickly look like a sequence of digits.
        if late == "\x1b" and data[:1] == "[" and data[1:2] not in ("?", ">", "="):
            end = 0
    return data[end:] if end > 1 or data[:1] == "\x9c" else data
