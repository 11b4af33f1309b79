"""Events that differ from an earlier one in their text alone: known by their bytes, and not read.

Most events of a stream are. One that begins and ends as the earlier one did, with nothing but plain
text between, names no usage where that named none, and has its text in the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST: Final = 512
"""Bytes of an event that others may be like: sixteen of them are kept."""

_NOISE: Final = b'"obfuscation":"'
"""OpenAI pads its events behind this key, so that their sizes say nothing of their text."""


class AlikeEvents:
    """What such events begin with, have in their middle, and end with.

    Data that begins with `before` at `start`, and ends with `end`, is likely one of them.
    """

    __slots__ = ("_middle", "before", "end", "start")

    def __init__(self, before: bytes, middle: bytes, end: bytes, start: int) -> None:
        """Know events that begin at `start` of their data; `middle` is between text and noise."""
        self.before = before
        self._middle = middle
        self.end = end
        self.start = start

    def text_in(self, parts: Sequence[bytes]) -> int:
        """Count the bytes of text in likely ones; -1 where one of them is another event after all.

        With quotation marks or an escape in its text, it counts as another.
        """
        text, behind = self.start + len(self.before), -len(self.end)
        lines = b"\n".join([part[text:behind] for part in parts])
        each = 1
        if self._middle:
            lines = b"\n".join(lines.split(self._middle))  # faster than to replace it
            each = 2
        if b'"' in lines or b"\\" in lines or b"\r" in lines:
            return -1
        texts = lines.split(b"\n")
        return sum(map(len, texts[::each])) if len(texts) == each * len(parts) else -1


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
    if len(event) > LONGEST:
        return None
    return AlikeEvents(event[:text], middle, end + closing, start)
