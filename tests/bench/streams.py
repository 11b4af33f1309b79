"""Server-sent events through a proxy: a product that streams, clients that count.

`python -m tests.bench.streams serve PORT` streams events as fast as it is read, one write an event;
`count PORT N SECONDS` reads N streams at once and prints what came; `hold PORT N` opens N streams
that send one event and then nothing, and keeps them open until its input ends. `sink PORT` reads
large bodies and answers when they are whole.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final, cast

import uvloop

_EVENT: Final = b'data: {"choices":[{"index":0,"delta":{"content":" word"}}],"id":"chatcmpl-1"}\n\n'
_CHUNK: Final = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_BURST: Final = 16


class Product(asyncio.Protocol):
    """Streams to every request: without end, or one event where the path says `/held`."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._paused = False
        self._open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop has types of its own

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(_HEAD + _CHUNK)
        if b"/held" not in data.split(b"\r\n", 1)[0]:
            self._pour()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pour()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False

    def _pour(self) -> None:
        assert self._transport is not None
        for _ in range(_BURST):
            if self._paused or not self._open:
                return
            self._transport.write(_CHUNK)
        asyncio.get_running_loop().call_soon(self._pour)


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

    def __init__(self, path: str) -> None:
        self._path = path
        self._asked = 0.0
        self._transport: asyncio.Transport | None = None
        self.events = 0
        self.first = 0.0
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has types of its own
        self._asked = time.perf_counter()
        self._transport.write(f"GET {self._path} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if not self.first and b"data:" in data:
            self.first = time.perf_counter() - self._asked
            self.started.set_result(None)
        self.events += data.count(b"data:")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def _open(port: int, count: int, path: str) -> list[Reader]:
    loop = asyncio.get_running_loop()
    readers: list[Reader] = []
    for _ in range(count):
        _, reader = await loop.create_connection(lambda: Reader(path), "127.0.0.1", port)
        readers.append(reader)
    async with asyncio.timeout(60):
        await asyncio.gather(*(reader.started for reader in readers))
    return readers


async def _serve(port: int, protocol: type[asyncio.Protocol]) -> None:
    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


async def _count(port: int, count: int, seconds: float) -> None:
    readers = await _open(port, count, "/api/stream")
    before = sum(reader.events for reader in readers)
    start = time.perf_counter()
    await asyncio.sleep(seconds)
    events = sum(reader.events for reader in readers) - before
    rate = events / (time.perf_counter() - start)
    first = sorted(reader.first for reader in readers)[count // 2]
    sys.stdout.write(json.dumps({"rate": rate, "first": first}) + "\n")
    for reader in readers:
        reader.close()


async def _hold(port: int, count: int) -> None:
    await _open(port, count, "/held")
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
    elif what == "count":
        uvloop.run(_count(int(port), int(rest[0]), float(rest[1])))
    else:
        uvloop.run(_hold(int(port), int(rest[0])))


if __name__ == "__main__":
    main()
