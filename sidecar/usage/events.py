"""Server-sent events (WHATWG HTML, 9.2): only those that can name usage are looked at.

Text comes in pieces, cut at any byte. An event is held until the blank line behind it; one that has
no needle in it is never taken apart.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.usage.json_document import document_of
from sidecar.usage.tally import UsageTally, names_usage

MAX_EVENT: Final = 1024 * 1024 + 64 * 1024
"""Bytes of an event that is looked at: 1 MiB of data, and its other fields."""

MAX_MEMBERS: Final = 50_000
"""Commas and opening brackets of a document that is parsed in one go: up to 5 ms.

Those inside its strings do not count."""

_MOST_EVENTS: Final = 128
"""Events that are parsed of one piece: the last ones, which have the latest counts."""

_SURELY_FEW: Final = 64 * 1024
"""Bytes of a document that is parsed without a count of them."""

_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n?|\n)")


class EventReader:
    """Finds the events of a stream that name usage, and hands their data to a tally."""

    __slots__ = ("_pending", "_searched", "_skipping", "_tally")

    def __init__(self, tally: UsageTally) -> None:
        self._tally = tally
        self._pending = bytearray()
        self._searched = 0  # so much of it has no blank line in it
        self._skipping = False  # the rest of an event that is too long

    def feed(self, text: bytes) -> None:
        """Take the next part of the stream."""
        pending = self._pending
        pending += text
        if self._skipping:
            self._skip()
        cut = _behind_last_blank_line(pending, max(self._searched - 1, 0))
        if cut:
            region = bytes(pending[:cut])
            del pending[:cut]
            self._look(region)
        elif len(pending) > MAX_EVENT:
            self._skipping = self._tally.too_large = True
            del pending[:-1]
        self._searched = len(pending)

    def end(self) -> None:
        """Take what is left: the last event needs no line end behind it."""
        if not self._skipping:
            self._look(bytes(self._pending))
        self._pending.clear()

    def _skip(self) -> None:
        blank = _BLANK_LINE.search(self._pending)
        if blank is None:
            del self._pending[:-1]
        else:
            del self._pending[: blank.end()]
            self._skipping = False
        self._searched = 0

    def _look(self, region: bytes) -> None:
        tally = self._tally
        if not (
            names_usage(region, tally.needle, tally.follows)
            or (tally.wants_model and tally.model_needle in region)
        ):
            return
        naming: list[bytes] = []
        for event in _events_of(region):
            if names_usage(event, tally.needle, tally.follows):
                naming.append(event)
            elif tally.wants_model and tally.model_needle in event:
                take_document(tally, data_of(event))
        for event in naming[-_MOST_EVENTS:]:
            take_document(tally, data_of(event))


def take_document(tally: UsageTally, text: bytes) -> None:
    """Parse a document and hand it to the tally."""
    if len(text) > MAX_EVENT or is_dense(text):
        tally.too_large = True
        return
    try:
        document = document_of(text)
    except ValueError:
        tally.unreadable = True
        return
    tally.take(document)


def _events_of(region: bytes) -> list[bytes]:
    """Cut a region at its blank lines; without CR they are found much faster."""
    return _BLANK_LINE.split(region) if b"\r" in region else region.split(b"\n\n")


def data_of(event: bytes) -> bytes:
    """Return the data of an event: that of its `data` lines, a line end between two."""
    if event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event:
        return event[6:]
    found = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in event.splitlines()
        if line.startswith(b"data:")
    ]
    return found[0] if len(found) == 1 else b"\n".join(found)


def _behind_last_blank_line(text: bytearray, start: int) -> int:
    """Return where the text behind the last blank line begins, 0 where there is none.

    A blank line is two line ends in a row. The line feed of a third one may be left behind: it
    makes an empty event.
    """
    last = text.rfind(b"\n\n", start)
    if b"\r" in text:
        last = max(last, text.rfind(b"\r\r", start), text.rfind(b"\n\r", start))
    return last + 2 if last >= 0 else 0


def is_dense(text: bytes) -> bool:
    """Say whether a document has too many members to be parsed in one go.

    What is inside its strings is no member: a client may have a table of numbers in its text.
    """
    if len(text) <= _SURELY_FEW or _members_in(text) <= MAX_MEMBERS:
        return False
    text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if text.count(b'"') > MAX_MEMBERS:
        return True
    return _members_in(b"".join(text.split(b'"')[::2])) > MAX_MEMBERS


def _members_in(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")
