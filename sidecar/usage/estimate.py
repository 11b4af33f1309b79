"""What a call may cost, read from its body before it is answered. A body is data, never an error.

The text is the strings of the JSON, without their keys. What is not language does not count: data:
URLs and long base64. That needs no valid JSON, so a body that only the product can read has text.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Final

from sidecar.domain.usage import Estimate, HoldRule
from sidecar.policy.content_coding import TooLongError, UndecodableError, body_pieces
from sidecar.policy.json_pointer import JsonPointer, Missing, PointerResult
from sidecar.policy.json_reader import JsonReader
from sidecar.policy.json_short import ShortReader, parts_of
from sidecar.policy.json_text import PIECE, at_once, plain
from sidecar.usage.answer_format import KeyPath, count_of, model_of

SHORTEST_BLOB: Final = 256
"""Bytes of a string without spaces, all of them base64's, that is taken for no language."""

_LONGEST_HEADER: Final = 160
"""Bytes of a data: URL before its data."""

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
_ESCAPED: Final = re.compile(rb"\\[nr/]")
_DATA_URL: Final = re.compile(rb"\Adata:[^ ,]{0,140};base64,")
_MODEL: Final = JsonPointer.to("model")
_STREAM: Final = JsonPointer.to("stream")
_STREAM_OPTIONS: Final = JsonPointer.to("stream_options")


class Estimator:
    """Reads the bodies of a route's calls."""

    def __init__(
        self,
        hold: HoldRule | None,
        *,
        model: bool = True,
        choices: Sequence[KeyPath] = (),
        stream: bool = False,
    ) -> None:
        """Read what `hold` points at; `model`: and which model is asked for.

        `choices`: where the body says how many answers it asks for, each of that output. `stream`:
        look whether it asks for a stream.
        """
        self._model = model
        self._hold = hold
        self._stream = stream
        self._paths = () if hold is None else (*hold.pointers, *choices)
        pointers = [_MODEL, *(JsonPointer.to(*path) for path in self._paths)]
        if stream:
            pointers += [_STREAM, _STREAM_OPTIONS]
        self._reader = JsonReader(pointers)
        self._short = ShortReader(pointers)

    def short(self, body: bytes) -> Estimate | None:
        """Read a short body in one go, as `reading` does; None for one that is left to that."""
        return self._at_once(body) if len(body) <= PIECE else None

    def _at_once(self, body: bytes) -> Estimate | None:
        parts = parts_of(body)
        if parts is None:
            return None
        if not (self._model or self._paths or self._stream):
            return Estimate(text_of(parts), None, None)
        found = self._short.read_parts(body, parts)
        return None if found is None else self._estimate(text_of(parts), found)

    def read(self, body: bytes) -> Estimate:
        """Read a body in one go, where nothing else waits for it."""
        return at_once(self.reading(body))

    def reading(
        self, body: bytes, coding: str = "", limit: int = 1 << 20
    ) -> Generator[None, None, Estimate]:
        """Read a body in slices, with a yield between two.

        `coding`: its content coding, "" for none; `limit` bounds it once it is decoded, in bytes.
        """
        if not body:
            return Estimate(0, None, None)
        if not coding and (known := self._at_once(body)) is not None:
            return known
        text = RequestText()
        try:
            for piece in body_pieces(body, coding, limit):
                text.feed(piece.data)
                if not piece.last:
                    yield
            found = yield from self._reader.read(body_pieces(body, coding, limit))
        except (UndecodableError, TooLongError):
            return Estimate(text.end(), None, None)
        return self._estimate(text.end(), found)

    def _estimate(self, text_bytes: int, found: tuple[PointerResult, ...]) -> Estimate:
        """Say what the values at the pointers mean."""
        unasked = False
        if self._stream:
            unasked = found[-2] is True and isinstance(found[-1], Missing)
            found = found[:-2]
        return Estimate(text_bytes, self._output(found[1:]), model_of(found[0]), unasked)

    def _output(self, found: tuple[PointerResult, ...]) -> int | None:
        """Return the most tokens of output that a body announces, None where it names none."""
        hold = self._hold
        if hold is None:
            return None
        announced = _first_count(found[: len(hold.pointers)])
        choices = _most(found[len(hold.pointers) :])
        if choices <= 1:
            return announced
        return choices * (hold.default if announced is None else announced)


def text_of(parts: Sequence[bytes]) -> int:
    """Count the bytes of text in a whole JSON body, as `RequestText` does, from its `parts_of`."""
    total = 0
    for text, behind in zip(parts[1::2], parts[2::2], strict=True):
        if not behind.startswith(b":") and not behind.lstrip().startswith(b":"):
            size = len(text)
            total += 0 if size >= SHORTEST_BLOB and _is_blob(text) else size
    return total


def _is_blob(text: bytes) -> bool:
    """Say whether a string is a data: URL in base64, or base64 alone."""
    if b" " in text:
        return False
    text = _DATA_URL.sub(b"", text, count=1)
    if b"\\" in text:
        text = _ESCAPED.sub(b"", text)
    return not text.translate(None, _BASE64)


class RequestText:
    """Counts the bytes of text in a JSON body, piece by piece."""

    def __init__(self) -> None:
        self._total = 0
        self._rest = b""  # the end of the last piece, which the next one completes
        self._inside = False
        self._size = 0  # of the string that is open
        self._fresh = True  # nothing of it was seen yet
        self._blob = True  # nothing in it is language so far
        self._closed = 0  # the size of a string that may turn out to be a key

    def feed(self, piece: bytes) -> None:
        """Count the next piece."""
        data, hanging = plain(self._rest + piece)
        self._rest = hanging
        parts = data.split(b'"')
        last = len(parts) - 1
        for at, part in enumerate(parts):
            if not self._inside:
                self._between(part, opens=at < last)
                self._inside, self._fresh, self._size, self._blob = at < last, True, 0, True
            elif at == last and self._fresh and len(part) < _LONGEST_HEADER:
                self._rest = b'"' + part + hanging  # its header may be cut in two
                self._inside = False
            else:
                self._add(part)
                if at < last:
                    self._close()

    def end(self) -> int:
        """Return the count; a string that has no end counts."""
        open_size = self._size if self._inside else len(self._rest)
        return self._total + self._closed + open_size

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._fresh:
            part = _DATA_URL.sub(b"", part, count=1)
            self._fresh = False
        self._blob = self._blob and not _ESCAPED.sub(b"", part).translate(None, _BASE64)

    def _close(self) -> None:
        self._inside = False
        self._closed = 0 if self._blob and self._size >= SHORTEST_BLOB else self._size

    def _between(self, part: bytes, *, opens: bool) -> None:
        """Decide on the last string by what follows it, another one or a colon of a key."""
        text = part.lstrip()
        if text or opens:
            self._total += 0 if text.startswith(b":") else self._closed
            self._closed = 0


def _first_count(values: tuple[PointerResult, ...]) -> int | None:
    """Return the first whole number that is there."""
    return next((count for count in map(count_of, values) if count is not None), None)


def _most(values: tuple[PointerResult, ...]) -> int:
    """Return the largest whole number that is there, 1 where there is none."""
    return max((count for count in map(count_of, values) if count is not None), default=1)
