"""Where a body ends, and which of its bytes may be passed on as they came.

Chunked bodies are checked and passed on without being framed again: the bytes of a clean run of
chunks go out as the slice they came in. Only what is odd but legal (an extension, a size with
leading zeros) is written again. Pure: bytes in, bytes out, whatever packets they came in.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Protocol

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED, FOLDED, UNTIL_CLOSE
from sidecar.http1.lines import Field, read_field

_HEX: Final = b"0123456789abcdefABCDEF"
_MAX_SIZE_DIGITS: Final = 15
_MAX_SIZE_LINE: Final = 256
_MAX_EXTENSIONS: Final = 16 * 1024
_MAX_TRAILERS: Final = 8 * 1024
_CHUNKS_AT_ONCE: Final = 256
_KNOWN_AT_ONCE: Final = 4096
_LINES_KEPT: Final = 8192

_known: dict[bytes, int] = {}
"""Plain size lines that were read before, and how far behind each its chunk's CRLF begins.

No line is `0`.
"""

_known_next: dict[bytes, int] = {}
"""The same lines with the CRLF of the chunk before them.

A table of its own: a CRLF that is missing may leave a line that is as wide and known by itself.
"""

_NAME: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSIONS_LINE: Final = re.compile(
    rb"(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)+" % (_NAME, _NAME, _QUOTED)
)
"""What may follow a chunk's size (RFC 9112, 7.1.1), with quoted strings (RFC 9110, 5.6.4)."""


class BodyFraming(Protocol):
    """The rest of one message, fed as it arrives."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the bytes to pass on and the bytes after the body; ProtocolError if broken."""


class CountedBody:
    """A body of a known length."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Pass on at most what is left; the whole of `data` without a copy where it fits."""
        left = self.left
        size = len(data)
        if size < left:
            self.left = left - size
            return data, b""
        self.left = 0
        self.done = True
        if size == left:
            return data, b""
        return data[:left], data[left:]


class UntilCloseBody:
    """A response body that ends with its connection (RFC 9112, 6.3)."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Pass on everything."""
        return data, b""


class _At(Enum):
    SIZE = "size line"
    DATA = "data"
    TRAILER = "trailer"


class ChunkedBody:
    """A chunked body (RFC 9112, 7.1), passed on as chunks, or as plain data with `decode`.

    The last chunk and the trailer fields are not passed on: `trailers` has what may be (no framing,
    routing or identity fields), and `last_chunk()` writes both again.

    `bounded`: one `feed` looks at no more than 256 chunks one by one, and passes over no more than
    4,096 of known sizes (0.5 ms each). It returns what is left over, which is to be fed again,
    while `done` is false.
    """

    __slots__ = ("_at", "_bounded", "_decode", "_extensions", "_left", "_partial", "_trailer_size",
                 "done", "trailers")  # fmt: skip

    def __init__(self, *, decode: bool = False, bounded: bool = False) -> None:
        self.done = False
        self._bounded = bounded
        self.trailers: list[Field] = []
        self._decode = decode
        self._at = _At.SIZE
        self._left = 0
        self._partial = b""
        self._extensions = 0
        self._trailer_size = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Check `data` and pass on its whole chunks and the known part of an open one."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        elif self._at is _At.SIZE and _is_one_chunk(data):
            return (data[data.index(b"\n") + 1 : -2] if self._decode else data), b""
        out: list[bytes] = []
        size = len(data)
        decode = self._decode
        bounded = self._bounded
        start = position = 0  # data[start:position] is a clean run, not yet in `out`
        chunks = _CHUNKS_AT_ONCE if bounded else size
        known = not decode
        while True:
            if self._at is _At.DATA:
                end = position + self._left
                if size < end + 2:  # the chunk, or its CRLF, is not all there
                    taken = min(size, end)
                    self._left = end - taken
                    if size > end and data[end] != 0x0D:
                        raise ProtocolError("a chunk is longer than its size says")
                    self._partial = data[taken:]
                    out.append(data[position:taken] if decode else data[start:taken])
                    break
                if data[end : end + 2] != b"\r\n":
                    raise ProtocolError("a chunk is longer than its size says")
                if decode:
                    out.append(data[position:end])
                position = end + 2
                self._at = _At.SIZE
            if self._at is _At.TRAILER:
                if self.done:
                    return b"", data
                rest = self._feed_trailer(data[position:])
                return b"".join(out), rest
            if known:
                position = _past_known_chunks(data, position, _KNOWN_AT_ONCE if bounded else size)
                known = not bounded
                if position == size:
                    out.append(data[start:] if start else data)  # compiled, any slice is a copy
                    break
            if not chunks:
                out.append(b"" if decode else data[start:position])
                return b"".join(out), data[position:]
            chunks -= 1
            line_end = data.find(b"\r\n", position)
            if line_end < 0:
                self._partial = data[position:]
                _check_partial(self._partial)
                if not decode:
                    out.append(data[start:position])
                break
            line = data[position:line_end]
            if line and len(line) <= _MAX_SIZE_DIGITS and not line.translate(None, _HEX):
                self._left = int(line, 16)
                clean = line[0] != 0x30
                if clean:
                    _learn(line + b"\r\n", self._left)
            else:
                self._left = self._size_with_extension(line)
                clean = False
            if self._left == 0:
                if not decode:
                    out.append(data[start:position])
                position = line_end + 2
                self._at = _At.TRAILER
                continue
            if not clean and not decode:
                out.append(data[start:position])
                out.append(b"%x\r\n" % self._left)
                start = line_end + 2
            position = line_end + 2
            self._at = _At.DATA
        return (out[0] if len(out) == 1 else b"".join(out)), b""

    @property
    def between_chunks(self) -> bool:
        """Whether what was passed on so far is whole chunks, and not yet all of them."""
        return self._at is _At.SIZE

    def last_chunk(self) -> bytes:
        """Return the end of the body: the last chunk and the trailers that may be passed on."""
        if not self.trailers:
            return b"0\r\n\r\n"
        fields = b"".join(b"%b: %b\r\n" % field for field in self.trailers)
        return b"0\r\n%b\r\n" % fields

    def _size_with_extension(self, line: bytes) -> int:
        """Read a size line; what follows the size is checked and dropped, as RFC 9112 allows."""
        digits = _size_in(line)
        extensions = line[len(digits) :]
        if not digits or len(digits) > _MAX_SIZE_DIGITS or len(line) > _MAX_SIZE_LINE:
            raise ProtocolError("a chunk's size is not a hexadecimal number")
        if extensions:
            if not _EXTENSIONS_LINE.fullmatch(extensions):
                raise ProtocolError("a chunk extension is not `;name` or `;name=value`")
            self._extensions += len(extensions) - 1
            if self._extensions > _MAX_EXTENSIONS:
                raise ProtocolError("too many chunk extensions")
        return int(digits, 16)

    def _feed_trailer(self, data: bytes) -> bytes:
        """Take the trailer section; return what follows the message."""
        position = 0
        while True:
            line_end = data.find(b"\r\n", position)
            if line_end < 0:
                self._partial = data[position:]
                line = self._partial.removesuffix(b"\r")
                if self._trailer_size + len(line) > _MAX_TRAILERS:
                    raise ProtocolError("the trailer section is too large", 431)
                _check_line_ends(self._partial)
                return b""
            line = data[position:line_end]
            position = line_end + 2
            if not line:
                self.done = True
                return data[position:]
            self._trailer_size += len(line) + 2
            if self._trailer_size > _MAX_TRAILERS:
                raise ProtocolError("the trailer section is too large", 431)
            field = read_field(line)
            if is_safe_trailer(field[0]):
                self.trailers.append(field)


def _is_one_chunk(data: bytes) -> bool:
    """Say whether `data` is one whole chunk of a known size: most events are."""
    line_end = data.find(b"\n", 0, _MAX_SIZE_DIGITS + 2)
    return _known.get(data[: line_end + 1]) == len(data) - 2 and data.endswith(b"\r\n")


def _past_known_chunks(data: bytes, position: int, most: int) -> int:
    """Return where whole chunks of known sizes from `position` on end, after `most` at the latest.

    From size line to size line is one look into a table. The CRLF before a line is part of what is
    looked up, as is that behind it, so that each chunk is as long as its line says.
    """
    size = len(data)
    while position < size:
        line = _size_line(data, position)
        step = _known.get(line)
        if step is None:
            return position
        start = position
        position += step
        width = len(line) + 2
        for count in range(most):  # noqa: B007 - a fifth faster than to count down
            line = data[position : position + width]
            step = _known_next.get(line)
            if step is None:  # the end of the data, a line of another width, or one that is odd
                break
            start = position + 2
            position += step
        else:
            return start
        most -= count + 1
        if line[:2] != b"\r\n":
            return start
        position += 2
    return position


def known_chunks(data: bytes) -> list[bytes]:
    """Return the whole chunks that `data` is made of; none unless all are of known sizes."""
    chunks: list[bytes] = []
    size = len(data)
    position = 0
    while position < size:
        step = _known.get(_size_line(data, position))
        if step is None:
            return []
        chunk = data[position : position + step + 2]
        if len(chunk) != step + 2 or not chunk.endswith(b"\r\n"):
            return []
        chunks.append(chunk)
        position += step + 2
    return chunks


def _size_line(data: bytes, position: int) -> bytes:
    """Return the size line at a position, with its line end; nothing where it has none."""
    end = data.find(b"\n", position, position + _MAX_SIZE_DIGITS + 2)
    return data[position : end + 1] if end >= 0 else b""  # compiled, [3:0] is a SystemError


def _learn(line: bytes, size: int) -> None:
    """Know chunks of this size line by the line alone."""
    if len(_known) >= _LINES_KEPT:
        _known.clear()
        _known_next.clear()
    step = len(line) + size
    _known[line] = step
    _known_next[b"\r\n" + line] = step + 2


def is_safe_trailer(name: bytes) -> bool:
    """Say whether a trailer field may be passed on (RFC 9110, 6.5.1); unknown means yes."""
    plain = name.translate(FOLDED)
    return not (b"_" in name or plain in _RULING_TRAILERS or plain.startswith(_RULING_PREFIXES))


_RULING_PREFIXES: Final = (
    b"x-bb-", b"x-forwarded", b"content-", b"access-control-", b"if-", b"proxy-", b"sec-",
    b"x-accel-", b"ratelimit", b"x-quota-", b"x-original-", b"x-rewrite-", b"x-http-method",
    b"x-method-",
)  # fmt: skip
_RULING_TRAILERS: Final = frozenset(
    {
        b"api-key", b"authorization", b"cache-control", b"cf-connecting-ip", b"client-ip",
        b"connection", b"cookie", b"date", b"expect", b"expires", b"forwarded", b"host",
        b"keep-alive", b"location", b"max-forwards", b"origin", b"pragma", b"range", b"referer",
        b"retry-after", b"set-cookie", b"te", b"trailer", b"transfer-encoding", b"true-client-ip",
        b"upgrade", b"vary", b"via", b"warning", b"www-authenticate", b"x-api-key", b"x-client-ip",
        b"x-cluster-client-ip", b"x-real-ip", b"x-request-id",
    }
)  # fmt: skip


def _check_partial(partial: bytes) -> None:
    """Refuse a size line that can no longer become a good one, before its end has come."""
    line = partial.removesuffix(b"\r")
    if len(line) > _MAX_SIZE_LINE:
        raise ProtocolError("a chunk's size line is too long")
    _check_line_ends(partial)
    digits = _size_in(line)
    behind = line[len(digits) :].lstrip(b" \t")
    if len(digits) > _MAX_SIZE_DIGITS or (not digits and line) or behind[:1] not in {b"", b";"}:
        raise ProtocolError("a chunk's size is not a hexadecimal number")


def _check_line_ends(partial: bytes) -> None:
    if b"\n" in partial or b"\r" in partial[:-1]:
        raise ProtocolError("a line ends in a bare CR or LF")


def _size_in(line: bytes) -> bytes:
    """Return the hexadecimal digits that a size line begins with."""
    return line[: len(line) - len(line.lstrip(_HEX))]


def body_of(length: int, *, decode: bool = False) -> BodyFraming:
    """Return the reader for a body whose head said `length`."""
    if length == CHUNKED:
        return ChunkedBody(decode=decode)
    if length == UNTIL_CLOSE:
        return UntilCloseBody()
    return CountedBody(length)
