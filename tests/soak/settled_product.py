"""A small product of three dialects that notes, of each execution, what it named and what it sent.

The field `x-plan` of a call says how it is to be answered, so that the caller knows what must come
of it: whole, without usage, with 5xx, cut in the middle or reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import orjson

_RESET: Final = struct.pack("ii", 1, 0)


class Shape(StrEnum):
    """Whose dialect an answer is in."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


class Ending(StrEnum):
    """How an answer goes."""

    WHOLE = "whole"
    MUTE = "mute"  # whole, and names no usage
    ERROR = "error"  # 503 instead
    CUT = "cut"  # the connection is closed in the middle
    RESET = "reset"  # it is reset in the middle, or before the head


@dataclass(frozen=True, slots=True)
class Plan:
    """One answer: its tokens, and the words of text in it."""

    marker: str
    shape: Shape
    stream: bool
    ending: Ending
    input: int
    cached: int
    output: int
    words: int

    @classmethod
    def read(cls, text: bytes) -> Plan:
        """Read a plan as a call carries it."""
        values = orjson.loads(text)
        return cls(
            **{**values, "shape": Shape(values["shape"]), "ending": Ending(values["ending"])}
        )

    @property
    def text(self) -> str:
        """What the model says, seven bytes a word."""
        return " ".join(f"w{n:05d}" for n in range(self.words))


@dataclass(slots=True)
class Execution:
    """What the product did for one call. `done`: it wrote the whole answer as planned."""

    plan: Plan
    times: int = 1
    named: bool = False
    done: bool = False


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
            writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy")
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
            pieces = [b"%x\r\n%b\r\n" % (len(part), part) for part in _cut_up(data)]
            wire = [head, *pieces, b"0\r\n\r\n"]
        else:
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            wire = [head % len(data), *_cut_up(data)]
        if plan.ending in {Ending.CUT, Ending.RESET}:
            wire = _first(wire, random.randrange(sum(map(len, wire)) - 5))
        for part in wire:
            writer.write(part)
            await writer.drain()
            if random.random() < 0.3:
                await asyncio.sleep(random.random() * 0.004)
        if plan.ending is Ending.RESET:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        execution.done = plan.ending in {Ending.WHOLE, Ending.MUTE}
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
    execution.named = plan.ending is not Ending.MUTE and (
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


def answer_of(plan: Plan, *, named: bool) -> list[bytes]:
    """Write an answer: its events, or one body."""
    match plan.shape:
        case Shape.OPENAI:
            return _openai(plan, named=named)
        case Shape.ANTHROPIC:
            return _anthropic(plan, named=named)
        case Shape.GEMINI:
            return _gemini(plan, named=named)


def _event(document: object, name: str = "") -> bytes:
    line = f"event: {name}\n".encode() if name else b""
    return line + b"data: " + orjson.dumps(document) + b"\n\n"


def _halves(plan: Plan) -> tuple[str, str]:
    half = len(plan.text) // 2
    return plan.text[:half], plan.text[half:]


def _openai(plan: Plan, *, named: bool) -> list[bytes]:
    usage = {
        "prompt_tokens": plan.input + plan.cached,
        "completion_tokens": plan.output,
        "prompt_tokens_details": {"cached_tokens": plan.cached},
    }
    if not plan.stream:
        message = {"role": "assistant", "content": plan.text}
        body = {"model": "m", "choices": [{"index": 0, "message": message}]}
        return [orjson.dumps({**body, "usage": usage} if named else body)]
    deltas = [{"content": half} for half in _halves(plan)]
    chunks: list[dict[str, object]] = [
        {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if named:
        chunks.append({"model": "m", "choices": [], "usage": usage})
    return [*map(_event, chunks), b"data: [DONE]\n\n"]


def _anthropic(plan: Plan, *, named: bool) -> list[bytes]:
    usage = {"input_tokens": plan.input, "cache_read_input_tokens": plan.cached}
    whole = {"usage": {**usage, "output_tokens": plan.output}} if named else {}
    if not plan.stream:
        content = [{"type": "text", "text": plan.text}]
        return [orjson.dumps({"type": "message", "model": "m", "content": content, **whole})]
    begun = {"usage": {**usage, "output_tokens": 1}} if named else {}
    ended = {"usage": {"output_tokens": plan.output}} if named else {}
    return [
        _event({"type": "message_start", "message": {"model": "m", **begun}}, "message_start"),
        *(
            _event(
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": half}},
                "content_block_delta",
            )
            for half in _halves(plan)
        ),
        _event({"type": "message_delta", "delta": {}, **ended}, "message_delta"),
        _event({"type": "message_stop"}, "message_stop"),
    ]


def _gemini(plan: Plan, *, named: bool) -> list[bytes]:
    def part(text: str, output: int, finish: str | None) -> dict[str, object]:
        usage = {
            "promptTokenCount": plan.input + plan.cached,
            "cachedContentTokenCount": plan.cached,
            "candidatesTokenCount": output,
        }
        candidate: dict[str, object] = {"content": {"parts": [{"text": text}]}}
        if finish:
            candidate["finishReason"] = finish
        document: dict[str, object] = {"modelVersion": "m", "candidates": [candidate]}
        return {**document, "usageMetadata": usage} if named else document

    if not plan.stream:
        return [orjson.dumps(part(plan.text, plan.output, "STOP"))]
    first, second = _halves(plan)
    return [_event(part(first, 1, None)), _event(part(second, plan.output, "STOP"))]
