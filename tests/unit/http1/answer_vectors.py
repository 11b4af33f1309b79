"""Whole answers as bytes, and how each ends: conformance families 14 to 17."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.http1.errors import PeerFailure

OK: Final = b"HTTP/1.1 200 OK\r\n"
HELLO: Final = OK + b"Content-Length: 5\r\n\r\nhello"


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes of a server to one request, then perhaps the end of its stream.

    `failure` None: the answer is whole. `kept`: the connection takes another request.
    """

    data: bytes
    content: bytes = b""
    kept: bool = False
    failure: PeerFailure | None = None
    method: str = "GET"
    closes: bool = False
    interim: tuple[int, ...] = ()


_CHUNKS: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
_BROKEN: Final = PeerFailure.PROTOCOL
_CUT: Final = PeerFailure.CUT_OFF
_EARLY: Final = PeerFailure.CLOSED_EARLY


def _headed(status: bytes, *lines: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


WHOLE: Final = {
    "counted": Answer(HELLO, b"hello", kept=True),
    "counted, nothing": Answer(OK + b"Content-Length: 0\r\n\r\n", kept=True),
    "chunked": Answer(_CHUNKS + b"0\r\n\r\n", b"5\r\nhello\r\n", kept=True),
    "chunked with trailers": Answer(_CHUNKS + b"0\r\nX: y\r\n\r\n", b"5\r\nhello\r\n", kept=True),
    "until close": Answer(OK + b"\r\nhello", b"hello", closes=True),
    "until close, nothing": Answer(OK + b"\r\n", closes=True),
    "until close, asked to be kept": Answer(
        OK + b"Connection: keep-alive\r\n\r\nhello", b"hello", closes=True
    ),
    "1.0": Answer(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "1.0 kept alive": Answer(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        kept=True,
    ),
    "to be closed": Answer(OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "to be closed, chunked": Answer(
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n",
    ),
    "no content": Answer(_headed(b"204 No Content"), kept=True),
    "not modified": Answer(_headed(b"304 Not Modified"), kept=True),
    "not modified, with a length": Answer(_headed(b"304 Not Modified", b"Content-Length: 5")),
    "to a HEAD": Answer(_headed(b"200 OK", b"Content-Length: 5"), method="HEAD"),
    "to a HEAD, of nothing": Answer(
        _headed(b"200 OK", b"Content-Length: 0"), kept=True, method="HEAD"
    ),
    "to a HEAD, without length": Answer(_headed(b"200 OK"), method="HEAD"),
    "to a HEAD, chunked": Answer(_headed(b"200 OK", b"Transfer-Encoding: chunked"), method="HEAD"),
    "after a 100": Answer(_CONTINUE + HELLO, b"hello", kept=True, interim=(100,)),
    "after hints": Answer(
        _HINTS + _HINTS + _CONTINUE + HELLO, b"hello", kept=True, interim=(103, 103, 100)
    ),
    "a redirect": Answer(
        _headed(b"302 Found", b"Location: http://b.example/", b"Content-Length: 0"), kept=True
    ),
    "bytes after it": Answer(HELLO + b"x", b"hello"),
    "a line end after it": Answer(HELLO + b"\r\n", b"hello"),
    "a second answer after it": Answer(HELLO + HELLO, b"hello"),
    "bytes after chunks": Answer(_CHUNKS + b"0\r\n\r\n" + HELLO, b"5\r\nhello\r\n"),
    "body on a HEAD": Answer(HELLO, method="HEAD"),
    "body on a 204": Answer(_headed(b"204 No Content") + b"hello"),
    "counted body on a 204": Answer(_headed(b"204 No Content", b"Content-Length: 5") + b"hello"),
    "chunked body on a 204": Answer(
        _headed(b"204 No Content", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
    ),
    "body on a 304": Answer(_headed(b"304 Not Modified", b"Content-Length: 5") + b"hello"),
}

FAILED: Final = {
    "nothing": Answer(b"", failure=_EARLY, closes=True),
    "one byte": Answer(b"H", failure=_CUT, closes=True),
    "half a head": Answer(OK + b"Content-Le", failure=_CUT, closes=True),
    "a head without its end": Answer(OK + b"Content-Length: 5\r\n", failure=_CUT, closes=True),
    "only a 100": Answer(_CONTINUE, failure=_CUT, closes=True, interim=(100,)),
    "a 100 and half a head": Answer(
        _CONTINUE + b"HTTP/1.1 2", failure=_CUT, closes=True, interim=(100,)
    ),
    "half a counted body": Answer(HELLO[:-1], b"hell", failure=_CUT, closes=True),
    "none of a counted body": Answer(HELLO[:-5], failure=_CUT, closes=True),
    "chunks without the last": Answer(_CHUNKS, b"5\r\nhello\r\n", failure=_CUT, closes=True),
    "half a chunk": Answer(_CHUNKS[:-4], b"5\r\nhel", failure=_CUT, closes=True),
    "the last chunk without its end": Answer(
        _CHUNKS + b"0\r\n", b"5\r\nhello\r\n", failure=_CUT, closes=True
    ),
    "trailers without their end": Answer(
        _CHUNKS + b"0\r\nX: y\r\n", b"5\r\nhello\r\n", failure=_CUT, closes=True
    ),
    "both framings": Answer(
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", failure=_BROKEN
    ),
    "two lengths": Answer(
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", failure=_BROKEN
    ),
    "negative length": Answer(OK + b"Content-Length: -5\r\n\r\nhello", failure=_BROKEN),
    "control byte in a value": Answer(OK + b"X: a\x01b\r\n\r\n", failure=_BROKEN),
    "control byte in the reason": Answer(b"HTTP/1.1 200 O\x1bK\r\n\r\n", failure=_BROKEN),
    "not HTTP": Answer(b"SSH-2.0-OpenSSH_9.2\r\n", failure=_BROKEN),
    "HTTP/0.9": Answer(b"<html>hello</html>", failure=_BROKEN),
    "a line end before it": Answer(b"\r\n" + HELLO, failure=_BROKEN),
    "an interim with a body": Answer(
        b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\nhello" + HELLO, failure=_BROKEN
    ),
    "an interim without end": Answer(_CONTINUE * 17 + HELLO, failure=_BROKEN, interim=(100,) * 16),
    "too large a head": Answer(OK + b"X: " + b"y" * 600 + b"\r\n\r\n", failure=_BROKEN),
    "a head that grows for ever": Answer(OK + b"X: " + b"y" * 600, failure=_BROKEN),
    "too many fields": Answer(OK + b"X: y\r\n" * 11 + b"\r\n", failure=_BROKEN),
    "a bad chunk size": Answer(
        OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n", failure=_BROKEN
    ),
    "a bad chunk after a good one": Answer(_CHUNKS + b"-1\r\n", b"5\r\nhello\r\n", failure=_BROKEN),
    "a long chunk": Answer(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n", b"1\r\nh", failure=_BROKEN
    ),
}
