"""Answers in the shapes of the vendors' documentation, written for these tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import orjson

from sidecar.domain.usage import (
    HeaderUsage,
    JsonUsage,
    OnMissing,
    OnOverrun,
    Usage,
    UsageFormat,
    UsageRule,
)
from sidecar.usage.reader import reader_of

EVENTS: Final = ((b"content-type", b"text/event-stream; charset=utf-8"),)
JSON: Final = ((b"content-type", b"application/json"),)


def rule_of(usage_format: UsageFormat | JsonUsage | HeaderUsage) -> UsageRule:
    """Return a rule whose other parts do not matter here."""
    one = Decimal(1)
    return UsageRule(
        format=usage_format,
        per=one,
        weights=(one, one, one, one),
        models=(),
        hold=None,
        missing=OnMissing.ESTIMATE,
        request_usage=False,
        overrun=OnOverrun.BLOCK,
    )


def read(
    usage_format: UsageFormat | JsonUsage | HeaderUsage,
    *parts: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = EVENTS,
    whole: bool = True,
) -> Usage:
    """Read an answer that arrives in these parts."""
    reader = reader_of(rule_of(usage_format), headers)
    for part in parts:
        reader.feed(part)
    return reader.end(whole=whole)


def event(data: object, name: str = "", end: bytes = b"\n") -> bytes:
    """Return one event of a stream."""
    head = b"event: " + name.encode() + end if name else b""
    return head + b"data: " + orjson.dumps(data) + end + end


CHAT_USAGE: Final = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 25, "audio_tokens": 0},
}

CHAT: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-sample",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello there", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": CHAT_USAGE,
    "service_tier": "default",
}


def chat_chunk(
    choices: list[dict[str, object]], usage: object = None, model: str = "gpt-sample"
) -> dict[str, object]:
    """Return a chunk of a streamed chat completion, as with `include_usage`."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
        "usage": usage,
    }


def chat_choice(delta: dict[str, object], finish: str | None = None) -> list[dict[str, object]]:
    """Return the only choice of a chunk."""
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]


USAGE_CHUNK: Final = event(chat_chunk([], CHAT_USAGE))

CHAT_STREAM: Final = (
    event(chat_chunk(chat_choice({"role": "assistant", "content": ""})))
    + event(chat_chunk(chat_choice({"content": "Hello"})))
    + event(chat_chunk(chat_choice({"content": " there"})))
    + event(chat_chunk(chat_choice({}, "stop")))
    + USAGE_CHUNK
    + b"data: [DONE]\n\n"
)

EMBEDDINGS: Final = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
    "model": "embed-sample",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}

RESPONSE: Final = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-sample",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello there", "annotations": []}],
        }
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {"usage": {"input_tokens": 7}}}],
    "text": {"format": {"type": "text"}},
    "usage": {
        "input_tokens": 50,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 80,
    },
    "metadata": {},
}


def responses_stream(last: str = "response.completed") -> bytes:
    """Return a Responses stream that ends with this event."""
    begun = RESPONSE | {"status": "in_progress", "output": [], "usage": None}
    deltas = [
        event(
            {"type": "response.output_text.delta", "item_id": "msg_1", "delta": text},
            "response.output_text.delta",
        )
        for text in ("Hello", " there")
    ]
    done = {"type": "response.output_text.done", "item_id": "msg_1", "text": "Hello there"}
    return (
        event({"type": "response.created", "response": begun}, "response.created")
        + b"".join(deltas)
        + event(done, "response.output_text.done")
        + event({"type": last, "response": RESPONSE}, last)
    )


MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sample",
    "content": [{"type": "text", "text": "Hello there"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 25,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 300,
        "output_tokens": 15,
        "service_tier": "standard",
    },
}

MESSAGE_START: Final = event(
    {
        "type": "message_start",
        "message": MESSAGE
        | {
            "content": [],
            "stop_reason": None,
            "usage": {
                "input_tokens": 25,
                "cache_creation_input_tokens": 7,
                "cache_read_input_tokens": 300,
                "output_tokens": 1,
            },
        },
    },
    "message_start",
)

MESSAGE_TEXT: Final = (
    event(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        "content_block_start",
    )
    + event({"type": "ping"}, "ping")
    + event(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hello there"},
        },
        "content_block_delta",
    )
    + event({"type": "content_block_stop", "index": 0}, "content_block_stop")
)


def message_delta(**usage: int) -> bytes:
    """Return a `message_delta` event with this usage."""
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return event({"type": "message_delta", "delta": delta, "usage": usage}, "message_delta")


MESSAGE_STREAM: Final = (
    MESSAGE_START
    + MESSAGE_TEXT
    + message_delta(output_tokens=15)
    + event({"type": "message_stop"}, "message_stop")
)


def gemini_chunk(text: str, finish: str | None = None, **usage: int) -> dict[str, object]:
    """Return one answer of `generateContent`, or a chunk of its stream."""
    candidate: dict[str, object] = {
        "content": {"parts": [{"text": text}], "role": "model"},
        "index": 0,
    }
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-sample",
        "responseId": "r1",
    }


GEMINI_CHUNKS: Final = (
    gemini_chunk("Hello", promptTokenCount=90, thoughtsTokenCount=30, totalTokenCount=120),
    gemini_chunk(" there", promptTokenCount=90, candidatesTokenCount=2, thoughtsTokenCount=31),
    gemini_chunk(
        "",
        "STOP",
        promptTokenCount=90,
        cachedContentTokenCount=50,
        toolUsePromptTokenCount=6,
        candidatesTokenCount=4,
        thoughtsTokenCount=31,
        totalTokenCount=131,
    ),
)

GEMINI_STREAM: Final = b"".join(event(chunk, end=b"\r\n") for chunk in GEMINI_CHUNKS)

GEMINI_ARRAY: Final = (
    b"["
    + b"\n,\r\n".join(orjson.dumps(each, option=orjson.OPT_INDENT_2) for each in GEMINI_CHUNKS)
    + b"\n]\n"
)

REALTIME_DONE: Final = orjson.dumps(
    {
        "type": "response.done",
        "event_id": "event_1",
        "response": {
            "id": "resp_1",
            "object": "realtime.response",
            "status": "completed",
            "output": [],
            "usage": {
                "total_tokens": 253,
                "input_tokens": 132,
                "output_tokens": 121,
                "input_token_details": {
                    "text_tokens": 119,
                    "audio_tokens": 13,
                    "cached_tokens": 64,
                    "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
                },
                "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
            },
        },
    }
)
