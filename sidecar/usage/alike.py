"""Events that differ from an earlier one in their text alone: known by their bytes, and not read.

Most events of a stream are. One that begins and ends as the earlier one did, with nothing but plain
text between, names no usage where that named none, and has its text in the same place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_PLAIN: Final = re.compile(rb'[^"\\\r\n]*')
_NOISE: Final = b'"obfuscation":"'
"""OpenAI pads its events behind this key, so that their sizes say nothing of their text."""


class AlikeEvents:
    """What such events begin with, have in their middle, and end with."""

    __slots__ = ("_before", "_end", "_end_size", "_middle", "_start", "_text")

    def __init__(self, before: bytes, middle: bytes, end: bytes, start: int) -> None:
        """Know events that begin at `start` of their data; `middle` is between text and noise."""
        self._before = before
        self._middle = middle
        self._end = end
        self._end_size = len(end)
        self._start = start
        self._text = start + len(before)

    def text_in(self, data: bytes) -> int:
        """Count the bytes of text in data that is one such event; -1 for any other data."""
        if not (data.startswith(self._before, self._start) and data.endswith(self._end)):
            return -1
        text, end = self._text, len(data) - self._end_size
        if self._middle:
            behind = data.find(b'"', text)
            if not data.startswith(self._middle, behind):
                return -1
            if not _PLAIN.fullmatch(data, behind + len(self._middle), end):
                return -1
            end = behind
        return end - text if _PLAIN.fullmatch(data, text, end) else -1


def alike(event: bytes, needles: Sequence[bytes], start: int, closing: bytes) -> AlikeEvents | None:
    """Return how to know events like this one, which names no usage; None where that is not clear.

    `needles`: the keys of text, with the quotation mark that opens it. The event's data has `start`
    bytes before it and `closing` behind it.
    """
    if b"\\" in event or b"\r" in event or event.find(b"\n\n") != len(event) - 2:
        return None
    text = -1
    for needle in needles:
        for form in (needle, needle[:-1] + b' "'):
            at = event.find(form)
            if at < 0:
                continue
            if text >= 0 or event.find(form, at + 1) >= 0:
                return None  # text in two places
            text = at + len(form)
    behind = event.find(b'"', text) if text >= 0 else -1
    if behind < 0:
        return None
    middle, end = b"", event[behind:]
    noise = end.find(_NOISE) + len(_NOISE)
    if noise >= len(_NOISE):
        after = end.find(b'"', noise)
        if after < 0:
            return None
        middle, end = end[:noise], end[after:]
    return AlikeEvents(event[:text], middle, end + closing, start)
