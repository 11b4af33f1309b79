"""A model's API: it answers a prompt whole, or as a stream of 60 events, and names its usage.

`python -m tests.bench.product PORT`, on the load core. Events leave four in one write, so that the
system under test is saturated and not this product.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final, cast

import uvloop

from tests.bench.streams import CHUNKS, EVENT_HEAD

_EVENTS: Final = 60
_AT_ONCE: Final = 4
_BURST: Final = b"".join(CHUNKS[:_AT_ONCE])
_USAGE: Final = {"prompt_tokens": 12_000, "completion_tokens": 60, "total_tokens": 12_060}


def _answer() -> bytes:
    text = json.dumps({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_790_000_000,
        "model": "small", "usage": _USAGE,
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "a" * 400}}],
    }).encode()  # fmt: skip
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(text) + text


def _end() -> bytes:
    """Return the last chunks of a stream: the usage, the mark of its end, and no more."""
    text = json.dumps({
        "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_790_000_000,
        "model": "small", "choices": [], "usage": _USAGE,
    }).encode()  # fmt: skip
    events = (b"data: %b\n\n" % text, b"data: [DONE]\n\n")
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


_ANSWER: Final = _answer()
_END: Final = _end()


class Product(asyncio.Protocol):
    """One connection: a request at a time, its body of known length."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._request = bytearray()
        self._whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop has types of its own

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._request += data
        if not self._whole:
            end = self._request.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._request[:end]).lower()
            length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            self._whole = end + 4 + int(length)
        if len(self._request) < self._whole:
            return
        streams = b'"stream":true' in self._request or b'"stream": true' in self._request
        self._request.clear()
        self._whole = 0
        if streams:
            self._transport.write(EVENT_HEAD)
            self._stream(_EVENTS)
        else:
            self._transport.write(_ANSWER)

    def _stream(self, left: int) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        if left:
            self._transport.write(_BURST)
            asyncio.get_running_loop().call_soon(self._stream, left - _AT_ONCE)
        else:
            self._transport.write(_END)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        Product, "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
