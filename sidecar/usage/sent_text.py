"""Counts the bytes of text that an answer brings its client, for the estimate of a missing usage.

It finds the strings behind the format's keys by their bytes alone, all of a piece at once. They may
be cut in two by the end of a piece. An escape counts about as much as the character it stands for.
"""

from __future__ import annotations

from sidecar.policy.json_text import plain


class SentText:
    """The count for one answer."""

    __slots__ = ("_inside", "_overlap", "_rest", "needles", "total")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.needles = needles_of(keys)
        self._overlap = max(len(needle) for needle in self.needles) + 1
        self._rest = b""  # the end of the last piece, which the next one may complete
        self._inside = False  # in a string that goes on in the next piece
        self.total = 0

    def feed(self, text: bytes) -> None:
        """Count the next piece."""
        data, hanging = plain(self._rest + text)
        if b'": "' in data:
            data = data.replace(b'": "', b'":"')
        end = 0
        if self._inside:
            close = data.find(b'"')
            if close < 0:
                self.total += len(data)
                self._rest = hanging
                return
            self.total += close
            self._inside = False
            end = close + 1
        start = end
        for needle in self.needles:
            if needle in data:
                end = max(end, self._count(data, needle, start))
        if not self._inside:
            hanging = data[max(end, len(data) - self._overlap) :] + hanging
        self._rest = hanging

    def _count(self, data: bytes, needle: bytes, start: int) -> int:
        """Count the strings behind one key; return where the last one ends."""
        last = start
        at = data.find(needle, start)
        while at >= 0:
            at += len(needle)
            last = data.find(b'"', at)
            if last < 0:
                self._inside = True
                self.total += len(data) - at
                return len(data)
            self.total += last - at
            last += 1
            at = data.find(needle, last)
        return last


def needles_of(keys: tuple[str, ...]) -> list[bytes]:
    """Return keys as they are written, up to the text behind them."""
    return [f'"{key}":"'.encode() for key in keys]
