"""A small product of four dialects that notes, of each execution, what it named and what it sent.

The field `x-plan` of a call says how it is to be answered, so that the caller knows what must come
of it: whole, without usage, with 5xx, cut in the middle or reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import socket
import struct
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import orjson

from tests.soak.settled_answers import answer_of
from tests.soak.settled_plans import Ending, Plan, Shape

_RESET: Final = struct.pack("ii", 1, 0)
_BUSY: Final = b"HTTP/1.1 503 Busy\r\nretry-after-ms: 20\r\ncontent-length: 4\r\n\r\nbusy"
"""The SDKs of OpenAI and Anthropic try again after so many milliseconds."""

_PAUSES: Final = 2
"""How often it waits in an answer, in the mean."""

_CUT_OFF: Final = frozenset({Ending.CUT, Ending.RESET})


@dataclass(slots=True)
class Execution:
    """What the product did for one call. `done`: it wrote the whole answer as planned.

    `wrote`: so many bytes of its body at most; infinite where that was not counted.
    """

    plan: Plan
    times: int = 1
    named: bool = False
    done: bool = False
    wrote: float = math.inf


class SettledProduct:
    """Answers by plan; `executions` by marker, `requests` the last ones as they came."""

    def __init__(self) -> None:
        self.requests: deque[bytes] = deque(maxlen=2)
        self.executions: dict[str, Execution] = {}
        self.url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # uvloop raises RuntimeError on a transport that is closed.
            with contextlib.suppress(OSError, EOFError, RuntimeError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; say whether the connection serves another."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        fields = {name.lower(): value.strip() for name, _, value in lines}
        content = await reader.readexactly(int(fields[b"content-length"]))
        self.requests.append(head + content)
        execution = executed(self.executions, fields[b"x-plan"], content)
        plan = execution.plan
        if plan.ending is Ending.ERROR:
            writer.write(_BUSY)
            await writer.drain()
            return True
        events = answer_of(plan, named=execution.named)
        return await self._answer(execution, events, writer)

    async def _answer(
        self, execution: Execution, events: list[bytes], writer: asyncio.StreamWriter
    ) -> bool:
        plan = execution.plan
        data = b"".join(events)
        if plan.stream:
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            pieces = events if random.random() < 0.5 else _cut_up(data)
            chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in pieces]
            wire = [head, *chunks, b"0\r\n\r\n"]
        else:
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            wire = [head % len(data), *_cut_up(data)]
        if plan.ending in _CUT_OFF:
            wire = _first(wire, random.randrange(sum(map(len, wire)) - 5))
        execution.wrote = 0
        for part in wire:
            writer.write(part)
            execution.wrote += len(part)
            await writer.drain()
            if random.random() < _PAUSES / len(wire):
                await asyncio.sleep(random.random() * 0.004)
        if plan.ending is Ending.RESET and not writer.is_closing():
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        execution.done = plan.ending not in _CUT_OFF
        return execution.done


def executed(executions: dict[str, Execution], plan_text: bytes, content: bytes) -> Execution:
    """Note one more execution of a plan, and whether its answer is to name its usage."""
    plan = Plan.read(plan_text)
    execution = executions.get(plan.marker)
    if execution is not None:
        execution.times += 1
    else:
        execution = executions[plan.marker] = Execution(plan)
    asked = bool((orjson.loads(content).get("stream_options") or {}).get("include_usage"))
    execution.named = plan.ending not in {Ending.MUTE, Ending.BROKEN} and (
        asked or not plan.stream or plan.shape is not Shape.OPENAI
    )
    return execution


def _cut_up(data: bytes) -> list[bytes]:
    """Cut data at random bytes."""
    at = sorted(random.sample(range(1, len(data)), min(4, len(data) - 1)))
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


def _first(parts: list[bytes], size: int) -> list[bytes]:
    kept = []
    for part in parts:
        kept.append(part[:size])
        size -= len(part)
        if size <= 0:
            break
    return kept
