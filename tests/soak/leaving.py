"""`python -m tests.soak.leaving --calls N`: clients that leave, beside steady ones.

Eight keep-alive connections make N metered calls, each answered whole and in order, while eight
clients leave at every step of an exchange. Platform and product are healthy. In the end no call is
unanswered, what was executed is what was charged, and the sidecar holds nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from signal import SIGTERM
from typing import Final, cast

import uvloop
from typing_extensions import override

from sidecar.admission.journal_file import JournalFile
from tests.e2e.counting_upstream import CountingUpstream
from tests.e2e.harness import CHAT, eventually, scrape
from tests.e2e.programs import ProcessStack, process_stack
from tests.e2e.raw_client import post

STEADY: Final = "org_steady"
LEAVING: Final = "org_leaving"
CALLERS: Final = 8
SILENT_SECONDS: Final = 30.0
"""After which a call counts as unanswered."""

_BODY: Final = b'{"message":"hello"}'
_GONE: Final = b"gone"
_LIMIT: Final = 10**9
_RESET: Final = struct.pack("ii", 1, 0)


class Step(StrEnum):
    """When a client leaves."""

    IN_HEAD = "in the head"
    AFTER_HEAD = "after the head"
    IN_BODY = "in the body"
    AFTER_REQUEST = "after the request"
    IN_ANSWER = "in the answer"
    LAST_BYTE = "at the last byte of the answer"


@dataclass
class Report:
    """What a run found; `wrong` is empty where all is well."""

    answered: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    left: Counter[str] = field(default_factory=Counter)
    charged: Counter[str] = field(default_factory=Counter)
    executed: Counter[str] = field(default_factory=Counter)
    credits: Counter[str] = field(default_factory=Counter)
    """Paid by calls that were given up, and kept by the sidecar for the next ones."""
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Write it."""
        left = "\n".join(f"{count:9} left {step}" for step, count in sorted(self.left.items()))
        books = "\n".join(
            f"{org:12}{self.charged[org]:9} charged {self.executed[org]:9} executed "
            f"{self.credits[org]:6} credits"
            for org in (STEADY, LEAVING)
        )
        calls = f"{self.answered} calls answered, {self.unanswered} not, in {self.seconds:.0f} s"
        return f"{calls}\n{left}\n{books}"


class _Caller(asyncio.Protocol):
    """One keep-alive connection with one call at a time; `done` resolves when no call is left."""

    def __init__(self, request: bytes, serial: Iterator[int], report: Report) -> None:
        self._before, self._after = request.split(b"%MARKER%")
        self._serial = serial
        self._report = report
        self._buffer = b""
        self._marker = b""
        self._sent_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = self._loop.create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._next()

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < len(self._marker):
            return
        if head.startswith(b"HTTP/1.1 200 ") and body == self._marker:
            self._report.answered += 1
        else:
            self._fail(f"got {self._buffer[:300]!r}")
        self._buffer = b""
        self._next()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._marker:
            self._fail(f"connection lost: {exc!r}, after {self._buffer[:300]!r}")
        if not self.done.done():
            self.done.set_result(None)

    def check(self) -> None:
        """Give up a call that has not been answered for too long."""
        if self._marker and self._loop.time() > self._sent_at + SILENT_SECONDS:
            assert self._transport is not None
            self._transport.abort()

    def _next(self) -> None:
        assert self._transport is not None
        number = next(self._serial, None)
        if number is None:
            self._marker = b""
            self._transport.close()
            return
        self._marker = b"m%09d" % number
        self._sent_at = self._loop.time()
        self._transport.write(self._before + self._marker + self._after)

    def _fail(self, why: str) -> None:
        self._report.unanswered += 1
        self._report.wrong.append(f"{self._marker.decode()}: {why}")


async def leaving(calls: int, *, seconds: float = 3600.0, under: Sequence[str] = ()) -> Report:
    """Make `calls` calls beside clients that leave, or as many as fit into `seconds`."""
    report = Report()
    async with (
        CountingUpstream(split=True) as product,
        process_stack(orgs={STEADY: _LIMIT, LEAVING: _LIMIT}, upstream_url=product.url) as s,
    ):
        await s.program.close()
        journal = s.place.policy_file.with_name("journal")
        s.program = program = await s.restart(under=under, journal=journal)
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            await _drive(s, report, _numbers(calls, began + seconds))
            report.seconds = loop.time() - began
            await _rest(s, report)
            program.send(SIGTERM)
            if status := await program.ended(30.0):
                report.wrong.append(f"the sidecar ended with status {status}")
        finally:
            await program.close()
        with JournalFile(journal) as file:
            for kept in file.kept:
                report.credits[kept.org_id] += kept.units
        report.executed = product.executions
        for org in (STEADY, LEAVING):
            report.charged[org] = s.charges(org)
            open_ = report.charged[org] - report.executed[org] - report.credits[org]
            if open_:
                report.wrong.append(f"{org}: {open_} units charged and not executed")
        faults = [e for e in program.log if e["event"] in {"fault", "task_failed"}]
        report.wrong += [str(event) for event in faults]
    return report


def _numbers(calls: int, until: float) -> Iterator[int]:
    loop = asyncio.get_running_loop()
    for number in range(calls):
        if loop.time() > until:
            return
        yield number


async def _drive(s: ProcessStack, report: Report, serial: Iterator[int]) -> None:
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_leave_until(over, s, report))
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(_call(s, report, serial))
        over.set()


async def _call(s: ProcessStack, report: Report, serial: Iterator[int]) -> None:
    request = post(CHAT, s.token(STEADY, ttl=86_400), _BODY, x_marker="%MARKER%")
    host, port = _address(s)
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(lambda: _Caller(request, serial, report), host, port)
    while not caller.done.done():
        await asyncio.wait([caller.done], timeout=1.0)
        caller.check()


async def _leave_until(over: asyncio.Event, s: ProcessStack, report: Report) -> None:
    request = post(CHAT, s.token(LEAVING, ttl=86_400), _BODY, x_marker=_GONE.decode())
    address = _address(s)
    while not over.is_set():
        step = random.choice(list(Step))
        resets = random.random() < 0.5
        with socket.socket() as sock, contextlib.suppress(ConnectionError):
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, address)
            async with asyncio.timeout(SILENT_SECONDS):
                await _go_as_far_as(step, sock, request)
            if resets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif step in {Step.IN_ANSWER, Step.LAST_BYTE}:
                sock.shutdown(socket.SHUT_WR)  # a close would reset where bytes are unread
                await asyncio.sleep(0)
        report.left[f"{step} by {'RST' if resets else 'FIN'}"] += 1


async def _go_as_far_as(step: Step, sock: socket.socket, request: bytes) -> None:
    loop = asyncio.get_running_loop()
    head = request.index(b"\r\n\r\n") + 4
    sent = len(request)
    if step is Step.IN_HEAD:
        sent = random.randrange(1, head)
    elif step is Step.AFTER_HEAD:
        sent = head
    elif step is Step.IN_BODY:
        sent = random.randrange(head + 1, len(request))
    await loop.sock_sendall(sock, request[:sent])
    if step is Step.IN_ANSWER:
        await loop.sock_recv(sock, random.randrange(1, 200))
    elif step is Step.LAST_BYTE:
        answer = b""
        while not answer.endswith(b"\r\n\r\n" + _GONE):
            data = await loop.sock_recv(sock, 4096)
            if not data:
                raise ConnectionResetError
            answer += data
    elif random.random() < 0.7:
        await asyncio.sleep(random.random() * 0.003)


def _address(s: ProcessStack) -> tuple[str, int]:
    host, _, port = s.program.url.removeprefix("http://").partition(":")
    return host, int(port)


async def _rest(s: ProcessStack, report: Report) -> None:
    """Wait until the sidecar holds nothing of any exchange."""

    async def held() -> dict[str, float]:
        page = await scrape(s.program.admin_url)
        names = ("inflight_requests", "open_connections", "journal_pending_units")
        return {name: page.sum(name) for name in names if page.sum(name)}

    try:
        await eventually(held, lambda found: not found)
    except AssertionError as error:
        report.wrong.append(f"not at rest: {error}")


def main() -> int:
    """Run it pinned: the sidecar to one core, everything else to another."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.leaving", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=86_400.0, help="end after that time")
    args = parser.parse_args()
    first, *others = sorted(os.sched_getaffinity(0))
    under = ("taskset", "-c", str(first)) if others else ()
    if others:
        os.sched_setaffinity(0, others)
    report = uvloop.run(leaving(args.calls, seconds=args.seconds, under=under))
    print(report.table())
    for wrong in report.wrong[:50]:
        print(f"WRONG: {wrong}")
    print(f"{len(report.wrong)} things are wrong" if report.wrong else "all is well")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
