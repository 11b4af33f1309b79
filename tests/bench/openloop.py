"""An open-loop load: requests leave at a constant rate, whatever the answers do.

Latency is taken from the moment a request was due, so that a stall is felt by every request that
it delays (no coordinated omission). Run as `python -m tests.bench.openloop`, pinned to the load
core; prints one line of JSON for each rate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Final, cast

import uvloop

_TICK: Final = 0.00025
"""Seconds between two looks at what is due; an event loop's own timers know milliseconds only."""

_PATIENCE: Final = 10
"""Seconds that the load waits for late answers."""


class _Connection(asyncio.Protocol):
    """One keep-alive connection; answers are counted by their Content-Length."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.WriteTransport | None = None
        self._due = 0.0
        self._buffer = b""
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop has types of its own
        self._load.free.append(self)

    def send(self, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            data = self._buffer + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            head = data[:end].lower()
            start = head.index(b"content-length:") + 15
            length = int(head[start:].split(b"\r\n", 1)[0])
            self._load.ok += head.startswith(b"http/1.1 2")
            self._missing = length - (len(data) - end - 4)
            self._buffer = b""
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._missing = -1
            self._load.done(self, time.perf_counter() - self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost += not self._load.ended


class Load:
    """The schedule, and what came back."""

    def __init__(self, request: bytes, rate: float, seconds: float) -> None:
        self.request = request
        self.rate = rate
        self.seconds = seconds
        self.free: deque[_Connection] = deque()
        self.waiting: deque[float] = deque()
        self.latencies: list[float] = []
        self.ok = 0
        self.lost = 0
        self.ended = False
        self._start = 0.0
        self._sent = 0
        self._total = 0
        self._all_back = asyncio.Event()

    def done(self, connection: _Connection, latency: float) -> None:
        """Note an answer, and send what is overdue."""
        self.latencies.append(latency)
        if len(self.latencies) == self._total:
            self._all_back.set()
        if self.waiting:
            connection.send(self.waiting.popleft())
        else:
            self.free.append(connection)

    async def run(self) -> int:
        """Send for `seconds`; return how many were sent."""
        loop = asyncio.get_running_loop()
        self._start = time.perf_counter()
        self._total = int(self.rate * self.seconds)
        loop.add_signal_handler(signal.SIGALRM, self._send_due)
        signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.seconds + _PATIENCE):
                await self._all_back.wait()
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.ended = True
        return self._sent

    def _send_due(self) -> None:
        now = time.perf_counter()
        due_by_now = min(int((now - self._start) * self.rate) + 1, self._total)
        while self._sent < due_by_now:
            due = self._start + self._sent / self.rate
            self._sent += 1
            if self.free:
                self.free.popleft().send(due)
            else:
                self.waiting.append(due)


async def _main(args: argparse.Namespace, request: bytes) -> None:
    loop = asyncio.get_running_loop()
    for rate in args.rate:
        load = Load(request, rate, args.seconds)
        made = [
            await loop.create_connection(partial(_Connection, load), "127.0.0.1", args.port)
            for _ in range(args.connections)
        ]
        sent = await load.run()
        for transport, _ in made:
            transport.abort()
        ordered = sorted(load.latencies)
        found = {
            "sent": sent,
            "answered": len(ordered),
            "ok": load.ok,
            "lost": load.lost,
            "p50": ordered[len(ordered) // 2] if ordered else args.seconds + _PATIENCE,
            "p99": ordered[int(len(ordered) * 0.99)] if ordered else args.seconds + _PATIENCE,
        }
        sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    """Read the flags and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--request", required=True, help="file with the raw request")
    parser.add_argument("--rate", type=float, nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    args = parser.parse_args()
    uvloop.run(_main(args, Path(args.request).read_bytes()))


if __name__ == "__main__":
    main()
