"""A product that streams, a step behind its client: each event is sent once the last has arrived.

So the proxy between the two reads each event by itself, however slow it is.
"""

from __future__ import annotations

import re
import socket
from typing import Final

EVENTS: Final = 60
"""Events of an answer; the last one has its usage, and `[DONE]` follows with it."""

_CHUNK: Final = (
    b'{"id":"chatcmpl-C3b9kV0qPm5Zf1TjWwXn2aYdRs8Lh","object":"chat.completion.chunk",'
    b'"created":1764115200,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
    b'"system_fingerprint":"fp_560af6e559","choices":'
)
_DELTA: Final = (
    _CHUNK + b'[{"index":0,"delta":{"content":" word%d"},"logprobs":null,"finish_reason":null}],'
    b'"usage":null,"obfuscation":"aBcDeF"}'
)
_USAGE: Final = _CHUNK + b'[],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}'
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class EventProduct:
    """Serves one client at a time, through one proxy."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._upstream: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def call(self, client: socket.socket, request: bytes) -> None:
        """Make one call, and answer it in steps with the client's reading."""
        client.sendall(request)
        if self._upstream is None:
            self._upstream, _ = self._listener.accept()
        _read_request(self._upstream)
        self._upstream.sendall(_HEAD + _framed(b"data: " + _DELTA % 0 + b"\n\n"))
        seen = _until(client, b"", b" word0")
        if not seen.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the call was not answered with 200: {seen[:300]!r}")
        for number in range(1, EVENTS - 1):
            self._upstream.sendall(_framed(b"data: " + _DELTA % number + b"\n\n"))
            _until(client, b"", b' word%d"' % number)
        last = _framed(b"data: " + _USAGE + b"\n\ndata: [DONE]\n\n")
        self._upstream.sendall(last + b"0\r\n\r\n")
        _until(client, b"", b"\r\n0\r\n\r\n")

    def close(self) -> None:
        """Stop listening."""
        if self._upstream is not None:
            self._upstream.close()
        self._upstream = None
        self._listener.close()


def _until(peer: socket.socket, data: bytes, end: bytes) -> bytes:
    while end not in data:
        part = peer.recv(65536)
        if not part:
            raise RuntimeError(f"the connection ended before {end!r}: {data[-300:]!r}")
        data += part
    return data


def _read_request(peer: socket.socket) -> None:
    data = _until(peer, b"", b"\r\n\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    left = (0 if length is None else int(length[1])) - len(body)
    while left > 0:
        left -= len(peer.recv(65536))
