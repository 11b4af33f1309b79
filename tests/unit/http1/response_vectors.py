"""Heads of answers to a GET, and whether they are refused: conformance families 14 and 16."""

from __future__ import annotations

from typing import Final


def answer(*lines: bytes, status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    """Build the head of an answer with these field lines."""
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/" + version + b" " + status + b"\r\n" + fields + b"\r\n"


_LINES: Final = {
    f"status line {line!r}": line + b"\r\n\r\n"
    for line in (
        b"", b"HTTP", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 2", b"HTTP/1.1 20", b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 X", b"HTTP/1.1 000 X", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 -20 X",
        b"HTTP/1.1 +20 X", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 200OK", b"HTTP/1.1 2 0 0", b" HTTP/1.1 200 OK", b"HTTP/1.2 200 OK",
        b"HTTP/1.10 200 OK", b"HTTP/0.9 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200", b"HTTP/1 200",
        b"http/1.1 200 OK", b"Http/1.1 200 OK", b"HTTPS/1.1 200 OK", b"ICY 200 OK",
        b"RTSP/1.0 200 OK", b"HTTP/1.1 \xb2\xb2\xb2 X", b"GET / HTTP/1.1", b"<html>",
        b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\x1bK", b"HTTP/1.1 200 O\x7fK",
        b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 O\x0bK", b"HTTP/1.1 200\x00",
        b"HTTP/1.1 200 OK\r", b"HTTP/1.1 \x00200 OK",
    )
}  # fmt: skip
_FRAMING: Final = {
    "both framings": answer(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "both framings, the other order": answer(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "both framings on 1.0": answer(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", version=b"1.0"
    ),
    "lengths that agree": answer(b"Content-Length: 5", b"Content-Length: 5"),
    "lengths that differ": answer(b"Content-Length: 5", b"Content-Length: 6"),
    "coding twice": answer(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "coding on 1.0": answer(b"Transfer-Encoding: chunked", version=b"1.0"),
    "coding with a space before the colon": answer(b"Transfer-Encoding : chunked"),
    "coding folded": answer(b"Transfer-Encoding:", b" chunked"),
    **{
        f"length {value!r}": answer(b"Content-Length: " + value)
        for value in (
            b"", b"-1", b"+5", b"5,5", b"5, 5", b"5, 6", b"0x5", b"5x", b"5 5", b"5_0", b"5.0",
            b"5;", b"9223372036854775808", b"18446744073709551616", b"1" * 400, b"\xd9\xa5",
        )
    },
    **{
        f"coding {value!r}": answer(b"Transfer-Encoding: " + value)
        for value in (
            b"", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity",
            b"xchunked", b"chunked;q=1", b"chunked,", b",chunked", b"chunked\x0b", b"chunked\x00",
            b'"chunked"', b"chun ked",
        )
    },
    **{
        f"{status!r} with {line!r}": answer(line, status=status)
        for status in (b"100 Continue", b"103 Early Hints", b"101 Switching Protocols")
        for line in (b"Content-Length: 5", b"Transfer-Encoding: chunked")
    },
}  # fmt: skip
_FIELDS: Final = {
    "space before the colon": answer(b"X : y"),
    "fold": answer(b"X: y", b" z"),
    "fold by a tab": answer(b"X: y", b"\tz"),
    "fold before the first field": answer(b" X: y"),
    "empty name": answer(b": y"),
    "no colon": answer(b"X"),
    **{
        f"byte {byte:#04x} in a name": answer(b"X" + bytes([byte]) + b"Y: z")
        for byte in (*range(0x21), *b'"(),/;<=>?@[\\]{}', 0x7F, 0x80, 0xFF)
    },
    **{
        f"byte {byte:#04x} in a value": answer(b"X: y" + bytes([byte]) + b"z")
        for byte in (*range(0x09), *range(0x0A, 0x20), 0x7F)
    },
    "an answer split by a bare CR": answer(b"X: y\rSet-Cookie: z"),
    "an answer split by a bare LF": answer(b"X: y\nSet-Cookie: z"),
    "bare LF for the empty line": b"HTTP/1.1 200 OK\r\nX: y\r\n\n\r\n\r\n",
    "too many fields": answer(*[b"X: y"] * 101),
}

REFUSED: Final[dict[str, bytes]] = {**_LINES, **_FRAMING, **_FIELDS}

ACCEPTED: Final[dict[str, bytes]] = {
    "plain": answer(b"Content-Length: 5"),
    "without a reason": answer(status=b"200"),
    "with an empty reason": answer(status=b"200 "),
    "reason of Latin letters": answer(status=b"200 D\xe9j\xe0 vu\t(x)"),
    "status beyond the known": answer(status=b"799 X"),
    "1.0": answer(version=b"1.0"),
    "coding in odd case": answer(b"Transfer-Encoding: Chunked"),
    "upgrade offered": answer(b"Upgrade: h2c", b"Connection: upgrade"),
    "interim without a body": answer(b"Content-Length: 0", status=b"100 Continue"),
    "no content": answer(status=b"204 No Content"),
    "not modified, with the length it would have": answer(
        b"Content-Length: 5", status=b"304 Not Modified"
    ),
    "most fields": answer(*[b"X: y"] * 100),
}
