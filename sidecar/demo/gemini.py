"""Answers in the format of the Gemini API: plain data, no I/O and no clock.

Format: ai.google.dev/api/generate-content. A stream is server-sent events with `?alt=sse`, and one
JSON array without; each event repeats the usage so far.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from sidecar.demo.dialects import JsonObject, Prompt, UnusableRequest, read_object, sse


def read_gemini_prompt(model: str, body: bytes) -> Prompt:
    """Read a `generateContent` request; raise UnusableRequest when it is none."""
    contents = read_object(body).get("contents")
    if not isinstance(contents, list) or not contents:
        raise UnusableRequest("`contents` must be an array that is not empty")
    parts = contents[-1].get("parts") if isinstance(contents[-1], dict) else None
    if not isinstance(parts, list):
        raise UnusableRequest("each of `contents` needs `parts`: an array")
    texts = [
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    words = " ".join(texts).split()
    return Prompt(
        model=model,
        words=("You", "said:", *words),
        asked=len(words),
        choices=1,
        stream=False,
        usage_in_stream=True,
    )


def gemini_answer(prompt: Prompt) -> JsonObject:
    """Return a whole `GenerateContentResponse`."""
    return _response(prompt, " ".join(prompt.words), len(prompt.words), finish="STOP")


def gemini_stream(prompt: Prompt, *, events: bool) -> Iterator[bytes]:
    """Give the parts of a streamed answer, as events or as the items of one JSON array."""
    last = len(prompt.words)
    for number, word in enumerate(prompt.words, start=1):
        text = word if number == 1 else f" {word}"
        part = _response(prompt, text, number, finish="STOP" if number == last else None)
        if events:
            yield sse(part)
        else:
            yield (b"[" if number == 1 else b",\r\n") + orjson.dumps(part)
    if not events:
        yield b"]"


def gemini_error(message: str) -> JsonObject:
    """Return the error object of a request the API cannot use."""
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


def _response(prompt: Prompt, text: str, answered: int, *, finish: str | None) -> JsonObject:
    candidate: JsonObject = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": prompt.asked,
            "candidatesTokenCount": answered,
            "totalTokenCount": prompt.asked + answered,
        },
        "modelVersion": prompt.model,
    }
