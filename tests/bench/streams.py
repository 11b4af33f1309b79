"""Server-sent events through a proxy: a product that streams, clients that count.

`python -m tests.bench.streams serve PORT` streams events; `count PORT REQUEST N SECONDS RATE` reads
N streams at once, says when it has begun to count, and prints what came; `hold PORT REQUEST N`
opens N streams that send one event and then nothing, and keeps them open until its input ends.
REQUEST is a file with the request for each. `sink PORT` reads large bodies and answers when they
are whole.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final, cast

import uvloop

_EVENT: Final = (
    b'data: {"id":"chatcmpl-C3b9kV0qPm5Zf1TjWwXn2aYdRs8Lh","object":"chat.completion.chunk",'
    b'"created":1764115200,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
    b'"system_fingerprint":"fp_560af6e559","choices":[{"index":0,"delta":{"content":" %b"},'
    b'"logprobs":null,"finish_reason":null}]}\n\n'
)
_WORDS: Final = (
    b"the", b"quota", b"of", b"an", b"organisation", b"is", b"consumed", b"before", b"a", b"call",
    b"reaches", b"its", b"product", b"and", b"never", b"twice",
)  # fmt: skip
"""What the events of a stream say in turn: nothing may be faster only because they are alike."""
_EVENTS: Final = tuple(_EVENT % word for word in _WORDS)
CHUNKS: Final = tuple(b"%x\r\n%b\r\n" % (len(event), event) for event in _EVENTS)
EVENT_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_BURST: Final = b"".join(CHUNKS)
_TICK: Final = 0.001


class Ensemble:
    """The streams of one run: they begin together, once as many as were asked for are there."""

    def __init__(self) -> None:
        self._streams: list[Product] = []

    def add(self, stream: Product, of: int, rate: float) -> None:
        """Take a stream; with the last one, send `rate` events a second over all, or pour."""
        self._streams.append(stream)
        if len(self._streams) < of:
            return
        streams, self._streams = self._streams, []
        if rate:
            _beat(streams, rate, time.perf_counter(), 0)
            return
        for each in streams:
            each.pour()


def _beat(streams: list[Product], rate: float, since: float, sent: int) -> None:
    """Send single events to the streams in turn, as many as are due."""
    due = int((time.perf_counter() - since) * rate)
    for turn in range(sent, due):
        streams[turn % len(streams)].send(CHUNKS[turn // len(streams) % len(CHUNKS)])
    if any(stream.open for stream in streams):
        loop = asyncio.get_running_loop()
        loop.call_later(_TICK, _beat, streams, rate, since, due)


_ensemble = Ensemble()


class Product(asyncio.Protocol):
    """Sends one event to every request, and more where the path ends in `?N/RATE`.

    Then N streams begin together, RATE events a second over all of them. A RATE of 0 is as fast as
    they are read, sixteen events a write, so that what is full is not the product.
    """

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._paused = False
        self._pouring = False
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop has types of its own

    def data_received(self, data: bytes) -> None:
        if not data.startswith((b"GET ", b"POST ")):
            return  # the rest of a request that has come in parts
        self.send(EVENT_HEAD + CHUNKS[0])
        of, slash, rate = data.split(b" ", 2)[1].partition(b"?")[2].partition(b"/")
        if slash:
            _ensemble.add(self, int(of), float(rate))

    def send(self, data: bytes) -> None:
        """Send to a reader that keeps up."""
        assert self._transport is not None
        if self.open and not self._paused:
            self._transport.write(data)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._pouring:
            self.pour()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False

    def pour(self) -> None:
        """Send without end, as fast as it is read."""
        self._pouring = True
        if self.open and not self._paused:
            self.send(_BURST)
            asyncio.get_running_loop().call_soon(self.pour)


class Sink(asyncio.Protocol):
    """Reads a body of known length to its end, then answers."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop has types of its own

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._left:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self._head[:end].lower().split(b"\r\n")
            length = next(line for line in lines if line.startswith(b"content-length:"))
            self._left = int(length[15:]) - (len(self._head) - end - 4)
            self._head = b""
        else:
            self._left -= len(data)
        if self._left == 0:
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


class Reader(asyncio.Protocol):
    """Counts the events of one stream, and when the first one came."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._asked = 0.0
        self._transport: asyncio.Transport | None = None
        self.events = 0
        self.first = 0.0
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has types of its own
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.first and b"data:" in data:
            self.first = time.perf_counter() - self._asked
            self.started.set_result(None)
        self.events += data.count(b"data:")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def _open(port: int, count: int, request: bytes) -> list[Reader]:
    loop = asyncio.get_running_loop()
    readers: list[Reader] = []
    for _ in range(count):
        _, reader = await loop.create_connection(lambda: Reader(request), "127.0.0.1", port)
        readers.append(reader)
    async with asyncio.timeout(60):
        await asyncio.gather(*(reader.started for reader in readers))
    return readers


async def _serve(port: int, protocol: type[asyncio.Protocol]) -> None:
    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


async def _count(port: int, request: bytes, count: int, seconds: float, rate: str) -> None:
    together = f"?{count}/{rate} HTTP/1.1\r\n".encode()
    readers = await _open(port, count, request.replace(b" HTTP/1.1\r\n", together, 1))
    before = sum(reader.events for reader in readers)
    sys.stdout.write("counting\n")
    sys.stdout.flush()
    start = time.perf_counter()
    await asyncio.sleep(seconds)
    events = sum(reader.events for reader in readers) - before
    taken = time.perf_counter() - start
    first = sorted(reader.first for reader in readers)[count // 2]
    sys.stdout.write(json.dumps({"events": events, "rate": events / taken, "first": first}) + "\n")
    sys.stdout.flush()
    for reader in readers:
        reader.close()


async def _hold(port: int, request: bytes, count: int) -> None:
    await _open(port, count, request)
    sys.stdout.write("held\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Run one of the four parts."""
    what, port, *rest = sys.argv[1:]
    if what == "serve":
        uvloop.run(_serve(int(port), Product))
    elif what == "sink":
        uvloop.run(_serve(int(port), Sink))
    else:
        request, count = Path(rest[0]).read_bytes(), int(rest[1])
        if what == "count":
            uvloop.run(_count(int(port), request, count, float(rest[2]), rest[3]))
        else:
            uvloop.run(_hold(int(port), request, count))


if __name__ == "__main__":
    main()
