"""The answers of the settled product, each in the shape of its vendor's documentation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, count
from typing import Any, Final, Protocol

import orjson

from tests.soak.settled_plans import Ending, Plan, Shape

_BEFORE_TEXT: Final = {Shape.OPENAI: 1, Shape.RESPONSES: 4, Shape.ANTHROPIC: 3, Shape.GEMINI: 0}
"""Events of a stream before the first that carries text."""

_AT: Final = 1_790_000_000
_MESSAGE: Final = "msg_1"


def answer_of(plan: Plan, *, named: bool) -> list[bytes]:
    """Write an answer: its events, or one body. A broken one has no end, or an event without."""
    parts = _WRITERS[plan.shape](plan, named=named)
    if plan.ending is not Ending.BROKEN:
        return parts
    if plan.stream:
        kept = parts if plan.shape is Shape.GEMINI else parts[:-1]  # its last event has text
        return [*kept, b'data: {"usage": {"prompt\n\n']
    (body,) = parts
    start = body.index(plan.text.encode())
    return [body[: start + plan.shown]]


@dataclass(frozen=True, slots=True)
class Shown:
    """The most of an answer that may have been read: bytes of text, its first counts, its last."""

    text: int
    begun: bool
    named: bool


def shown_of(plan: Plan, wrote: float, *, named: bool) -> Shown:
    """Say what the first `wrote` bytes of an answer show of it."""
    parts = answer_of(plan, named=named)
    size = int(min(wrote, sum(map(len, parts))))
    last = len(parts)
    if plan.stream and plan.shape in {Shape.OPENAI, Shape.ANTHROPIC}:
        last -= 1  # behind it comes the event that ends the stream
    first = 1 if plan.shape in {Shape.ANTHROPIC, Shape.GEMINI} else last
    begun, ended = (size >= len(b"".join(parts[:at]).rstrip()) for at in (first, last))
    return Shown(_text_in(plan, parts, size), begun and named, ended and named)


def _text_in(plan: Plan, parts: list[bytes], size: int) -> int:
    """Count the text in the first bytes of an answer; an event that is cut counts whole."""
    if not plan.stream:
        return min(plan.shown, max(0, size - parts[0].index(plan.text[:6].encode())))
    starts = accumulate(map(len, parts), initial=0)
    seen = sum(start < size for start in starts) - _BEFORE_TEXT[plan.shape]
    return sum(map(len, _pieces(plan)[: max(0, seen)]))


def _event(document: dict[str, Any], name: str = "") -> bytes:
    line = f"event: {name}\n".encode() if name else b""
    return line + b"data: " + orjson.dumps(document) + b"\n\n"


def _pieces(plan: Plan) -> list[str]:
    size = -(-len(plan.text) // plan.pieces)
    return [plan.text[start : start + size] for start in range(0, len(plan.text), size)]


def _chat(plan: Plan, *, named: bool) -> list[bytes]:
    """platform.openai.com/docs/api-reference/chat: `object` and `streaming`."""
    usage = {
        "prompt_tokens": plan.input + plan.cached,
        "completion_tokens": plan.output,
        "total_tokens": plan.input + plan.cached + plan.output,
        "prompt_tokens_details": {"cached_tokens": plan.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    head: dict[str, Any] = {"id": "chatcmpl-1", "created": _AT, "model": "m"}
    if not plan.stream:
        message = {"role": "assistant", "content": plan.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        body = {**head, "object": "chat.completion", "choices": [choice]}
        return [orjson.dumps({**body, "usage": usage} if named else body)]
    head["object"] = "chat.completion.chunk"
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(plan)]
    ended: list[tuple[dict[str, Any], str | None]] = [
        *((each, None) for each in deltas),
        ({}, "stop"),
    ]
    choices = [{"index": 0, "delta": each, "finish_reason": why} for each, why in ended]
    asked: dict[str, Any] = {"usage": None} if named else {}
    chunks = [{**head, "choices": [choice], **asked} for choice in choices]
    if named:
        chunks.append({**head, "choices": [], "usage": usage})
    return [*map(_event, chunks), b"data: [DONE]\n\n"]


def _responses(plan: Plan, *, named: bool) -> list[bytes]:
    """platform.openai.com/docs/api-reference: `responses/object` and `responses-streaming`."""
    usage = {
        "input_tokens": plan.input + plan.cached,
        "input_tokens_details": {"cached_tokens": plan.cached},
        "output_tokens": plan.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": plan.input + plan.cached + plan.output,
    }

    def response(status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"id": "resp_1", "object": "response", "created_at": _AT, "model": "m"}
        more: dict[str, Any] = {
            "error": None,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        done = {"usage": usage} if named and status == "completed" else {}
        return {**head, "status": status, "output": output, **more, **done}

    def part(text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": []}

    def item(status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"type": "message", "id": _MESSAGE, "status": status, "role": "assistant"}
        return {**head, "content": content}

    whole = item("completed", [part(plan.text)])
    if not plan.stream:
        return [orjson.dumps(response("completed", [whole]))]
    at = {"item_id": _MESSAGE, "output_index": 0, "content_index": 0}
    events: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": response("in_progress", [])}),
        ("in_progress", {"response": response("in_progress", [])}),
        ("output_item.added", {"output_index": 0, "item": item("in_progress", [])}),
        ("content_part.added", {**at, "part": part("")}),
        *(("output_text.delta", {**at, "delta": piece, "logprobs": []}) for piece in _pieces(plan)),
        ("output_text.done", {**at, "text": plan.text, "logprobs": []}),
        ("content_part.done", {**at, "part": part(plan.text)}),
        ("output_item.done", {"output_index": 0, "item": whole}),
        ("completed", {"response": response("completed", [whole])}),
    ]
    serial = count()
    return [
        _event({"type": f"response.{name}", "sequence_number": next(serial), **fields},
               f"response.{name}")
        for name, fields in events
    ]  # fmt: skip


def _anthropic(plan: Plan, *, named: bool) -> list[bytes]:
    """docs.anthropic.com/en/api: `messages` and `messages-streaming`."""
    usage = {
        "input_tokens": plan.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": plan.cached,
    }

    def message(content: list[dict[str, Any]], output: int, stop: str | None) -> dict[str, Any]:
        head = {"id": _MESSAGE, "type": "message", "role": "assistant", "model": "m"}
        ended = {"stop_reason": stop, "stop_sequence": None}
        spent = {"usage": {**usage, "output_tokens": output}} if named else {}
        return {**head, "content": content, **ended, **spent}

    if not plan.stream:
        content = [{"type": "text", "text": plan.text}]
        return [orjson.dumps(message(content, plan.output, "end_turn"))]
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    spent = {"usage": {"output_tokens": plan.output}} if named else {}
    events: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": message([], 1, None)}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("ping", {}),
        *(
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in _pieces(plan)
        ),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": delta, **spent}),
        ("message_stop", {}),
    ]
    return [_event({"type": name, **fields}, name) for name, fields in events]


def _gemini(plan: Plan, *, named: bool) -> list[bytes]:
    """ai.google.dev/api/generate-content: `GenerateContentResponse`."""

    def response(text: str, output: int, finish: str | None) -> dict[str, Any]:
        usage = {
            "promptTokenCount": plan.input + plan.cached,
            "cachedContentTokenCount": plan.cached,
            "candidatesTokenCount": output,
            "totalTokenCount": plan.input + plan.cached + output,
        }
        candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
        if finish:
            candidate["finishReason"] = finish
        candidate["index"] = 0
        document = {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}
        return {**document, "usageMetadata": usage} if named else document

    if not plan.stream:
        return [orjson.dumps(response(plan.text, plan.output, "STOP"))]
    *pieces, last = _pieces(plan)
    return [
        *(_event(response(piece, 1, None)) for piece in pieces),
        _event(response(last, plan.output, "STOP")),
    ]


class _Writer(Protocol):
    def __call__(self, plan: Plan, *, named: bool) -> list[bytes]: ...


_WRITERS: Final[dict[Shape, _Writer]] = {
    Shape.OPENAI: _chat,
    Shape.RESPONSES: _responses,
    Shape.ANTHROPIC: _anthropic,
    Shape.GEMINI: _gemini,
}
